"""The files of a period: one for each day of requests, one file of any other kind."""

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path

from pyarrow import parquet

from accounts.viewer import Viewer
from analytics.export.export import CSV, JSONL
from analytics.export.focus import FILES as FOCUS_FILES
from analytics.export.focus import CostOfMonth
from analytics.export.parquet import PARQUET
from analytics.export.streaming import Chunks
from analytics.export.table import TABLE_FILES
from analytics.models import ExportRun, ScheduledExport
from analytics.reports import GroupedTable, Log
from analytics.reports.selection import Selection

EVENT_FILES = {file.suffix: file for file in (CSV, JSONL, PARQUET)}
FORMATS = {
    ScheduledExport.Kind.EVENTS: tuple(EVENT_FILES),
    ScheduledExport.Kind.FOCUS: tuple(FOCUS_FILES),
    ScheduledExport.Kind.TABLE: ("csv",),
}
"""The kinds of files that there are of each kind of export."""
SCHEMA_VERSION = 1
"""Changes whenever a column of any of the files does."""

Make = Callable[[], Chunks]


def files_of(run: ExportRun, viewer: Viewer) -> Iterator[tuple[str, Make]]:
    """The name of each file, with what makes its chunks."""
    schedule = run.schedule
    viewer = viewer.within(schedule.organization)
    if schedule.kind == ScheduledExport.Kind.EVENTS:
        yield from _days(run, viewer)
        return
    name = f"{schedule.kind}_{run.first_day}_{run.last_day}.{schedule.format}"
    if schedule.kind == ScheduledExport.Kind.FOCUS:
        costs = CostOfMonth(viewer, schedule.organization, run.first_day, run.last_day)
        yield name, lambda: FOCUS_FILES[schedule.format].chunks(costs)
    else:
        table = GroupedTable(viewer, Selection(run.first_day, run.last_day), "day", (schedule.by,))  # type: ignore[arg-type]
        yield name, lambda: TABLE_FILES[schedule.format].chunks(table)


def _days(run: ExportRun, viewer: Viewer) -> Iterator[tuple[str, Make]]:
    file = EVENT_FILES[run.schedule.format]
    for number in range((run.last_day - run.first_day).days + 1):
        day = run.first_day + timedelta(days=number)
        log = Log(viewer, Selection(day, day))
        yield f"events_{day}.{file.suffix}", lambda log=log: file.chunks(log)  # type: ignore[misc]


def rows_in(path: Path) -> int:
    """The number of rows of a file, without a header."""
    if path.suffix == ".parquet":
        return int(parquet.read_metadata(path).num_rows)
    with path.open("rb") as file:
        return sum(_ends_of_records(file)) - 1 if path.suffix == ".csv" else sum(1 for _ in file)


def _ends_of_records(lines: Iterable[bytes]) -> Iterator[bool]:
    """For each line of CSV whether a record ends with it: not within quotes. Python's own reader refuses long texts."""
    is_quoted = False
    for line in lines:
        is_quoted ^= line.count(b'"') % 2 == 1
        yield not is_quoted
