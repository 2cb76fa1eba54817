"""The page Requests: the event log, in the order, the columns and the length that the reader chooses."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import prefetch_related_objects

from accounts.viewer import Viewer
from analytics.display import retention_notice
from analytics.display.colors import color_of
from analytics.display.cost_badge import Badge, badge
from analytics.display.local_time import LocalTime
from analytics.filters.filters import UNPRICED, Filters
from analytics.filters.remembered import Setting
from analytics.pages import Page
from analytics.pages.requests.columns import COLUMNS, KEYS
from analytics.pages.requests.layout import ROWS, SIZES, layout_of
from analytics.pages.requests.listing import SORT, Listing, listing
from analytics.reports import Report, with_request_id
from analytics.reports.cost_explanation import prices_of
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
    layout = layout_of(viewer, filters)
    if wanted:
        shown, notice = Listing(with_request_id(viewer, wanted).events), retention_notice.of_requests(viewer)
    else:
        shown, notice = listing(report, filters, layout), retention_notice.of_ends(viewer, report.retained_from)
    return {
        "rows": rows(viewer, shown.events),
        "list": shown,
        "layout": layout,
        "wanted": wanted,
        "retention_notice": notice,
        "without_search": query.without("q"),
        "only_unpriced": filters.only_unpriced and not wanted,
        "with_priced": query.without(UNPRICED),
        "first": query if filters.query.first("before") or filters.query.first("after") else None,
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


REQUESTS = Page(
    "requests",
    "Requests",
    "analytics/requests/results.html",
    results,
    settings=("before", "after", "q", UNPRICED, SORT, COLUMNS, ROWS),
    remembered=(Setting(COLUMNS, KEYS), Setting(ROWS, frozenset(SIZES))),
    styles=("css/requests.css",),
    script="js/requests.js",
)
