"""If the database goes away during an upkeep command, the command says so, and says that it can be run again."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from accounts.models import Organization
from ledger.citus import is_distributed
from ledger.models import UsageEvent
from ledger.recording.record import record
from tests.cast import connect
from tests.ledger.calls import MODEL, NOON, call
from tests.ledger.folding import fold_now
from tests.pricing.prices import make_price

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ledger(acme: Organization) -> Organization:
    """Make a ledger with events to price, to compare, to move and to delete."""
    record([call(organization=acme.slug, user="ann", session_id="one", at=NOON - timedelta(days=1_000))])
    fold_now()
    make_price(MODEL, at=NOON - timedelta(days=2_000))
    Organization.objects.filter(pk=acme.pk).update(retention_days=1, time_zone="Asia/Tokyo")
    return acme


def with_a_database_that_goes_away(words: str, work: Callable[[], object]) -> None:
    """Run a command, and end the connection before the first statement that contains the given words."""

    def end(run: Callable[..., Any], sql: str, *given: Any) -> Any:
        if words in sql:
            with connect() as other:
                other.execute("SELECT pg_terminate_backend(%s, 10000)", [connection.connection.info.backend_pid])
        return run(sql, *given)

    try:
        with connection.execute_wrapper(end):
            work()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("price_unpriced", {"model": MODEL, "yes": True}),
        ("reconcile", {"repair": True}),
        ("move_days", {"organization": "acme"}),
        ("delete_expired", {}),
    ],
)
def test_a_database_that_goes_away_is_told_with_what_to_do(
    ledger: Organization, command: str, options: dict[str, Any]
) -> None:
    with pytest.raises(CommandError, match=r"went away or gave up: .+\. What was finished stays;.* same command again"):
        with_a_database_that_goes_away("ledger_usageevent", lambda: call_command(command, **options))
    assert UsageEvent.objects.count() == 1
    call_command(command, **options)


def test_an_import_that_cannot_even_begin_can_be_run_again(acme: Organization, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.touch()
    with pytest.raises(CommandError, match="went away or gave up"):
        with_a_database_that_goes_away(
            "accounts_organization", lambda: call_command("import_events", str(file), organization=acme.slug)
        )


def test_to_distribute_can_be_run_again() -> None:
    if is_distributed():
        pytest.skip("There is nothing left to distribute.")
    with pytest.raises(CommandError, match="went away"):
        with_a_database_that_goes_away("pg_proc", lambda: call_command("distribute", yes=True))
