"""Requests: the event log, newest first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import prefetch_related_objects

from accounts.viewer import Viewer
from analytics import detail_notice
from analytics.badges import Badge, badge
from analytics.charts import tone
from analytics.explanation import prices_of
from analytics.filters import UNPRICED, Filters
from analytics.local_time import LocalTime
from analytics.models import UsageEvent
from analytics.pages import Page
from analytics.reports import Log, LogPage, Place, Report, with_request_id

LONGEST_ID = 200


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the log; ``badge`` is None where the viewer may not see cost."""

    event: UsageEvent
    at: LocalTime
    tone: int
    badge: Badge | None


def results(report: Report, asked: Filters) -> dict[str, Any]:
    viewer, query = report.viewer, asked.query.without("before", "after")
    wanted = _one(asked, "q").strip()[:LONGEST_ID]
    if wanted:
        page, notice = with_request_id(viewer, wanted), detail_notice.of_requests(viewer)
    else:
        page = _page(Log(viewer, asked.selection, asked.only_unpriced, report.detail_ends), asked)
        notice = detail_notice.of_ends(viewer, report.detail_ends)
    return {
        "lines": lines(viewer, page.events),
        "wanted": wanted,
        "detail_notice": notice,
        "without_search": query.without("q"),
        "only_unpriced": asked.only_unpriced and not wanted,
        "with_priced": query.without(UNPRICED),
        "names_organizations": viewer.organization_ids is None,
        "older": query.replaced("before", (str(page.older),)) if page.older else None,
        "newer": query.replaced("after", (str(page.newer),)) if page.newer else None,
        "newest": query if _one(asked, "before") or _one(asked, "after") else None,
    }


def lines(viewer: Viewer, events: Sequence[UsageEvent]) -> list[Line]:
    """Rows with the names of what they point at, in a fixed number of queries."""
    prefetch_related_objects(events, "organization", "project", *(["user"] if viewer.user_ids is None else []))
    prices = prices_of(events) if viewer.sees_cost else {}
    return [
        Line(
            event,
            LocalTime.of(event.timestamp, event.organization.time_zone),
            tone(event.model),
            badge(event, prices) if viewer.sees_cost else None,
        )
        for event in events
    ]


def _page(log: Log, asked: Filters) -> LogPage:
    """Where the address says; the newest where it says nothing that is a place."""
    before, after = Place.parse(_one(asked, "before")), Place.parse(_one(asked, "after"))
    if before is not None:
        return log.before(before)
    return log.newest() if after is None else log.after(after)


def _one(asked: Filters, name: str) -> str:
    return next(iter(asked.query.values(name)), "")


REQUESTS = Page(
    "requests",
    "Requests",
    "analytics/requests/results.html",
    results,
    settings=("before", "after", "q", UNPRICED),
    style="css/requests.css",
    script="js/requests.js",
)
