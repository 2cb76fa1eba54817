"""The page Requests: the event log, newest first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import prefetch_related_objects

from accounts.viewer import Viewer
from analytics.display import retention_notice
from analytics.display.colors import color_of
from analytics.display.cost_badge import Badge, badge
from analytics.reports.cost_explanation import prices_of
from analytics.display.local_time import LocalTime
from analytics.filters.filters import UNPRICED, Filters
from analytics.pages import Page
from analytics.reports import Log, LogCursor, LogPage, Report, with_request_id
from groq_client.names import identity
from ledger.models import UsageEvent


@dataclass(frozen=True, slots=True)
class RequestRow:
    """A row of the log; ``badge`` is None if the viewer may not see cost."""

    event: UsageEvent
    at: LocalTime
    color: int
    badge: Badge | None


def results(report: Report, filters: Filters) -> dict[str, Any]:
    viewer, query = report.viewer, filters.query.without("before", "after")
    wanted = identity(filters.query.first("q"))
    if wanted:
        page, notice = with_request_id(viewer, wanted), retention_notice.of_requests(viewer)
    else:
        page = _page(Log(viewer, filters.selection, filters.only_unpriced, report.retained_from), filters)
        notice = retention_notice.of_ends(viewer, report.retained_from)
    return {
        "rows": rows(viewer, page.events),
        "wanted": wanted,
        "retention_notice": notice,
        "without_search": query.without("q"),
        "only_unpriced": filters.only_unpriced and not wanted,
        "with_priced": query.without(UNPRICED),
        "names_organizations": viewer.organization_ids is None,
        "older": query.replaced("before", (str(page.older),)) if page.older else None,
        "newer": query.replaced("after", (str(page.newer),)) if page.newer else None,
        "newest": query if filters.query.first("before") or filters.query.first("after") else None,
    }


def rows(viewer: Viewer, events: Sequence[UsageEvent]) -> list[RequestRow]:
    """The rows of the log, with names and badges, in a fixed number of queries."""
    prefetch_related_objects(events, "organization", "project", *(["user"] if viewer.user_ids is None else []))
    prices = prices_of(events) if viewer.sees_cost else {}
    return [
        RequestRow(
            event,
            LocalTime.of(event.timestamp, event.organization.time_zone),
            color_of(event.model),
            badge(event, prices) if viewer.sees_cost else None,
        )
        for event in events
    ]


def _page(log: Log, filters: Filters) -> LogPage:
    """The page at the cursor in the query string; the newest page without a valid cursor."""
    before, after = LogCursor.parse(filters.query.first("before")), LogCursor.parse(filters.query.first("after"))
    if before is not None:
        return log.before(before)
    return log.newest() if after is None else log.after(after)


REQUESTS = Page(
    "requests",
    "Requests",
    "analytics/requests/results.html",
    results,
    settings=("before", "after", "q", UNPRICED),
    styles=("css/requests.css",),
    script="js/requests.js",
)
