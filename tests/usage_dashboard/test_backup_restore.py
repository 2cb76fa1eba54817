"""The drill: a ledger on one server is dumped and restored into another, empty one, and nothing is missing there."""

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from tests.places import open_directory
from usage_dashboard.embedded_postgres import EmbeddedPostgres
from usage_dashboard.pgserver import PROGRAMS

ROOT = Path(__file__).parent.parent.parent
SECONDS = 30

# What follows runs in processes that each have a server of their own. Both tell all that is in their database.
COMMON = """
import json, sys
from dataclasses import asdict
from datetime import date
import django
django.setup()
from django.core.management import CommandError, call_command
from django.db import Error, connection
from analytics import reports
from ledger.recording.record import record
from analytics.reports.selection import Selection
from tests.ledger.calls import call
from tests.ledger.folding import fold_now
from tests.analytics.test_reports import DIMENSIONS, EVERYTHING, mixed_calls

file = sys.argv[1]
YEAR = Selection(date(2026, 1, 1), date(2026, 12, 31))
SCHEMA = {
    "triggers": "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1",
    "functions": "SELECT pg_get_functiondef(oid) FROM pg_proc"
                 " WHERE pronamespace = 'public'::regnamespace AND prokind IN ('f', 'p') ORDER BY 1",
    "constraints": "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint"
                   " WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2",
    "views": "SELECT viewname, definition FROM pg_views WHERE schemaname = 'public' ORDER BY 1",
    # PostgreSQL writes a list of varchar with casts in another place once the index was made from what it wrote.
    "indexes": "SELECT regexp_replace(indexdef, '::(character varying|text)([[][]])?|[()]', '', 'g') FROM pg_indexes"
               " WHERE schemaname = 'public' ORDER BY indexname",
    "columns": "SELECT table_name, column_name, data_type, column_default, generation_expression"
               " FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2",
    "sequences": "SELECT sequencename, last_value FROM pg_sequences ORDER BY 1",
}

def ask(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()

def told():
    rows = "SELECT count(*), md5(string_agg(t::text, chr(10) ORDER BY t::text)) FROM {} AS t"
    facts = {name: ask(statement) for name, statement in SCHEMA.items()}
    facts["tables"] = {name: ask(rows.format(name)) for name in sorted(connection.introspection.table_names())}
    report = reports.Report(EVERYTHING, YEAR)
    facts["totals"] = asdict(report.totals())
    facts["by"] = {name: sorted(map(str, report.sums_by(name).items())) for name in DIMENSIONS}
    facts["sessions"] = str(reports.session_averages(EVERYTHING))
    return facts

def tell(**what):
    print(json.dumps(what, default=str))
"""

SOURCE = """
call_command("migrate", verbosity=0)
from tests.cast import make_user
from accounts import audit
from accounts.models import Organization, Role
from tests.pricing.prices import make_price
acme = Organization.objects.create(name="Acme", slug="acme", time_zone="Asia/Kathmandu")
make_user("ann", Role.USER, acme)
make_price("priced/a"), make_price("priced/b")
audit.record("member.invite", "ann", by=None, organization=acme, changes={"role": (None, "User")})
record(mixed_calls(400, ["acme", "default"]))
fold_now()  # and what is recorded next stays in the tail
record([call(organization="acme", user="ann", session_id="conversation", metadata={"a": [1, "ü"]})] * 3)
call_command("backup", file, verbosity=0, stdout=sys.stderr)
tell(facts=told())
"""

TARGET = """
def refusal(command, *arguments):
    try:
        call_command(command, *arguments)
    except CommandError as error:
        return str(error)

def is_refused(statement):
    try:
        ask(statement)
    except Error:
        return True

nothing = refusal("restore", file + ".half")
call_command("restore", file, stdout=sys.stderr)
from accounts.models import AuditRecord
from ledger.upkeep.reconciliation import reconcile
from pricing.models import Price
facts = told()
tell(
    facts=facts,
    folded=fold_now(),
    drifts=reconcile().drifts,
    the_same=told()["totals"] == facts["totals"],
    half=nothing,
    again=refusal("restore", file),
    append_only=[is_refused("UPDATE accounts_auditrecord SET subject = ''"), is_refused("DELETE FROM pricing_price")],
    goes_on=record([call(organization="acme", session_id="conversation")]).events,
)
"""


@dataclass
class Site:
    """A place where the project runs, with an embedded server of its own."""

    var_dir: Path

    def run(self, script: str, file: Path) -> dict[str, Any]:
        environment = os.environ | {
            "DJANGO_SETTINGS_MODULE": "usage_dashboard.settings",
            "VAR_DIR": str(self.var_dir),
            "EMBEDDED_POSTGRES_SETTINGS": "fsync=off,shared_buffers=16MB",
        }
        environment.pop("DATABASE_URL", None)
        done = subprocess.run(
            [sys.executable, "-c", COMMON + script, str(file)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def close(self) -> None:
        deadline = time.monotonic() + SECONDS
        while (self.var_dir / "postgres" / "postmaster.pid").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        EmbeddedPostgres(self.var_dir / "postgres").release(SECONDS)


@pytest.fixture
def sites() -> Iterator[tuple[Site, Site]]:
    with open_directory() as directory:
        pair = Site(directory / "old"), Site(directory / "new")
        yield pair
        for site in pair:
            site.close()


def test_a_restored_ledger_is_the_same_and_goes_on(sites: tuple[Site, Site], tmp_path: Path) -> None:
    old, new = sites
    file = tmp_path / "ledger.dump"
    before = old.run(SOURCE, file)["facts"]
    assert os.listdir(tmp_path) == ["ledger.dump"]
    assert file.stat().st_mode & 0o777 == 0o600
    (tmp_path / "ledger.dump.half").write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    told = new.run(TARGET, file)
    after = told["facts"]
    assert before["totals"]["requests"] == 401
    for part in before:
        assert after[part] == before[part], part
    assert (told["folded"], told["drifts"], told["the_same"]) == (1, [], True)
    assert told["append_only"] == [True, True]
    assert told["goes_on"] == 1
    assert told["half"].startswith("Nothing was restored: ")
    assert "is not empty" in told["again"]
    assert f"move {new.var_dir / 'postgres'} away" in told["again"]


@pytest.mark.django_db
def test_a_server_elsewhere_is_dumped_by_tools_that_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its password is not among the arguments, which everybody on the machine may read."""
    (tmp_path / "pg_dump").write_text('#!/bin/sh\necho "$PGPASSWORD" "$@" > "$TOLD"; echo dump > "$DUMP.unfinished"\n')
    (tmp_path / "pg_dump").chmod(0o700)
    monkeypatch.setenv("TOLD", str(tmp_path / "told"))
    monkeypatch.setenv("DUMP", str(tmp_path / "dump"))
    parameters = {"host": "db", "dbname": "usage", "password": "secret", "sslmode": "require", "pool": {}}
    monkeypatch.setattr(connection, "get_connection_params", lambda: parameters)
    call_command("backup", str(tmp_path / "dump"), tools=tmp_path, stdout=io.StringIO())
    told = (tmp_path / "told").read_text()
    assert told.startswith("secret --dbname=host=db dbname=usage sslmode=require --format=custom --file=")
    assert told.endswith(" --extension=plpgsql\n"), "an extension, such as Citus, may be missing where it is restored"
    assert (tmp_path / "dump").read_text() == "dump\n"


@pytest.mark.django_db
def test_a_backup_that_fails_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="There is no pg_dump in "):
        call_command("backup", str(tmp_path / "dump"), tools=tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.mark.django_db(transaction=True)
def test_a_backup_of_an_older_layout_says_how_to_bring_its_events_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "old.dump"
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE analytics_usageevent AS SELECT 1 AS id")
    try:
        call_command("backup", str(file), tools=PROGRAMS, stdout=io.StringIO())
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE analytics_usageevent")
    monkeypatch.setattr(connection.introspection, "table_names", list)  # as of an empty database
    with pytest.raises(CommandError, match=r"older layout.*JSON Lines.*import_events"):
        call_command("restore", str(file), tools=PROGRAMS)
