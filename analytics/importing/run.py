"""One file from its first line to its last, in batches, each of which is in the ledger before the next is read."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Protocol

from analytics.importing import RefusedError
from analytics.importing.columns import KNOWN, Defaults, call_of
from analytics.importing.formats import Format, Item, csv_header, csv_items, guess_format, json_items
from analytics.importing.groq_batch import call_of_result
from analytics.importing.ledger import Entry, Organizations, look, organizations_now, refuse_homeless, write
from analytics.importing.lines import Source, opened
from analytics.importing.place import Place, PlaceKeeper, fingerprint
from analytics.importing.refusals import RefusalFile
from groq_client.call import Call

BATCH = 500
BATCH_BYTES = 4 << 20
MOST_IGNORED = 20
"""So many names of columns that mean nothing are kept to tell."""


@dataclass(frozen=True, slots=True)
class Task:
    """What to import and how. ``path`` None is standard input, where nothing can be resumed; without ``errors``
    ``complain`` is told what was refused."""

    path: Path | None
    errors: Path | None
    defaults: Defaults
    complain: Callable[[str], object]
    format: Format | None = None
    is_dry_run: bool = False
    resume: bool = False

    @property
    def place(self) -> Path | None:
        if self.path is None or self.is_dry_run:
            return None
        return self.path.with_name(f"{self.path.name}.import-state")


class Watcher(Protocol):
    """Is told after every batch, and may end the import there."""

    def passed(self, place: Place, source: Source) -> None: ...

    @property
    def wants_end(self) -> bool: ...


class StoppedError(Exception):
    """Ended by the watcher. All lines up to ``place`` are done."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.place = place


def import_file(task: Task, watcher: Watcher) -> Place:
    """Import the file; returns what was done. Raises StoppedError, NoPlaceError, RefusedError for a file that is none
    of its kind, DamagedFileError, OSError, and psycopg.Error if the database stays away.
    """
    with opened(task.path) as source, closing(_keeper(task)) as keeper:
        place = keeper.place
        with closing(RefusalFile(task.errors, place.errors_size, task.complain)) as refusals:
            kind, items = _items(task, source, place)
            importer = _Importer(task, kind, keeper, refusals)
            for batch in _batches(items):
                importer.take(batch)
                keeper.keep()
                watcher.passed(place, source)
                if watcher.wants_end:
                    raise StoppedError(place)
        keeper.forget()
        return place


def _keeper(task: Task) -> PlaceKeeper:
    options = {name: str(value) for name, value in asdict(task.defaults).items()}
    what = {"format": task.format, **options, **(fingerprint(task.path) if task.path else {})}
    if task.resume and task.place and task.place.exists():
        return PlaceKeeper.found(task.place, what)
    return PlaceKeeper.new(task.place, what)


def _items(task: Task, source: Source, place: Place) -> tuple[Format, Iterator[Item]]:
    """The file's kind, and its objects from ``place`` on."""
    lines = source.lines()
    first = next(lines, None)
    if first is None:
        return "jsonl", iter(())
    kind = task.format or guess_format(task.path.name if task.path else "", first.content)
    header = csv_header(first) if kind == "csv" else []
    rest = lines if header else chain([first], lines)
    if place.offset:
        rest = source.lines(place.number, place.offset)
    return kind, csv_items(header, rest) if header else json_items(rest)


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    """So few at once that the memory needed does not depend on the file."""
    batch: list[Item] = []
    size = 0
    for item in items:
        batch.append(item)
        size += len(item.line.content)
        if len(batch) >= BATCH or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class _Importer:
    """Brings batches into the ledger and moves the place to their ends."""

    def __init__(self, task: Task, kind: Format, keeper: PlaceKeeper, refusals: RefusalFile) -> None:
        self._task = task
        self._call_of = call_of_result if kind == "groq-batch" else call_of
        self._has_columns = kind != "groq-batch"
        self._keeper = keeper
        self._refusals = refusals

    def take(self, batch: list[Item]) -> None:
        entries, refused = [], []
        now, organizations = datetime.now(UTC), organizations_now()
        for item in batch:
            try:
                entries.append(Entry(item.line, self._call(item, now, organizations)))
            except RefusedError as error:
                refused.append((item.line, str(error)))
        outcome = (look if self._task.is_dry_run else write)(entries, organizations)
        refused = sorted(refused + outcome.refused, key=lambda pair: pair[0].number)
        self._refusals.write(refused)
        place, last = self._keeper.place, batch[-1].last
        place.number, place.offset, place.errors_size = last.number, last.end, self._refusals.size
        place.read += len(batch)
        place.added += outcome.added
        place.known += outcome.known
        place.refused += len(refused)

    def _call(self, item: Item, now: datetime, organizations: Organizations) -> Call:
        if isinstance(item.found, RefusedError):
            raise item.found
        if self._has_columns:
            self._note(item.found.keys() - KNOWN)
        call = self._call_of(item.found, self._task.defaults, now, self._keeper.stable_id)
        refuse_homeless(call, organizations)
        return call

    def _note(self, names: Iterable[str]) -> None:
        ignored = self._keeper.place.ignored
        for name in names:
            if name not in ignored and len(ignored) < MOST_IGNORED:
                ignored.append(name[:100])
