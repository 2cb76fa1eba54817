"""One's own usage: today, this month and all time; what a message and a session are like; the most used models."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.decorators import actor_of, with_viewer
from accounts.viewer import Viewer
from analytics import detail_notice, reports
from analytics.charts import tone
from analytics.reports import Report, Summary, Totals, snapshot
from analytics.selection import Selection

MODELS = 5


@dataclass(frozen=True, slots=True)
class Period:
    name: str
    first_day: date
    last_day: date
    totals: Totals


@dataclass(frozen=True, slots=True)
class Each:
    """What a message is like on average; the cost is that of those with a price."""

    total_tokens: Decimal
    cost_usd: Decimal | None


@dataclass(frozen=True, slots=True)
class UsedModel:
    label: str
    tone: int
    totals: Summary
    share: float
    """Of all messages whose model is known."""


@require_safe
@never_cache
@with_viewer
def my_usage(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    own = viewer.narrowed_to(actor_of(request))
    with snapshot():
        today = reports.today(own)
        always = Report(own, Selection(reports.first_day(own) or today, today))
        everything = always.totals()
        context = {
            "viewer": viewer,
            "periods": [
                _period("Today", own, today, today),
                _period("This month", own, today.replace(day=1), today),
                Period("All time", always.selection.first_day, today, everything),
            ],
            "each_message": _each(everything),
            "each_session": reports.session_averages(own),
            "models": _most_used(always),
        }
        context["detail_notice"] = detail_notice.of_figures(always)
    return render(request, "analytics/my_usage/page.html", context)


def _period(name: str, viewer: Viewer, first: date, last: date) -> Period:
    return Period(name, first, last, Report(viewer, Selection(first, last)).totals())


def _each(totals: Totals) -> Each | None:
    """None without messages."""
    if not totals.requests:
        return None
    priced = totals.requests - totals.unpriced
    cost = totals.cost_usd / priced if totals.cost_usd is not None and priced else None
    return Each(Decimal(totals.total_tokens) / totals.requests, cost)


def _most_used(report: Report) -> Sequence[UsedModel]:
    rows = report.breakdown("model")
    requests = sum(row.totals.requests for row in rows)
    return [
        UsedModel(row.label, tone(str(row.value)), row.totals, row.totals.requests / requests) for row in rows[:MODELS]
    ]
