"""The page of a month report."""

import logging
from typing import Any
from urllib.parse import urlencode

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.decorators import actor_of, with_viewer
from accounts.models import User
from accounts.organization_choice import first_choice
from accounts.viewer import Viewer
from analytics import reports
from analytics.display import retention_notice
from analytics.display.local_time import LocalTime
from analytics.display.unpriced_notice import unpriced
from analytics.failure import failed
from analytics.filters import menus
from analytics.filters.filters import Filters, read_filters
from analytics.filters.month import Month, MonthForm
from analytics.filters.query_string import QueryString
from analytics.pages.month_report.chart import chart
from analytics.pages.month_report.comparison import compared_with_the_month_before, lines
from analytics.pages.month_report.tables import left_out, tables
from analytics.reports import Question, Report, Summary, Totals, snapshot

logger = logging.getLogger(__name__)

QUESTIONS: tuple[Question, ...] = (
    ((), Totals), (("day",), Totals), (("model",), Summary), (("project_id",), Summary), (("user_id",), Summary),
    (("feature",), Summary), (("organization_id",), Summary),
)  # fmt: skip


@require_safe
@never_cache
@with_viewer
def month_report(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The report of the month in the query string, or of the present one, under the filters there. 400 for a month that
    has not begun."""
    try:
        with snapshot():
            today = reports.today(viewer)
            form = MonthForm({"month": request.GET.get("month") or str(Month.of(today))}, today=today)
            is_valid = form.is_valid()
            month: Month = form.cleaned_data["month"] if is_valid else form.present
            filters = read_filters(_of_month(request.GET, month), viewer)
            context = {
                "viewer": viewer,
                "focus": "",
                "form": form,
                "month": month,
                "filters": filters,
                "state": _state(filters),
            }
            if is_valid:
                context |= _figures(viewer, month, filters) | about(actor_of(request), viewer)
                context |= _focus(viewer, month, actor_of(request))
        return render(request, "analytics/month_report/page.html", context, status=200 if is_valid else 400)
    except DatabaseError:
        logger.exception("A month report could not be loaded.")
        return failed(request)


def _of_month(query: QueryDict, month: Month) -> QueryDict:
    """The query string with the days of the month as its range."""
    made = query.copy()
    made["range"], made["from"], made["to"] = "custom", str(month.first_day), str(month.last_day)
    return made


def _state(filters: Filters) -> QueryString:
    """The filters without the days, for links and the form."""
    return filters.query.without("range", "from", "to", "grain")


def _focus(viewer: Viewer, month: Month, person: User) -> dict[str, Any]:
    """The links to the month's costs for finance, for who may have the file."""
    organization = first_choice(viewer, person) if viewer.may_export and viewer.sees_cost else None
    if organization is None:
        return {}
    query = urlencode({"month": str(month), "organization": organization.slug})
    return {"focus": f"?{query}", "focus_of": organization.name}


def _figures(viewer: Viewer, month: Month, filters: Filters) -> dict[str, Any]:
    report, today = Report(viewer, filters.selection, QUESTIONS), filters.form.earliest_today
    totals, chips = report.totals(), menus.chips(menus.menus(report, filters, are_known=False), filters)
    context = {"totals": totals, "chips": chips, "is_over": month.last_day < today, "today": filters.form.today}
    if totals.requests:
        points, sees_cost = report.series("day"), viewer.sees_cost
        compared, why_not = compared_with_the_month_before(report, month, today)
        context |= {
            "lines": list(lines(totals, compared, sees_cost=sees_cost)),
            "compared": compared,
            "why_not": why_not,
            "chart": chart(points, today, sees_cost=sees_cost),
            "tables": tables(report),
            "left_out": left_out(report),
            "days": [point for point in points if point.day <= filters.form.today],
            "unpriced": unpriced(report, filters),
        }
    return context | {"retention_notice": retention_notice.of_figures(report)}


def about(person: User, viewer: Viewer) -> dict[str, Any]:
    """Whose figures these are, who made the report, when, and whose days they are."""
    organization = person.organization
    if viewer.organization_ids is None or organization is None:
        whose, zone, days = "All organizations", "UTC", "Days are those of each organization's time zone."
    else:
        whose, zone = organization.name, organization.time_zone
        days = f"Days are those of the time zone {zone}."
    if viewer.user_ids is not None:
        whose = f"{person.display_name}, {whose}"
    return {"whose": whose, "made_by": person.display_name, "made_at": LocalTime.of(timezone.now(), zone), "zone": days}
