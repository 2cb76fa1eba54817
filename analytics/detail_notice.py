"""What a page says about requests that are kept as sums only."""

from collections.abc import Sequence

from accounts.viewer import Viewer
from analytics import figures
from analytics.reports import DetailEnd, Report, detail_ends
from analytics.selection import Selection

NAMED = 3
ALL = "With these filters, the figures below leave them out."
SOME = "Some figures below can only be told from requests, and leave them out."
CHARTS = "Charts that can only be told from requests leave them out."


def of_requests(viewer: Viewer, selection: Selection | None = None) -> str:
    """For what lists requests of a selection, or of all time: a sentence, or nothing where all of them are there."""
    return of_ends(viewer, detail_ends(viewer, selection))


def of_figures(report: Report) -> str:
    """For what shows the figures that a report has given: says so if there are requests that one of them should be of
    and is not."""
    if not report.leaves_out:
        return ""
    return f"{of_ends(report.viewer, report.detail_ends)} {ALL if report.leaves_out == 'all' else SOME}"


def of_charts(report: Report) -> str:
    """The same for charts that come after the page."""
    return f"{of_ends(report.viewer, report.detail_ends)} {CHARTS}" if report.leaves_out else ""


def of_ends(viewer: Viewer, ends: Sequence[DetailEnd]) -> str:
    """A sentence about these, or nothing without any."""
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
