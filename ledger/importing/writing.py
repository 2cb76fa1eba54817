"""Recording the calls of a file, or checking them without recording, and the result for each batch."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TypeVar
from zoneinfo import ZoneInfo

import django.db
from django.db import connection
from psycopg.rows import tuple_row

from accounts.models import Organization
from groq_client.call import Call
from ledger.importing import RefusedError
from ledger.importing.lines import Line
from ledger.importing.results import IMPOSSIBLE, OTHER_FIGURES, results_of
from ledger.recording import figures
from ledger.recording.folding import fold_tail
from ledger.recording.known import Known, ids_of_call, stored
from ledger.recording.pool import ledger_connection
from ledger.recording.record import MAY_PASS, record
from pricing.book import PriceBook, current

ATTEMPTS = 5
"""The number of attempts while the database is away. The first pause is one second, and each further pause is twice as
long as the one before."""
AWAY = (*MAY_PASS, django.db.OperationalError, django.db.InterfaceError)

_HOME = "SELECT slug, time_zone, retained_from FROM accounts_organization WHERE id = %s"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Home:
    """The properties of an organization that matter for its events."""

    id: int
    zone: ZoneInfo
    retained_from: date | None


Organizations = Mapping[str, Home]
"""The organizations by their slugs."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A call and the line that it was read from."""

    line: Line
    call: Call


@dataclass(slots=True)
class Outcome:
    """The result of a batch: the numbers of calls that were added and that existed already, and the refused lines with
    their reasons."""

    added: int = 0
    known: int = 0
    refused: list[tuple[Line, str]] = field(default_factory=list)


def organizations_now() -> Organizations:
    """All organizations, as they are in the database now."""
    rows = _patiently(lambda: list(Organization.objects.values_list("slug", "pk", "time_zone", "retained_from")))
    return {slug: Home(pk, ZoneInfo(zone), retained_from) for slug, pk, zone, retained_from in rows}


def home_of(organization_id: int) -> tuple[str, Home] | None:
    """The slug and the properties of one organization, on the recorder's connection; None if it does not exist.
    psycopg.Error if the database is away: nothing is repeated, because somebody waits for the answer."""
    with ledger_connection() as link, link.cursor(row_factory=tuple_row) as cursor:
        found = cursor.execute(_HOME, [organization_id]).fetchone()
    return found and (found[0], Home(organization_id, ZoneInfo(found[1]), found[2]))


def refuse_homeless(call: Call, organizations: Organizations) -> None:
    """RefusedError if the call's organization does not exist, or keeps only sums for the day of the call."""
    home = organizations.get(call.attribution.organization)
    if home is None:  # otherwise the recorder would record the call for the default organization, in its time zone
        name = call.attribution.organization
        raise RefusedError(f"There is no organization {name!r}: make it first, with its time zone.", "organization")
    if home.retained_from is None:
        return
    day = call.started_at.astimezone(home.zone).date()
    if day < home.retained_from:
        # The call may have been recorded and deleted before. Its request id would be unknown, but the sums contain it.
        since = f"{home.retained_from}, since when {call.attribution.organization} keeps detail"
        raise RefusedError(f"{day} is before {since}.", "timestamp")


def write(entries: Sequence[Entry]) -> Outcome:
    """Record the calls. psycopg.Error if the database stays away; then all, some or none of the calls are recorded."""
    results = results_of([entry.call for entry in entries], lambda calls: _patiently(lambda: record(calls)))
    found = Counter(result.status for result in results)
    refused = [(entry.line, result.message) for entry, result in zip(entries, results, strict=True) if result.message]
    return Outcome(found["recorded"], found["duplicate"], refused)


def fold() -> None:
    """Move the tail into the sums, which pages read faster. psycopg.Error if the database stays away, or if another
    transaction changes sums for minutes."""
    _patiently(lambda: fold_tail(wait=True))


def look(entries: Sequence[Entry], organizations: Organizations) -> Outcome:
    """The result that ``write`` would have. Nothing is written, so errors that occur only in writing are not in the
    result."""
    by_home: dict[int, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_home[organizations[entry.call.attribution.organization].id].append(entry)
    outcome = Outcome()
    for organization_id, own in by_home.items():
        known, prices = _known(organization_id, own)
        for entry in own:
            _look(entry, known, prices, outcome)
    return outcome


def _look(entry: Entry, known: Known, prices: PriceBook, outcome: Outcome) -> None:
    ids, here = ids_of_call(entry.call), figures.of_call(entry.call)
    same_call = known.same_call(ids)
    there = known.figures.get(same_call or ids.request_id)
    if there is None:
        outcome.added += 1
    elif not same_call and (differing := figures.differing(there, here, entry.call.provider, prices)):
        outcome.refused.append((entry.line, OTHER_FIGURES.format(entry.call.request_id, differing)))
    else:
        outcome.known += 1


def _patiently(ask: Callable[[], T]) -> T:
    """The answer of ``ask``, which is called up to ATTEMPTS times while the database is away or overloaded, so that a
    short outage does not end a long import."""
    for attempt in range(ATTEMPTS - 1):
        try:
            return ask()
        except IMPOSSIBLE:
            raise
        except AWAY:
            connection.close()
            time.sleep(2**attempt)
    return ask()


def _known(organization_id: int, entries: Sequence[Entry]) -> tuple[Known, PriceBook]:
    """The recorded events that may be the entries' calls, which are of one organization, and the prices."""
    wanted = [ids_of_call(entry.call) for entry in entries]

    def ask() -> tuple[Known, PriceBook]:
        with ledger_connection() as link:
            known = stored(link, organization_id, wanted)
            return known, current(link) if known.figures else PriceBook(())

    return _patiently(ask)
