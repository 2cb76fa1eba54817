"""``manage.py import_events FILE …``: import events from files into the ledger."""

import signal
import sqlite3
import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, OutputWrapper
from django.db import DatabaseError

from accounts.models import Organization
from ledger.importing import RefusedError
from ledger.importing.checkpoint import Checkpoint, NoCheckpointError
from ledger.importing.columns import Defaults
from ledger.importing.formats import FORMATS
from ledger.importing.lines import DamagedFileError, Source
from ledger.importing.run import StoppedError, Task, import_file
from ledger.importing.values import time as moment_of
from ledger.management.options import can_be_run_again

BAR = 30
SECONDS_BETWEEN_BARS = 0.2


class Command(BaseCommand):
    help = (
        "Adds the events in these files to the ledger: JSON Lines or CSV with the columns of our export, or the "
        "results of a Groq batch; gzipped or not. What is there already, by its request id, is left as it is, so that "
        "a file can be imported again. Costs are computed from our own prices. docs/operations.md has the columns."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("files", nargs="+", metavar="FILE", help="- is standard input")
        parser.add_argument("--format", choices=FORMATS, help="default: by the file's name and first line")
        parser.add_argument("--organization", metavar="SLUG", help="of lines that name none")
        parser.add_argument("--project", metavar="SLUG", default="", help="of lines that name none")
        parser.add_argument("--user", metavar="HANDLE", default="", help="of lines that name nobody")
        parser.add_argument("--at", type=_moment, metavar="TIME", help="of lines of a Groq batch that tell none")
        parser.add_argument("--model", default="", help="of lines of a Groq batch of audio, which tell none")
        parser.add_argument("--errors", type=Path, metavar="FILE", help="for refused lines (default FILE.errors.jsonl)")
        parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
        parser.add_argument("--resume", action="store_true", help="go on where an import was stopped")

    @can_be_run_again()
    def handle(self, *, files: list[str], **options: Any) -> None:
        if options["errors"] and (len(files) > 1 or options["errors"].resolve() == Path(files[0]).resolve()):
            raise CommandError("--errors goes with one FILE, and is another file.")
        organization = options["organization"] or settings.DEFAULT_ORGANIZATION
        if options["organization"] and not Organization.objects.filter(slug=organization).exists():
            raise CommandError(f"There is no organization {organization!r}.")
        watcher = Progress(self.stderr)
        refused = 0
        with watcher.listening():
            for name in files:
                path = None if name == "-" else Path(name)
                task = Task(
                    path=path,
                    errors=options["errors"] or (path and path.with_name(f"{path.name}.errors.jsonl")),
                    defaults=Defaults(
                        organization, options["project"], options["user"], options["at"], options["model"]
                    ),
                    complain=self.stderr.write,
                    format=options["format"],
                    is_dry_run=options["dry_run"],
                    resume=options["resume"],
                )
                refused += self._import(name, task, watcher)
        if refused:
            lines = "line was" if refused == 1 else "lines were"
            raise CommandError(f"{refused:,} {lines} refused{_where(task) if len(files) == 1 else ''}.")

    def _import(self, name: str, task: Task, watcher: "Progress") -> int:
        try:
            checkpoint = import_file(task, watcher)
        except StoppedError as stop:
            watcher.clear()
            self._say(name, task, stop.checkpoint)
            words = f"Stopped after line {stop.checkpoint.number:,} of {name}.{_way_on(task)}"
            raise CommandError(words, returncode=128 + watcher.signal) from None
        except (RefusedError, NoCheckpointError, DamagedFileError, OSError) as error:
            watcher.clear()
            raise CommandError(f"{name}: {error}") from error
        except sqlite3.Error as error:
            watcher.clear()
            raise CommandError(f"{name}: the checkpoint cannot be kept in {task.checkpoint}: {error}") from error
        except (psycopg.Error, DatabaseError) as error:
            watcher.clear()
            words = str(error).strip().partition("\n")[0]
            raise CommandError(f"{name}: the database does not take it: {words}.{_way_on(task)}") from error
        watcher.clear()
        self._say(name, task, checkpoint)
        return checkpoint.refused

    def _say(self, name: str, task: Task, checkpoint: Checkpoint) -> None:
        added = "would be added" if task.is_dry_run else "added"
        self.stdout.write(
            f"{name}: {checkpoint.read:,} read, {checkpoint.added:,} {added}, {checkpoint.known:,} already there,"
            f" {checkpoint.refused:,} refused{_where(task) if checkpoint.refused else ''}"
        )
        if checkpoint.ignored:
            self.stdout.write(f"{name}: these columns mean nothing here: {', '.join(sorted(checkpoint.ignored))}")


class Progress:
    """Shows a progress bar on a terminal, and handles Ctrl-C and SIGTERM: the first signal ends the import after the
    present batch, and a second one ends it at once."""

    def __init__(self, stderr: OutputWrapper) -> None:
        self.signal = 0
        self._stderr = stderr
        self._is_watched = stderr.isatty()
        self._began = self._drawn = time.monotonic()

    @property
    def wants_end(self) -> bool:
        return bool(self.signal)

    def passed(self, checkpoint: Checkpoint, source: Source) -> None:
        now = time.monotonic()
        if not self._is_watched or now - self._drawn < SECONDS_BETWEEN_BARS:
            return
        self._drawn = now
        bar = ""
        if source.size:
            share = min(source.done / source.size, 1)
            bar = f"[{'#' * round(BAR * share):{BAR}}] {share:4.0%}  "
        self._write(f"\r{bar}{checkpoint.read:,} lines, {checkpoint.refused:,} refused\x1b[K")

    def clear(self) -> None:
        if self._is_watched:
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        self._stderr.write(text, ending="")
        self._stderr.flush()

    @contextmanager
    def listening(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._hear) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _where(task: Task) -> str:
    return f", see {task.errors}" if task.errors else ""


def _way_on(task: Task) -> str:
    return " --resume goes on from there." if task.checkpoint else ""


def _moment(text: str) -> datetime:
    try:
        moment = moment_of({"it": text}, "it", datetime.now(UTC))
    except RefusedError as error:
        raise ArgumentTypeError(str(error)) from None
    assert moment is not None
    return moment
