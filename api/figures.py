"""The views of sums: of a range, by hour, day, week or month, by one or two dimensions, of one model, provider, person
or organization."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from django.http import Http404
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from accounts.models import Organization, User
from accounts.viewer import Viewer
from analytics.filters.facets import FACET, FACETS, facets_of
from analytics.reports import MAX_ROWS, Report, Summary, TooManyRowsError, Totals, models_used
from analytics.reports.selection import Dimension, Selection
from analytics.reports.totals import added
from api.parameters import COMPARE, FILTERS, GRAIN, Parameter, choice, filters_of, number
from api.problems import WrongParameterError
from api.reading import Reading
from api.shapes.base import told
from api.shapes.figures import (
    AdminShape,
    BreakdownShape,
    CostsShape,
    PerformanceShape,
    RowsShape,
    SeriesShape,
    SummaryShape,
    TotalsShape,
    UsageShape,
)
from api.summary import MANY, ORDERS, POPULAR, daily, days_of, latency, only, previous, rows, speed, table, usage

MOST = 1_000
MOST_DAYS_BY_HOUR = 31
MOST_LINES = 50
MOST_POINTS = 40_000
"""At most this number of points of all lines together; to tell as many takes about a second."""
PERIODS = ("hour", "day", "week", "month")
DIMENSIONS = {facet.name: facet.name for facet in FACETS if facet.has_menu}

PERIOD = choice("group_by", {name: name for name in PERIODS}, default="day", means="The length of the periods.")
BY = choice("by", DIMENSIONS, default="model", means="The dimension whose values are told apart.")
THEN = choice("then", {"none": "", **DIMENSIONS}, default="none", means="A second dimension.")
ORDER = choice("by", {name: name for name in ORDERS}, default="requests", means="Whose largest come first.")
LINES = number("limit", default=8, most=MOST_LINES, means="At most this number of values, those with most requests.")
FEW = number("limit", default=POPULAR, most=MOST, means="At most this number of rows.")
ROWS = number("limit", default=MANY, most=MOST, means="At most this number of rows.")


class UsageView(Reading):
    """The summary of a range: requests, tokens, cost and latency, and the largest parts of it."""

    takes = (*FILTERS, COMPARE)
    tells = UsageShape

    def read(self, request: Request, viewer: Viewer, **where: Any) -> Any:
        return usage(viewer, filters_of(request, viewer).selection, compares=COMPARE.of(request))


class CostsView(Reading):
    """The sums of each hour, day, week or month of a range. A week begins on Monday. A week or month at an end of the
    range has only its days within the range. Hours are told of at most 31 days."""

    takes = (*FILTERS, PERIOD)
    tells = CostsShape

    def read(self, request: Request, viewer: Viewer, **where: Any) -> Any:
        selection, period = filters_of(request, viewer).selection, PERIOD.of(request)
        return {**days_of(selection), "group_by": period, "points": points(viewer, selection, period)}


class SeriesView(Reading):
    """The sums of every day or hour, of all requests and of each of the largest values of a dimension. Hours are told
    of at most 31 days, and at most 40,000 points of all values together."""

    takes = (*FILTERS, GRAIN, BY, LINES)
    tells = SeriesShape

    def read(self, request: Request, viewer: Viewer, **where: Any) -> Any:
        GRAIN.of(request)
        filters, dimension = filters_of(request, viewer), dimension_of(request, viewer, BY)
        if filters.grain_note:
            raise WrongParameterError(GRAIN.name, f"grain: {filters.grain_note}")
        report = Report(viewer, filters.selection)
        total, largest = report.series(filters.grain), list(report.sums_by(dimension))[: LINES.of(request)]
        if len(largest) * len(total) > MOST_POINTS:
            hint = f"At most {MOST_POINTS:,} points are told. Choose a lower limit, or a shorter range."
            raise WrongParameterError(LINES.name, f"limit: {hint}")
        found, names = report.series_by(dimension, largest, filters.grain), report.names(dimension, largest)
        return {
            **days_of(filters.selection),
            "grain": filters.grain,
            "by": BY.of(request),
            "moments": [point.label for point in total],
            "total": [told(SummaryShape, point.totals) for point in total],
            "series": [
                {"value": value, "name": names[value], "points": [told(SummaryShape, sums) for sums in found[value]]}
                for value in largest
            ],
        }


class BreakdownView(Reading):
    """The sums of each value of a dimension, or of each combination of values of two dimensions, most requests
    first."""

    takes = (*FILTERS, BY, THEN, ROWS)
    tells = BreakdownShape

    def read(self, request: Request, viewer: Viewer, **where: Any) -> Any:
        selection = filters_of(request, viewer).selection
        chosen = [parameter for parameter in (BY, THEN) if parameter.of(request)]
        dimensions = [dimension_of(request, viewer, parameter) for parameter in chosen]
        if len(set(dimensions)) < len(dimensions):
            raise WrongParameterError(THEN.name, "then: choose a dimension other than the first one.")
        report = Report(viewer, selection)
        found = sorted(combinations(report, dimensions), key=lambda pair: (-pair[1].requests, pair[0]))
        shown = found[: ROWS.of(request)]
        names = [
            report.names(dimension, {key[place] for key, _ in shown}) for place, dimension in enumerate(dimensions)
        ]
        return {
            **days_of(selection),
            "rows": [
                {
                    "key": [
                        {"dimension": parameter.of(request), "value": value, "name": named[value]}
                        for parameter, value, named in zip(chosen, key, names, strict=True)
                    ],
                    **told(SummaryShape, sums),
                }
                for key, sums in shown
            ],
            "number": len(found),
        }


def combinations(report: Report, dimensions: list[Dimension]) -> list[tuple[tuple[Any, ...], Summary]]:
    try:
        return report.combinations(*dimensions)
    except TooManyRowsError:
        hint = f"There are more than {MAX_ROWS:,} combinations. Choose one dimension, a shorter range, or a filter."
        raise WrongParameterError(THEN.name, hint) from None


class PopularModelsView(Reading):
    """The models with the most requests."""

    takes = (*FILTERS, FEW)
    tells = RowsShape

    def read(self, request: Request, viewer: Viewer, **where: Any) -> Any:
        report = Report(viewer, filters_of(request, viewer).selection)
        return table(report, "model", "requests", FEW.of(request))


class TopUsersView(Reading):
    """The people with the highest cost, the most tokens or the most requests."""

    takes = (*FILTERS, ORDER, FEW)
    tells = RowsShape

    def read(self, request: Request, viewer: Viewer, **where: Any) -> Any:
        order = ORDER.of(request)
        if order == "cost" and not viewer.sees_cost:
            raise WrongParameterError(ORDER.name, "by: you may not see costs, so choose tokens or requests.")
        return table(Report(viewer, filters_of(request, viewer).selection), "user_id", order, FEW.of(request))


class PerformanceView(Reading):
    """The latency of all requests, of each model and of each day."""

    takes = FILTERS
    tells = PerformanceShape

    def read(self, request: Request, viewer: Viewer, **where: Any) -> Any:
        selection = filters_of(request, viewer).selection
        report = Report(viewer, selection)
        return {
            **days_of(selection),
            **told(TotalsShape, report.totals()),
            "latency_ms": latency(report.latency_percentiles()),
            "models": [speed(model) for model in models_used(report)[:MANY]],
            "days": [
                {"day": point.day, "latency_ms": latency(point.latency), "avg_ttft_ms": point.avg_ttft_ms}
                for point in report.latency_series("day")
            ],
        }


class ProviderView(Reading):
    """The summary of one provider. 404 if you have no requests to it in the range."""

    takes = (*(parameter for parameter in FILTERS if parameter.name != "provider"), COMPARE)
    tells = UsageShape

    def read(self, request: Request, viewer: Viewer, **where: Any) -> Any:
        selection = only(filters_of(request, viewer).selection, "provider", where["provider"])
        found = usage(viewer, selection, compares=COMPARE.of(request))
        if not found["requests"]:
            raise Http404
        return found


class UserView(Reading):
    """The summary of one person, by the person's id."""

    takes = (*(parameter for parameter in FILTERS if parameter.name not in ("user", "organization")), COMPARE)
    tells = UsageShape

    def read(self, request: Request, viewer: Viewer, **where: Any) -> Any:
        person = User.objects.filter(pk=where["id"]).first()
        narrowed = Viewer.nobody() if person is None else viewer.narrowed_to(person.current)
        if not narrowed.sees_anything or not narrowed.user_ids:
            raise Http404
        return usage(narrowed, filters_of(request, narrowed).selection, compares=COMPARE.of(request))


class OrganizationUsageView(Reading):
    """The summary of one organization, in its own calendar."""

    takes = (*(parameter for parameter in FILTERS if parameter.name != "organization"), COMPARE)
    tells = UsageShape

    def read(self, request: Request, viewer: Viewer, **where: Any) -> Any:
        organization = Organization.objects.filter(slug=where["slug"]).first()
        narrowed = Viewer.nobody() if organization is None else viewer.within(organization)
        if not narrowed.sees_anything:
            raise Http404
        return usage(narrowed, filters_of(request, narrowed).selection, compares=COMPARE.of(request))


class AdminUsageView(Reading):
    """For Admins: a range and the period just before it, by type, by person and by day."""

    takes = FILTERS
    tells = AdminShape

    def read(self, request: Request, viewer: Viewer, **where: Any) -> Any:
        if not viewer.administers_organizations or viewer.user_ids is not None:
            raise PermissionDenied("This is for Admins.")
        selection = filters_of(request, viewer).selection
        report = Report(viewer, selection, compares=True)
        return {
            **days_of(selection),
            "totals": told(TotalsShape, report.totals()),
            "previous": previous(report),
            "by_type": rows(report, "feature", "requests", MANY),
            "by_user": rows(report, "user_id", "requests", MANY),
            "daily": daily(report),
        }


def points(viewer: Viewer, selection: Selection, period: str) -> list[Mapping[str, Any]]:
    """The sums of each period, with zeros for one without requests."""
    if period == "hour" and selection.days > MOST_DAYS_BY_HOUR:
        raise WrongParameterError(PERIOD.name, f"group_by: hours are told of at most {MOST_DAYS_BY_HOUR} days.")
    series = Report(viewer, selection).series("hour" if period == "hour" else "day")
    if period in ("hour", "day"):
        return [told(SummaryShape, point.totals, period=point.label) for point in series]
    sums: dict[date, list[Totals]] = {}
    for point in series:
        sums.setdefault(beginning_of(point.day, period), []).append(point.totals)
    return [told(SummaryShape, whole(group), period=first.isoformat()) for first, group in sums.items()]


def whole(several: list[Totals]) -> Totals:
    """The totals of several days, of which some may have no requests."""
    return added((totals for totals in several if totals.requests), several[0])


def beginning_of(day: date, period: str) -> date:
    """The Monday of a day's week, or the first of its month."""
    return day - timedelta(days=day.weekday()) if period == "week" else day.replace(day=1)


def dimension_of(request: Request, viewer: Viewer, parameter: Parameter[str]) -> Dimension:
    """The dimension that a parameter names. WrongParameterError if the viewer sees only one value of it."""
    name = parameter.of(request)
    if name not in {facet.name for facet in facets_of(viewer)}:
        raise WrongParameterError(parameter.name, f"{parameter.name}: you see only one {name}.")
    return FACET[name].dimension
