"""A later release migrates while this one records, and while somebody reads for long. Nobody notices.

UPGRADE_EVENTS=10000000 tries a ledger of that size; the suite's is small.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django.fixtures import Settings

from tests import database_template
from tests.cast import connect
from tests.running_demo import ROOT
from tests.served import database_url

pytestmark = pytest.mark.django_db(transaction=True)

EVENTS = int(os.environ.get("UPGRADE_EVENTS", "50000"))
LOCK_MS = 200
PASSING_SECONDS = 3
"""What a call may take beside the time for which the migration waits for its lock, on a busy machine."""
SECONDS = 600
MULTIPLY = """
INSERT INTO ledger_usageevent ({columns})
SELECT {values} FROM (SELECT * FROM ledger_usageevent LIMIT 1) AS event, generate_series(1, {events}) AS n
"""
INDEX = """
SELECT indisvalid, pg_get_indexdef(indexrelid) LIKE '%(model, day)' FROM pg_index
WHERE indexrelid = 'made_online'::regclass
"""


class Ledger:
    """A ledger of its own, on the server of the tests."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.environment = {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "usage_dashboard.settings"}

    def connect(self) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(self.url, autocommit=True)

    def start(self, *words: str, **more: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, *words],
            cwd=ROOT,
            env=self.environment | more,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def migrate(self, **more: str) -> "subprocess.Popen[str]":
        later = {"DJANGO_SETTINGS_MODULE": "tests.upgrade.later", "MIGRATE_LOCK_MS": str(LOCK_MS), **more}
        return self.start("manage.py", "migrate", "--no-color", **later)

    def ask(self, statement: str) -> tuple[object, ...]:
        with self.connect() as asking:
            row = asking.execute(statement).fetchone()
        assert row is not None
        return row


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    if connection.settings_dict["ENGINE"] != database_template.EMBEDDED:
        pytest.skip("A database of its own is made on the tests' own server alone.")
    name = f"live_{os.getpid()}"
    template = connection.settings_dict["TEST"]["TEMPLATE"]
    with connection._nodb_cursor() as cursor:
        cursor.execute(f'DROP DATABASE IF EXISTS "{name}"')
        cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    yield Ledger(
        urlsplit(database_url())._replace(path=f"/{name}").geturl().replace("postgresql:/", "postgresql:///", 1)
    )
    with connection._nodb_cursor() as cursor:
        cursor.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def fill(ledger: Ledger, events: int) -> None:
    """Copies of the one event that is there, in an organization that does not exist, so that no sums are asked for."""
    own = {"organization_id": "1000000", "request_id": "'copy-' || n", "provider_request_id": "''", "response_id": "''"}
    with ledger.connect() as filling:
        query = "SELECT column_name FROM information_schema.columns WHERE table_name = 'ledger_usageevent' ORDER BY 1"
        columns = [str(name) for (name,) in filling.execute(query) if name != "id"]
        values = [own.get(column, f"event.{column}") for column in columns]
        statement = MULTIPLY.format(columns=", ".join(columns), values=", ".join(values), events=events)
        filling.execute(statement)  # type: ignore[call-overload]


def test_nobody_notices_a_migration(ledger: Ledger) -> None:
    writers = ledger.start("-m", "tests.upgrade.writers")
    assert writers.stdout is not None
    assert writers.stdout.readline() == "ready\n"
    fill(ledger, EVENTS)
    with ledger.connect() as breaking:  # as an attempt leaves it that was interrupted
        breaking.execute("CREATE INDEX made_online ON ledger_usageevent (model)")
        breaking.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'made_online'::regclass")
    with ledger.connect() as reader, reader.transaction():
        reader.execute("SELECT 1 FROM ledger_usageevent LIMIT 1")  # and the lock on the table is kept
        migration = ledger.migrate()
        assert migration.stdout is not None
        told = ""
        while told.count("Trying again") < 3 and migration.poll() is None:
            told += migration.stdout.readline()
        assert told.count("Trying again") == 3, told
    rest, _ = migration.communicate(timeout=SECONDS)
    assert migration.returncode == 0, told + rest
    said, _ = writers.communicate(timeout=SECONDS)
    result = json.loads(said.splitlines()[-1])
    assert result["failed"] == []
    assert result["longest"] < LOCK_MS / 1000 + PASSING_SECONDS
    assert ledger.ask(INDEX) == (True, True)
    assert ledger.ask("SELECT count(*) FROM ledger_usageevent WHERE region = ''") == (result["recorded"] + EVENTS,)


def test_a_migration_that_gets_no_lock_gives_up_and_says_what_to_look_at(settings: Settings) -> None:
    settings.MIGRATION_MODULES = {"ledger": "tests.upgrade.migrations"}
    settings.MIGRATE_LOCK_MS, settings.MIGRATE_PATIENCE_SECONDS = 50, 0
    with connect() as reader, reader.transaction():
        reader.execute("SELECT 1 FROM ledger_usageevent LIMIT 1")
        with pytest.raises(CommandError, match=r"Somebody held a lock for 0 seconds\..*pg_stat_activity"):
            call_command("migrate", "ledger", "9001", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('lock_timeout'), count(*) FROM django_migrations WHERE name ~ '^9'")
        assert cursor.fetchone() == ("0", 0)
