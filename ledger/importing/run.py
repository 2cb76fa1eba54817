"""The import of one file, in batches. Each batch is in the ledger before the next one is read."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Protocol

from groq_client.call import Call
from ledger.importing import RefusedError
from ledger.importing.checkpoint import Checkpoint, CheckpointKeeper, fingerprint
from ledger.importing.columns import KNOWN, Defaults, call_of
from ledger.importing.formats import Format, Item, guess_format, json_items
from ledger.importing.groq_batch import call_of_result
from ledger.importing.lines import Source, opened
from ledger.importing.rejects import RefusalFile
from ledger.importing.table import read_header, records
from ledger.importing.writing import Entry, Organizations, fold, look, organizations_now, refuse_homeless, write

BATCH = 500
BATCH_BYTES = 4 << 20
FOLD_AFTER = 50_000
"""After this number of new events, an import waits until all of them are in the sums. Usually most are already, because
``ledger.recording.folder`` folds at the same time. So the tail stays short however large the file is."""
MOST_IGNORED = 20
"""At most this many names of unknown columns are kept for the report."""


@dataclass(frozen=True, slots=True)
class Task:
    """The file to import, and the options. Without ``path``, standard input is imported, which cannot be resumed.
    Without ``errors``, refused lines are passed to ``complain``."""

    path: Path | None
    errors: Path | None
    defaults: Defaults
    complain: Callable[[str], object]
    format: Format | None = None
    is_dry_run: bool = False
    resume: bool = False

    @property
    def checkpoint(self) -> Path | None:
        """The path of the checkpoint; None if the import cannot be resumed."""
        if self.path is None or self.is_dry_run:
            return None
        return self.path.with_name(f"{self.path.name}.import-state")


class Watcher(Protocol):
    """An observer whose ``passed`` is called after every batch, and who may end the import then by ``wants_end``."""

    def passed(self, checkpoint: Checkpoint, source: Source) -> None: ...

    @property
    def wants_end(self) -> bool: ...


class StoppedError(Exception):
    """The watcher ended the import. All lines before ``checkpoint`` are done."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(checkpoint)
        self.checkpoint = checkpoint


def import_file(task: Task, watcher: Watcher) -> Checkpoint:
    """Import the file, and return the totals. Raises StoppedError, NoCheckpointError, RefusedError if the file does not
    have the expected format, DamagedFileError, OSError, and psycopg.Error if the database stays away.
    """
    with opened(task.path) as source, closing(_keeper(task)) as keeper:
        checkpoint = keeper.checkpoint
        with closing(RefusalFile(task.errors, checkpoint.errors_size, task.complain)) as refusals:
            kind, items = _items(task, source, checkpoint)
            importer = _Importer(task, kind, keeper, refusals)
            for batch in _batches(items):
                importer.take(batch)
                keeper.keep()
                importer.fold_if_many()
                watcher.passed(checkpoint, source)
                if watcher.wants_end:
                    raise StoppedError(checkpoint)
            importer.fold()
        keeper.forget()
        return checkpoint


def _keeper(task: Task) -> CheckpointKeeper:
    options = {name: str(value) for name, value in asdict(task.defaults).items()}
    what = {"format": task.format, **options, **(fingerprint(task.path) if task.path else {})}
    if task.resume and task.checkpoint and task.checkpoint.exists():
        return CheckpointKeeper.found(task.checkpoint, what)
    return CheckpointKeeper.new(task.checkpoint, what)


def _items(task: Task, source: Source, checkpoint: Checkpoint) -> tuple[Format, Iterator[Item]]:
    """The file's format, and its items from ``checkpoint`` on."""
    lines = source.lines()
    first = next(lines, None)
    if first is None:
        return "jsonl", iter(())
    kind = task.format or guess_format(task.path.name if task.path else "", first.content)
    lines = chain([first], lines)
    table = read_header(lines) if kind == "csv" else None
    if checkpoint.offset:
        lines = source.lines(checkpoint.number, checkpoint.offset)
    return kind, json_items(lines) if table is None else records(table, lines)


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    """The items in batches of limited size, so that the memory needed does not depend on the file."""
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
    """Brings batches into the ledger, and moves the checkpoint to the end of each."""

    def __init__(self, task: Task, kind: Format, keeper: CheckpointKeeper, refusals: RefusalFile) -> None:
        self._task = task
        self._call_of = call_of_result if kind == "groq-batch" else call_of
        self._has_columns = kind != "groq-batch"
        self._keeper = keeper
        self._refusals = refusals
        self._added = 0
        """The number of events that were added since the last ``fold``."""

    def take(self, batch: list[Item]) -> None:
        """Record one batch, or only check it in a dry run, and move the checkpoint to its end."""
        entries, refused = [], []
        now, organizations = datetime.now(UTC), organizations_now()
        for item in batch:
            try:
                entries.append(Entry(item.line, self._call(item, now, organizations)))
            except RefusedError as error:
                refused.append((item.line, str(error)))
        outcome = look(entries, organizations) if self._task.is_dry_run else write(entries)
        refused = sorted(refused + outcome.refused, key=lambda pair: pair[0].number)
        self._refusals.write(refused)
        checkpoint, last = self._keeper.checkpoint, batch[-1].last
        checkpoint.number, checkpoint.offset, checkpoint.errors_size = last.number, last.end, self._refusals.size
        checkpoint.read += len(batch)
        checkpoint.added += outcome.added
        self._added += 0 if self._task.is_dry_run else outcome.added
        checkpoint.known += outcome.known
        checkpoint.refused += len(refused)

    def fold_if_many(self) -> None:
        if self._added >= FOLD_AFTER:
            self.fold()

    def fold(self) -> None:
        """Wait until the events that were added are in the sums."""
        if self._added:
            fold()
            self._added = 0

    def _call(self, item: Item, now: datetime, organizations: Organizations) -> Call:
        if isinstance(item.found, RefusedError):
            raise item.found
        if self._has_columns:
            self._note(item.found.keys() - KNOWN)
        call = self._call_of(item.found, self._task.defaults, now, self._keeper.stable_id)
        refuse_homeless(call, organizations)
        return call

    def _note(self, names: Iterable[str]) -> None:
        ignored = self._keeper.checkpoint.ignored
        for name in names:
            if name not in ignored and len(ignored) < MOST_IGNORED:
                ignored.append(name[:100])
