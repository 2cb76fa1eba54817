"""Every migration after those of release 1.0.0 leaves a ledger of millions of events usable while it runs."""

import pytest
import sqlparse
from django.db import connection
from django.db.migrations import Migration, RunPython
from django.db.migrations.loader import MigrationLoader

from tests.upgrade.rules import RULES, violations

OURS = {"accounts", "analytics", "budgets", "ledger", "pricing", "usage_dashboard"}
FIRST = {"accounts": 7, "analytics": 1, "ledger": 1, "pricing": 3}
"""The last migration of each app that was there before anybody could have had a large ledger."""

REFUSED = (
    'CREATE INDEX "x" ON "ledger_usageevent" ("model")',
    "CREATE UNIQUE INDEX x ON ledger_session USING btree (id)",
    'ALTER TABLE "ledger_usageevent" ALTER COLUMN "model" TYPE text USING "model"::text',
    'ALTER TABLE "ledger_usageevent" ADD COLUMN "at" timestamptz DEFAULT now() NOT NULL',
    'ALTER TABLE "ledger_usageevent" ADD COLUMN "twice" integer GENERATED ALWAYS AS (attempts * 2) STORED',
    'ALTER TABLE "ledger_usageevent" ADD COLUMN "region" varchar(9) NOT NULL',
    'ALTER TABLE "ledger_usageevent" ALTER COLUMN "region" DROP DEFAULT',
    'ALTER TABLE "ledger_rollup_5" ALTER COLUMN "cost_usd" SET NOT NULL',
    'ALTER TABLE "ledger_tail" ADD CONSTRAINT "c" CHECK ("id" > 0)',
    'ALTER TABLE "ledger_session" ADD CONSTRAINT "u" UNIQUE ("id")',
    'ALTER TABLE "ledger_usageevent" RENAME COLUMN "model" TO "name"',
    'ALTER TABLE "ledger_usageevent" DROP COLUMN "model" CASCADE',
    "LOCK TABLE ledger_tail IN EXCLUSIVE MODE",
    "DROP TABLE ledger_supplement",
    "REINDEX TABLE ledger_usageevent",
    "-- to fill it\nUPDATE ledger_usageevent SET region = 'eu'",
    "DELETE FROM ledger_session",
    "INSERT INTO ledger_rollup SELECT * FROM ledger_usageevent",
)
ALLOWED = (
    'CREATE INDEX CONCURRENTLY "x" ON "ledger_usageevent" ("model")',
    'CREATE INDEX "x" ON "accounts_user" ("handle")',
    'ALTER TABLE "ledger_usageevent" ADD COLUMN "region" varchar(9) NULL',
    'ALTER TABLE "ledger_usageevent" ADD COLUMN "region" varchar(9) DEFAULT \'\' NOT NULL',
    'ALTER TABLE "ledger_tail" ADD CONSTRAINT "c" CHECK ("id" > 0) NOT VALID',
    'ALTER TABLE "ledger_tail" VALIDATE CONSTRAINT "c"',
    "ALTER TABLE ledger_session ADD CONSTRAINT u UNIQUE USING INDEX x",
    "REINDEX INDEX CONCURRENTLY ledger_usageevent_pkey",
    'ALTER TABLE "pricing_price" ALTER COLUMN "note" TYPE text',
)


def later_migrations() -> dict[str, Migration]:
    loader = MigrationLoader(None)
    return {
        f"{app}.{name}": migration
        for (app, name), migration in sorted(loader.disk_migrations.items())
        if app in OURS and int(name[:4]) > FIRST.get(app, 0)
    }


@pytest.mark.parametrize("statement", REFUSED)
def test_what_would_hold_others_up_is_refused(statement: str) -> None:
    assert violations([statement])


@pytest.mark.parametrize("statement", ALLOWED)
def test_what_takes_a_moment_is_allowed(statement: str) -> None:
    assert violations([statement]) == []


def test_each_rule_refuses_something() -> None:
    assert [rule.pattern for rule in RULES if not any(rule.finds(s.split("\n")[-1]) for s in REFUSED)] == [
        r"^ALTER TABLE LARGE .*(?:SET TABLESPACE|SET LOGGED|SET UNLOGGED|SET ACCESS METHOD)"
    ]


def test_tables_that_the_same_migration_makes_are_empty() -> None:
    statements = ["CREATE TABLE ledger_rollup_31 (id bigint)", "CREATE INDEX x ON ledger_rollup_31 (id)"]
    assert violations(statements) == []


@pytest.mark.django_db
def test_no_later_migration_holds_others_up() -> None:
    loader = MigrationLoader(connection)
    found = {}
    for name, migration in later_migrations().items():
        text = "\n".join(loader.collect_sql([(migration, False)]))
        statements = sqlparse.split(text)
        if wrong := violations(statements):
            found[name] = wrong
    assert found == {}


def test_no_later_migration_of_the_ledger_runs_python() -> None:
    """What Python does to a large table cannot be read here. The worker does such things, in batches."""
    python = [
        name
        for name, migration in later_migrations().items()
        if name.startswith("ledger.") and any(isinstance(operation, RunPython) for operation in migration.operations)
    ]
    assert python == []
