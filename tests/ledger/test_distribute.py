"""``manage.py distribute`` with stand-ins for the functions of Citus, which note their calls."""

from datetime import date
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from accounts.models import Organization
from ledger.citus import TABLES, is_distributed
from ledger.models import Rollup

pytestmark = pytest.mark.django_db

STAND_INS = """
CREATE TABLE asked (n serial, what text);
CREATE TABLE pg_dist_node (isactive bool, noderole text, shouldhaveshards bool);
CREATE TABLE pg_dist_partition (logicalrelid regclass);
CREATE FUNCTION create_distributed_function(regprocedure) RETURNS void LANGUAGE sql AS
    $$ INSERT INTO asked (what) VALUES (format('function %s', $1)) $$;
CREATE FUNCTION create_distributed_table(table_name regclass, distribution_column text, colocate_with text)
RETURNS void LANGUAGE sql AS $$
    INSERT INTO asked (what) VALUES (format('%s by %s with %s', $1, $2, $3));
    INSERT INTO pg_dist_partition VALUES ($1)
$$;
CREATE FUNCTION truncate_local_data_after_distributing_table(regclass) RETURNS void LANGUAGE sql AS
    $$ INSERT INTO asked (what) VALUES (format('truncate %s', $1)) $$;
"""
ALL = [
    "function ledger_union(anyarray,anyarray)",
    "ledger_usageevent by organization_id with none",
    "truncate ledger_usageevent",
    "ledger_tail by organization_id with ledger_usageevent",
    "truncate ledger_tail",
    "ledger_rollup by organization_id with ledger_usageevent",
    "truncate ledger_rollup",
    "ledger_session by organization_id with ledger_usageevent",
    "truncate ledger_session",
]


@pytest.fixture(autouse=True)
def no_citus() -> None:
    if is_distributed():
        pytest.skip("Citus has the names of its own functions, and has been asked before the tests began.")


@pytest.fixture
def citus() -> None:
    with connection.cursor() as cursor:
        cursor.execute(STAND_INS)


@pytest.fixture
def cluster(citus: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO pg_dist_node VALUES (true, 'primary', false), (true, 'primary', true)")


def asked() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT what FROM asked ORDER BY n")
        return [what for (what,) in cursor.fetchall()]


def distribute(*arguments: str) -> str:
    out = StringIO()
    call_command("distribute", *arguments, stdout=out)
    return out.getvalue()


def test_the_large_tables_are_distributed_by_organization_and_lie_together(cluster: None) -> None:
    distribute("--yes")
    assert asked() == ALL


def test_what_is_done_is_not_done_again(cluster: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE ledger_usageevent, ledger_session")
        cursor.execute("INSERT INTO pg_dist_partition VALUES ('ledger_usageevent'), ('ledger_session')")
    distribute("--yes")
    assert asked() == [ALL[0], *ALL[3:7]]


def test_rows_that_were_left_on_the_coordinator_go_in_the_next_run(cluster: None, acme: Organization) -> None:
    """The command was killed between the two steps."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE ledger_rollup")
        cursor.execute("INSERT INTO pg_dist_partition SELECT unnest(%s::regclass[])", [list(TABLES)])
    Rollup.objects.create(organization=acme, cube=1, day=date(2026, 11, 2), latency_ms_min=0, latency_ms_max=0)
    distribute("--yes")
    assert "truncate ledger_rollup" in asked()


def test_a_dry_run_prints_and_does_nothing(cluster: None) -> None:
    printed = distribute("--dry-run")
    assert "SELECT create_distributed_table('ledger_rollup', 'organization_id'" in printed
    assert asked() == []


def test_nothing_happens_without_a_yes(cluster: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda _: "n")
    with pytest.raises(CommandError, match="Nothing was changed"):
        distribute()
    assert asked() == []


def test_a_server_without_the_extension_is_told_what_to_install() -> None:
    with pytest.raises(CommandError, match="shared_preload_libraries"):
        distribute("--yes")


def test_a_cluster_without_a_node_for_rows_is_told_how_to_add_one(citus: None) -> None:
    with pytest.raises(CommandError, match="citus_add_node"):
        distribute("--yes")
    assert asked() == []
