"""Makes the files that are due. Whatever ends a run, the next one goes on where it ended: a file that is complete is
recorded in the database, checked where it lies, and not made again. The manifest is written last, so that whoever waits
for it finds everything there, and a period with a manifest is never written again."""

import io
import json
import logging
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from django.core.files.storage import Storage
from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.viewer import Viewer
from analytics.export.focus import VERSION, DeletedError
from analytics.models import ExportRun, ScheduledExport
from analytics.reports import Report, TooManyRowsError, retained_from
from analytics.reports.selection import Selection
from analytics.scheduled.files import SCHEMA_VERSION, Make, files_of, rows_in
from analytics.scheduled.periods import periods_over
from analytics.scheduled.places import NotConfiguredError, digest_of, is_there, put, storage_of

logger = logging.getLogger("usage.exports")

MANIFEST = "manifest.json"
FIRST_PAUSE = timedelta(minutes=5)
LONGEST_PAUSE = timedelta(hours=6)
PROBLEMS: dict[type[Exception], str] = {
    NotConfiguredError: "The settings name no such place any more. Ask whoever runs this service to set it, or remove"
    " this export.",
    DeletedError: "Requests of this period were deleted, so that it can no longer be told in detail.",
    TooManyRowsError: "The table would have too many rows. Remove this export, and add one by another dimension.",
    FileExistsError: "There is a finished export of this period already, which is not replaced. Move it away first.",
    PermissionError: "Whoever added this export may no longer export or see costs, or the folder cannot be written to."
    " Let another Admin add it, or ask whoever runs this service.",
}
OTHERWISE = "The files could not be written. Ask whoever runs this service to look at the worker's log."
OF_BUCKET = "The bucket could not be reached or refused. Ask whoever runs this service to check the bucket's settings."

Abort = Callable[[], bool]


class StoppedError(Exception):
    """The worker is to end. The next one goes on."""


def make_due(should_abort: Abort = lambda: False, now: datetime | None = None) -> None:
    """Make the files of all periods that are over and have none yet."""
    now = now or timezone.now()
    for schedule in ScheduledExport.objects.select_related("organization", "author"):
        for first_day, last_day in periods_over(schedule, now):
            run = ExportRun.objects.get_or_create(
                schedule=schedule, first_day=first_day, defaults={"last_day": last_day}
            )[0]
            run.schedule = schedule
            if run.finished_at is None and (run.retry_at is None or run.retry_at <= now):
                try:
                    make(run, should_abort)
                except StoppedError:
                    return


def make(run: ExportRun, should_abort: Abort = lambda: False) -> None:
    """Make the missing files of a run. A failure is told on the page, and tried again after a pause."""
    try:
        _make(run, should_abort)
    except StoppedError:
        raise
    except Exception as error:
        logger.exception("The scheduled export %s of %s failed.", run.schedule_id, run)
        _failed(run, error)


def _make(run: ExportRun, should_abort: Abort) -> None:
    viewer = _viewer_of(run.schedule)
    storage = storage_of(run.schedule.place)
    manifest = f"{run.directory}/{MANIFEST}"
    if storage.exists(manifest):
        _adopt(run, storage, manifest)
        return
    selection = Selection(run.first_day, run.last_day)
    if run.schedule.kind == ScheduledExport.Kind.EVENTS and retained_from(viewer, selection):
        raise DeletedError
    known = {part["name"]: part for part in run.parts}
    for name, make_file in files_of(run, viewer):
        if should_abort():
            raise StoppedError
        part, path = known.get(name), f"{run.directory}/{name}"
        if part is None or not is_there(storage, path, part["bytes"], part["sha256"]):
            known[name] = _part(storage, path, make_file)
            run.parts = list(known.values())
            run.save(update_fields=["parts"])
    told = _manifest(run, viewer, selection)
    put(storage, manifest, io.BytesIO(json.dumps(told, indent=2).encode()))
    _finish(run)


def _viewer_of(schedule: ScheduledExport) -> Viewer:
    """What the author may see now. PermissionError if that is no longer enough."""
    viewer = Viewer.of(schedule.author)
    if not (viewer.may_export and viewer.sees_cost and viewer.may_administer(schedule.organization_id)):
        raise PermissionError
    return viewer.within(schedule.organization)


def _part(storage: Storage, path: str, make_file: Make) -> dict[str, Any]:
    """Write a file, and what the manifest says about it. The file is complete on disk before it is sent."""
    name = path.rpartition("/")[2]
    with TemporaryDirectory(prefix="export-") as folder:
        local = Path(folder) / name
        with local.open("wb") as out:
            for chunk in make_file():
                out.write(chunk)
        with local.open("rb") as file:
            size, sha256 = digest_of(file)
            put(storage, path, file)
        return {"name": name, "rows": rows_in(local), "bytes": size, "sha256": sha256}


def _manifest(run: ExportRun, viewer: Viewer, selection: Selection) -> dict[str, Any]:
    schedule, totals = run.schedule, Report(viewer, selection).totals()
    return {
        "schema_version": SCHEMA_VERSION,
        "focus_version": VERSION if schedule.kind == ScheduledExport.Kind.FOCUS else None,
        "organization": schedule.organization.slug,
        "time_zone": schedule.organization.time_zone,
        "export": {
            "kind": schedule.kind,
            "format": schedule.format,
            "every": schedule.every,
            "by": schedule.by or None,
        },
        "first_day": str(run.first_day),
        "last_day": str(run.last_day),
        "rows": sum(part["rows"] for part in run.parts),
        "totals": {name: _plain(value) for name, value in asdict(totals).items() if name in _TOTALS},
        "files": run.parts,
        "finished_at": timezone.now().isoformat(timespec="seconds"),
    }


_TOTALS = (
    "requests",
    "errors",
    "unpriced",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "total_tokens",
    "cost_usd",
)


def _plain(value: Any) -> int | str:
    return value if isinstance(value, int) else f"{value:f}"


def _adopt(run: ExportRun, storage: Storage, manifest: str) -> None:
    """End a run whose manifest was written just before its worker was killed. FileExistsError if it is another's."""
    with storage.open(manifest, "rb") as file:
        files = json.loads(file.read())["files"]
    if not run.parts or files != run.parts:
        raise FileExistsError(manifest)
    _finish(run)


def _finish(run: ExportRun) -> None:
    with transaction.atomic():
        run.finished_at, run.problem, run.retry_at = timezone.now(), "", None
        run.save()
        _audit(run, "export.finish", {"files": (None, len(run.parts)), "bytes": (None, run.size)})


def _failed(run: ExportRun, error: Exception) -> None:
    """Say so, and pause: 5 minutes, and twice as long after each further failure, up to 6 hours."""
    run.attempts += 1
    run.retry_at = timezone.now() + min(FIRST_PAUSE * 2 ** min(run.attempts - 1, 10), LONGEST_PAUSE)
    otherwise = OF_BUCKET if isinstance(error, BotoCoreError | ClientError) else OTHERWISE
    run.problem = next((told for kind, told in PROBLEMS.items() if isinstance(error, kind)), otherwise)
    with transaction.atomic():
        run.save()
        if run.attempts == 1:
            _audit(run, "export.fail", {"problem": (None, run.problem)})


def _audit(run: ExportRun, action: str, changes: audit.Changes) -> None:
    organization = run.schedule.organization
    audit.record(action, f"{run.schedule}, {run}", by=None, organization=organization, changes=changes)
