"""The notice on a page whose range has requests that were deleted, so that only their sums are kept."""

from collections.abc import Sequence

from accounts.viewer import Viewer
from analytics.display import figures
from analytics.reports import Report, RetainedFrom, retained_from
from analytics.reports.selection import Selection

NAMED = 3
ALL = "With these filters, the figures below leave them out."
SOME = "Some figures below can only be told from requests, and leave them out."
CHARTS = "Charts that can only be told from requests leave them out."


def of_requests(viewer: Viewer, selection: Selection | None = None) -> str:
    """The notice for a list of requests of a selection, or of all time; empty if all requests are kept."""
    return of_ends(viewer, retained_from(viewer, selection))


def of_figures(report: Report) -> str:
    """The notice for the figures that a report has given so far; empty unless one of them leaves requests out."""
    if not report.leaves_out:
        return ""
    return f"{of_ends(report.viewer, report.retained_from)} {ALL if report.leaves_out == 'all' else SOME}"


def of_charts(report: Report) -> str:
    """The notice for charts that are loaded after the page; empty unless they leave out deleted requests."""
    return f"{of_ends(report.viewer, report.retained_from)} {CHARTS}" if report.leaves_out else ""


def of_ends(viewer: Viewer, ends: Sequence[RetainedFrom]) -> str:
    """A sentence that names the first day in detail of each organization; empty without ``ends``."""
    if not ends:
        return ""
    if viewer.organization_ids is not None:
        whose = [f"before {figures.day(ends[0].day)}"]
    else:
        whose = [f"of {end.name} before {figures.day(end.day)}" for end in ends[:NAMED]]
        if others := len(ends[NAMED:]):
            whose.append(f"of {others} more organization{'s' if others > 1 else ''}")
    *first, last = whose
    return f"Requests {' and '.join(filter(None, (', '.join(first), last)))} are kept as sums only."
