"""The requests of a page of the list, in the order that the query string chooses."""

from collections.abc import Sequence
from dataclasses import dataclass

from accounts.viewer import Viewer
from analytics.display.local_time import LocalTime
from analytics.filters.filters import PLACES, Filters
from analytics.filters.menus import Choosable
from analytics.filters.query_string import QueryString
from analytics.pages.requests.layout import Layout
from analytics.reports import LargestCursor, Log, LogCursor, Measure, Report, largest, measures_of
from analytics.reports.direction import NEWER, OLDER
from analytics.reports.largest_first import AT_MOST
from ledger.models import UsageEvent

SORT = "sort"
OLDEST = "oldest"


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of requests, with links to the pages beside it, and the choice of orders."""

    events: Sequence[UsageEvent]
    order: str = "newest first"
    links: Sequence[tuple[str, QueryString]] = ()
    """The names of the links to other pages, and the links."""
    sorts: Sequence[Choosable] = ()
    since: LocalTime | None = None
    """In an order by a measure, the time before which requests were left out; None if none were."""
    at_most: int = AT_MOST


def listing(report: Report, filters: Filters, layout: Layout) -> Listing:
    viewer, asked = report.viewer, filters.query.first(SORT)
    measure = next((measure for measure in measures_of(viewer) if measure.key == asked), None)
    onward = NEWER if asked == OLDEST else OLDER
    log = Log(viewer, filters.selection, filters.only_unpriced, report.retained_from, layout.size, onward)
    sorts = _sorts(viewer, filters, asked if measure or asked == OLDEST else "")
    return _by_measure(log, filters, measure, sorts) if measure else _by_time(log, filters, sorts)


def _sorts(viewer: Viewer, filters: Filters, chosen: str) -> list[Choosable]:
    query = filters.query.without(*PLACES)
    named = [("", "Newest"), (OLDEST, "Oldest"), *((measure.key, measure.label) for measure in measures_of(viewer))]
    return [Choosable(key, label, key == chosen, query.replaced(SORT, (key,) if key else ())) for key, label in named]


def _by_time(log: Log, filters: Filters, sorts: Sequence[Choosable]) -> Listing:
    """The page at the cursor in the query string; the first page without a valid cursor."""
    query = filters.query.without(*PLACES)
    before, after = (LogCursor.parse(filters.query.first(name)) for name in ("before", "after"))
    page = log.before(before) if before else log.after(after) if after else log.first()
    older = [("Older", query.replaced("before", (str(page.older),)))] if page.older else []
    newer = [("Newer", query.replaced("after", (str(page.newer),)))] if page.newer else []
    is_older = log.onward.is_older
    links = [*newer, *older] if is_older else [*older, *newer]
    if filters.query.first("before") or filters.query.first("after"):
        links.insert(0, ("Newest" if is_older else "Oldest", query))
    return Listing(page.events, "newest first" if is_older else "oldest first", links, sorts)


def _by_measure(log: Log, filters: Filters, measure: Measure, sorts: Sequence[Choosable]) -> Listing:
    query, asked = filters.query.without(*PLACES), filters.query.first("after")
    page = largest(log, measure, LargestCursor.parse(asked))
    links = [("First page", query)] if asked else []
    links += [("Next", query.replaced("after", (str(page.next),)))] if page.next else []
    since = LocalTime.of(page.since, "UTC") if page.since else None
    return Listing(page.events, f"by {measure.label.lower()}, largest first", links, sorts, since)
