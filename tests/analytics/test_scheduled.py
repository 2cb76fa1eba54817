"""Scheduled exports: into a folder, and into a bucket of a real S3 server, by a worker that may be killed."""

import csv
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import pytest
from django.conf import settings
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.utils import timezone
from moto.server import ThreadedMotoServer
from procrastinate.contrib.django import app

from accounts.models import AuditRecord, Organization, User
from analytics import tasks
from analytics.models import ExportRun, ScheduledExport
from analytics.scheduled import periods
from analytics.scheduled.run import make_due
from ledger.models import UsageEvent
from ledger.recording.record import record
from tests.cast import connect, signed_in
from tests.jobs import forget_jobs, run_jobs
from tests.ledger.calls import call
from tests.ledger.folding import fold_now
from tests.pricing.prices import make_price
from tests.running_demo import wait_until
from tests.served import database_url
from usage_dashboard.checks import check_export_folder

pytestmark = pytest.mark.django_db(transaction=True)

OCTOBER = date(2026, 10, 1)
NOW = datetime(2026, 11, 1, 9, tzinfo=UTC)  # in Los Angeles two o'clock on November 1, when October is over
BUCKET = "finance"
OF_BUCKET = {
    "EXPORT_BUCKET": BUCKET, "EXPORT_BUCKET_REGION": "us-east-1",
    "EXPORT_BUCKET_KEY_ID": "key", "EXPORT_BUCKET_SECRET": "secret",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Path:
    settings.EXPORT_FOLDER = str(tmp_path / "out")
    return tmp_path / "out"


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of an S3 server."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3: str, settings: Any) -> Iterator[Any]:
    for name, value in {**OF_BUCKET, "EXPORT_BUCKET_ENDPOINT": s3}.items():
        setattr(settings, name, value)
    resource = boto3.resource(
        "s3", endpoint_url=s3, region_name="us-east-1", aws_access_key_id="key", aws_secret_access_key="secret"
    )
    made = resource.create_bucket(Bucket=BUCKET)
    yield made
    made.objects.delete()
    made.delete()


@pytest.fixture
def october(acme: Organization) -> list[UsageEvent]:
    """Three calls on each day of a month, and one of the next."""
    make_price("priced/a")
    noon = datetime(2026, 10, 1, 20, tzinfo=UTC)
    days = [noon + timedelta(days=number) for number in range(32)]
    record([call("priced/a", at=day + timedelta(minutes=n), organization="acme") for day in days for n in range(3)])
    fold_now()
    return list(UsageEvent.objects.filter(day__range=(OCTOBER, date(2026, 10, 31))))


def scheduled(admin: User, **fields: Any) -> ScheduledExport:
    values = {"kind": "events", "format": "csv", "every": "month", "place": "folder", "first_day": OCTOBER}
    return ScheduledExport.objects.create(organization=admin.organization, author=admin, **(values | fields))


def manifest_of(directory: Path) -> dict[str, Any]:
    """The manifest of a directory, whose files are as it says."""
    manifest: dict[str, Any] = json.loads((directory / "manifest.json").read_text())
    for part in manifest["files"]:
        content = (directory / part["name"]).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (part["bytes"], part["sha256"])
    assert {path.name for path in directory.iterdir()} == {"manifest.json", *(p["name"] for p in manifest["files"])}
    return manifest


def test_a_month_of_requests_with_a_manifest(october: list[UsageEvent], admin: User, folder: Path) -> None:
    schedule = scheduled(admin, prefix="finance/usage")
    make_due(now=NOW)
    directory = folder / "acme/finance/usage/events-csv-month/2026-10-01_2026-10-31"
    manifest = manifest_of(directory)
    assert (manifest["schema_version"], manifest["organization"], manifest["rows"]) == (1, "acme", len(october))
    assert [part["rows"] for part in manifest["files"]] == [3] * 31
    assert Decimal(manifest["totals"]["cost_usd"]) == sum(e.cost_usd or 0 for e in october)
    with (directory / "events_2026-10-31.csv").open(encoding="utf-8-sig", newline="") as file:
        assert {row["day"] for row in csv.DictReader(file)} == {"2026-10-31"}
    run = ExportRun.objects.get(schedule=schedule)
    assert run.finished_at is not None
    assert AuditRecord.objects.get(action="export.finish").organization == admin.organization


@pytest.mark.parametrize(
    ("kind", "format_", "more"),
    [("focus", "csv", {}), ("focus", "parquet", {}), ("table", "csv", {"by": "model"}), ("events", "parquet", {}),
     ("events", "jsonl", {"every": "week"})],
)  # fmt: skip
def test_other_files(
    october: list[UsageEvent], admin: User, folder: Path, kind: str, format_: str, more: dict[str, Any]
) -> None:
    scheduled(admin, kind=kind, format=format_, **more)
    make_due(now=NOW)
    made = sorted(folder.glob(f"acme/{kind}-{format_}-*/*"))
    manifests = [manifest_of(path) for path in made]
    assert all(part["rows"] for manifest in manifests for part in manifest["files"][3:])
    assert [path.name for path in made] == (
        ["2026-10-01_2026-10-31"] if "every" not in more
        else ["2026-09-28_2026-10-04", "2026-10-05_2026-10-11", "2026-10-12_2026-10-18", "2026-10-19_2026-10-25"]
    )  # fmt: skip


def test_the_files_are_not_for_everybody_on_the_server(october: list[UsageEvent], admin: User, folder: Path) -> None:
    scheduled(admin, kind="focus")
    make_due(now=NOW)
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()} == {0o640}


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_long_text_is_no_obstacle(admin: User, folder: Path, kind: str) -> None:
    at = datetime(2026, 10, 1, 20, tzinfo=UTC)
    record([call(at=at, organization="acme", metadata={"text": 'a "long"\r\none ' * 20_000})])
    scheduled(admin, every="day", format=kind)
    make_due(now=datetime(2026, 10, 2, 9, tzinfo=UTC))
    assert (manifest_of(folder / ExportRun.objects.get().directory)["rows"]) == 1


def test_the_command_says_whether_all_is_made(
    october: list[UsageEvent], admin: User, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scheduled(admin, kind="table", by="model")
    call_command("make_exports")
    assert capsys.readouterr().out == "All exports of periods that are over are finished.\n"
    ExportRun.objects.update(finished_at=None, retry_at=timezone.now() + timedelta(hours=1))
    with pytest.raises(CommandError, match=r"^Unfinished: \d+\. The page Exports of the organization says why\.$"):
        call_command("make_exports")


def test_a_finished_period_is_never_written_again(october: list[UsageEvent], admin: User, folder: Path) -> None:
    schedule = scheduled(admin)
    make_due(now=NOW)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    make_due(now=NOW)
    schedule.delete()
    schedule = scheduled(admin)
    make_due(now=NOW)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before
    assert "finished export" in ExportRun.objects.get(schedule=schedule).problem


def test_only_what_is_missing_or_damaged_is_made_again(october: list[UsageEvent], admin: User, folder: Path) -> None:
    schedule = scheduled(admin)
    make_due(now=NOW)
    directory = folder / ExportRun.objects.get().directory
    (directory / "manifest.json").unlink()
    ExportRun.objects.update(finished_at=None)
    whole = (directory / "events_2026-10-03.csv").read_bytes()
    (directory / "events_2026-10-03.csv").write_bytes(b"x" * len(whole))
    (directory / "events_2026-10-04.csv").unlink()
    untouched = (directory / "events_2026-10-05.csv").stat().st_mtime_ns
    make_due(now=NOW)
    assert schedule.runs.get().finished_at is not None
    assert (directory / "events_2026-10-03.csv").read_bytes() == whole
    assert (directory / "events_2026-10-05.csv").stat().st_mtime_ns == untouched
    assert len(manifest_of(directory)["files"]) == 31


def test_a_worker_that_is_told_to_end_leaves_the_rest(october: list[UsageEvent], admin: User, folder: Path) -> None:
    scheduled(admin)
    asked = iter([False, False, True])
    make_due(lambda: next(asked), NOW)
    assert len(ExportRun.objects.get().parts) == 2
    make_due(now=NOW)
    assert ExportRun.objects.get().finished_at is not None


def test_a_killed_worker_goes_on_in_the_bucket(
    october: list[UsageEvent], admin: User, bucket: Any, s3: str, tmp_path: Path
) -> None:
    """The worker is killed while it waits for a lock, with a file in the bucket that it has not recorded yet."""
    scheduled(admin, place="bucket")
    environment = {
        **os.environ, **OF_BUCKET, "EXPORT_BUCKET_ENDPOINT": s3, "DATABASE_URL": database_url(),
        "JOURNAL_DIR": str(tmp_path),
    }  # fmt: skip
    command = [sys.executable, "manage.py", "make_exports"]
    worker = subprocess.Popen(command, cwd=settings.BASE_DIR, env=environment, stdout=subprocess.DEVNULL)
    with connect() as connection:
        try:
            wait_until(lambda: len(getattr(ExportRun.objects.first(), "parts", ())) >= 3, 60)
            with connection.transaction():
                connection.execute("LOCK TABLE analytics_exportrun IN EXCLUSIVE MODE")
                worker.send_signal(signal.SIGKILL)
                worker.wait(20)
        finally:
            worker.kill()
    parts = ExportRun.objects.get().parts
    assert 3 <= len(parts) < 31
    written = {o.key: o.last_modified for o in bucket.objects.all()}
    assert not any(key.endswith("manifest.json") for key in written)
    ours = {key for key in written if key.rpartition("/")[2] in {part["name"] for part in parts}}
    make_due(now=NOW)
    now_there = {o.key: o for o in bucket.objects.all()}
    assert {key: now_there[key].last_modified for key in ours} == {key: written[key] for key in ours}
    run = ExportRun.objects.get()
    manifest = json.loads(bucket.Object(f"{run.directory}/manifest.json").get()["Body"].read())
    assert manifest["files"] == run.parts
    assert manifest["rows"] == len(october)
    for part in manifest["files"]:
        content = bucket.Object(f"{run.directory}/{part['name']}").get()["Body"].read()
        assert hashlib.sha256(content).hexdigest() == part["sha256"]
    assert len(now_there) == 32


def test_a_failure_is_told_and_tried_again_after_a_pause(
    october: list[UsageEvent], admin: User, settings: Any, s3: str, bucket: Any, folder: Path
) -> None:
    settings.EXPORT_BUCKET = "no-such-bucket"
    scheduled(admin, place="bucket")
    make_due(now=NOW)
    run = ExportRun.objects.get()
    assert run.retry_at is not None
    first = run.retry_at
    assert AuditRecord.objects.filter(action="export.fail").count() == 1
    page = signed_in(admin).get(f"/organization/{admin.organization_id}/exports/").content.decode()
    assert "bucket could not be reached" in page
    make_due(now=first - timedelta(seconds=1))
    assert ExportRun.objects.get().attempts == 1
    make_due(now=first)
    run = ExportRun.objects.get()
    assert run.attempts == 2
    assert run.retry_at is not None
    assert signed_in(admin).post(f"/organization/exports/{run.pk}/again/").status_code == 302
    settings.EXPORT_BUCKET = BUCKET
    make_due(now=NOW)
    assert ExportRun.objects.get().finished_at is not None


def test_it_ends_with_the_rights_of_its_author(october: list[UsageEvent], admin: User, folder: Path) -> None:
    scheduled(admin)
    admin.groups.clear()
    make_due(now=NOW)
    assert "may no longer export" in ExportRun.objects.get().problem
    assert not folder.exists()


def test_a_period_is_over_an_hour_after_it_ended_there(admin: User, acme: Organization) -> None:
    schedule = scheduled(admin, every="day", first_day=date(2026, 10, 30))
    over = {at: periods.periods_over(schedule, datetime(2026, 10, 31, *at, tzinfo=UTC)) for at in ((7, 59), (8, 0))}
    assert over == {(7, 59): [], (8, 0): [(date(2026, 10, 30), date(2026, 10, 30))]}


def posted(admin: User, **fields: str) -> Any:
    values = {"kind": "events", "format": "csv", "every": "day", "place": "folder", "prefix": "", "by": ""} | fields
    return signed_in(admin).post(f"/organization/{admin.organization_id}/exports/add/", values)


def test_an_admin_schedules_and_removes_one(admin: User, folder: Path) -> None:
    assert posted(admin, prefix="a/b.c").status_code == 302
    schedule = ScheduledExport.objects.get()
    assert (schedule.author, schedule.directory) == (admin, "acme/a/b.c/events-csv-day")
    assert "a/b.c" in signed_in(admin).get(f"/organization/{admin.organization_id}/exports/").content.decode()
    assert "such an export" in posted(admin, prefix="a/b.c").content.decode()
    assert signed_in(admin).post(f"/organization/exports/{schedule.pk}/remove/").status_code == 302
    assert list(AuditRecord.objects.order_by("pk").values_list("action", flat=True)) == ["export.add", "export.remove"]


@pytest.mark.parametrize("prefix", ["..", "a/../b", "/etc", "a//b", ".ssh", "a\\b", "a b", "a/", "x" * 101, "é", "a\n"])
def test_no_path_leads_elsewhere(admin: User, folder: Path, prefix: str) -> None:
    assert posted(admin, prefix=prefix).status_code == 200 or ScheduledExport.objects.get().prefix == prefix.strip()
    assert not ScheduledExport.objects.exclude(prefix__regex=r"^[a-z]*$").exists()


@pytest.mark.parametrize(
    ("fields", "told"),
    [({"kind": "focus"}, "whole month"), ({"kind": "table"}, "grouped by"),
     ({"kind": "focus", "every": "month", "format": "jsonl"}, "Choose one of"), ({"place": "bucket"}, "valid choice")],
)  # fmt: skip
def test_what_cannot_be_is_told(admin: User, folder: Path, fields: dict[str, str], told: str) -> None:
    assert told in posted(admin, **fields).content.decode()
    assert not ScheduledExport.objects.exists()


def test_without_a_place_or_the_permission(admin: User, settings: Any) -> None:
    settings.EXPORT_FOLDER = settings.EXPORT_BUCKET = ""
    address = f"/organization/{admin.organization_id}/exports/"
    assert "EXPORT_FOLDER" in signed_in(admin).get(address).content.decode()
    group = admin.groups.get()
    group.permissions.remove(Permission.objects.get(codename="export_usageevent"))
    try:
        assert signed_in(admin).get(address).status_code == 403
        assert posted(admin).status_code == 403
    finally:
        group.permissions.add(Permission.objects.get(codename="export_usageevent"))


def test_a_folder_that_is_none_is_told(folder: Path, settings: Any) -> None:
    assert [error.id for error in check_export_folder(None)] == ["usage_dashboard.E020"]
    folder.mkdir()
    assert check_export_folder(None) == []
    settings.EXPORT_FOLDER = "relative"
    assert [error.id for error in check_export_folder(None)] == ["usage_dashboard.E020"]


def test_the_worker_makes_them(october: list[UsageEvent], admin: User, folder: Path) -> None:
    scheduled(admin, first_day=date(2026, 10, 31))
    forget_jobs()
    assert re.fullmatch(r"\*/5 .*", app.periodic_registry.periodic_tasks["scheduled_exports", ""].cron)
    tasks.scheduled_exports.defer(timestamp=0)
    run_jobs()
    assert ExportRun.objects.get(first_day=OCTOBER).finished_at is not None
    forget_jobs()
