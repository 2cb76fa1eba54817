"""Calls of a file on their way to the one writer, and what became of each."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TypeVar
from zoneinfo import ZoneInfo

import django.db
from django.db import connection
from django.db.models import QuerySet
from psycopg import DataError, Error
from psycopg.errors import StatementTooComplex

from accounts.models import Organization
from analytics.importing import RefusedError
from analytics.importing.lines import Line
from analytics.models import UsageEvent
from analytics.recording import MAY_PASS, record
from analytics.rows import InvalidCallError, storable
from groq_client.call import Call

ATTEMPTS = 5
"""The first pause is a second, and each is twice the one before."""
AWAY = (*MAY_PASS, django.db.OperationalError, django.db.InterfaceError)
IMPOSSIBLE = (InvalidCallError, DataError, StatementTooComplex)
OTHER_FIGURES = "The request id {} is recorded already, with other figures: {}."


T = TypeVar("T")
Key = tuple[int, str]
Figures = tuple[datetime, str, str, int, int]
NAMES = ("timestamp", "model", "status", "input_tokens", "output_tokens")


@dataclass(frozen=True, slots=True)
class Home:
    """What an organization says about its events."""

    id: int
    zone: ZoneInfo
    detail_from: date | None


Organizations = Mapping[str, Home]
"""By their slugs."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A call and the line that it was read from."""

    line: Line
    call: Call


@dataclass(slots=True)
class Outcome:
    """What became of a batch: so many added, so many there already, and the lines refused, each with its reason."""

    added: int = 0
    known: int = 0
    refused: list[tuple[Line, str]] = field(default_factory=list)


def organizations_now() -> Organizations:
    rows = _patiently(lambda: list(Organization.objects.values_list("slug", "pk", "time_zone", "detail_from")))
    return {slug: Home(pk, ZoneInfo(zone), detail_from) for slug, pk, zone, detail_from in rows}


def refuse_homeless(call: Call, organizations: Organizations) -> None:
    """RefusedError where the call's organization is unknown, or keeps only sums of its day."""
    home = organizations.get(call.attribution.organization)
    if home is None:  # the recorder would book it on the default one, in whose time zone its day would then be
        name = call.attribution.organization
        raise RefusedError(f"There is no organization {name!r}: make it first, with its time zone.")
    day = call.started_at.astimezone(home.zone).date()
    if home.detail_from and day < home.detail_from:
        # If it was recorded once it was deleted since: its request id is unknown, and the sums have it already.
        since = f"{home.detail_from}, since when {call.attribution.organization} keeps detail"
        raise RefusedError(f"{day} is before {since}.")


def write(entries: Sequence[Entry], organizations: Organizations) -> Outcome:
    """Record the calls. psycopg.Error if the database stays away; then nothing of the batch need be there."""
    if not entries:
        return Outcome()
    try:
        recorded = _patiently(lambda: record([entry.call for entry in entries]))
    except IMPOSSIBLE as error:
        if len(entries) == 1:
            return Outcome(refused=[(entries[0].line, _words(error))])
        half = len(entries) // 2  # which of them it is, the error does not say
        return _sum(write(entries[:half], organizations), write(entries[half:], organizations))
    if not recorded.duplicates:
        return Outcome(recorded.events)
    refused = _with_other_figures(entries, _stored(entries, organizations), organizations)
    return Outcome(recorded.events, len(entries) - recorded.events - len(refused), refused)


def look(entries: Sequence[Entry], organizations: Organizations) -> Outcome:
    """What ``write`` would do, as far as that can be told without doing it."""
    stored = _stored(entries, organizations)
    refused = _with_other_figures(entries, stored, organizations)
    present = sum(_key(entry, organizations) in stored for entry in entries)
    return Outcome(len(entries) - present, present - len(refused), refused)


def _patiently(ask: Callable[[], T]) -> T:
    """What ``ask`` gives once the database is back: a restart or a crowd is no reason to end after hours of work."""
    for attempt in range(ATTEMPTS - 1):
        try:
            return ask()
        except IMPOSSIBLE:
            raise
        except AWAY:
            connection.close()
            time.sleep(2**attempt)
    return ask()


def _stored(entries: Sequence[Entry], organizations: Organizations) -> dict[Key, Figures]:
    """What the ledger has under the entries' keys, an organization at a time."""
    wanted: dict[int, list[str]] = defaultdict(list)
    for entry in entries:
        organization_id, request_id = _key(entry, organizations)
        wanted[organization_id].append(request_id)
    return {
        (organization_id, event.request_id): _figures(event)
        for organization_id, request_ids in wanted.items()
        for event in _patiently(lambda: list(_events(organization_id, request_ids)))  # noqa: B023 - asked at once
    }


def _events(organization_id: int, request_ids: list[str]) -> "QuerySet[UsageEvent]":
    found = UsageEvent.objects.filter(organization_id=organization_id, request_id__in=request_ids)
    return found.only("request_id", *NAMES)


def _figures(event: UsageEvent) -> Figures:
    return event.timestamp, event.model, event.status, event.input_tokens, event.output_tokens


def _figures_of_call(call: Call) -> Figures:
    model = storable(call.model or call.model_requested)
    return call.started_at, model, call.status, call.usage.input_tokens, call.usage.output_tokens


def _with_other_figures(
    entries: Sequence[Entry], stored: Mapping[Key, Figures], organizations: Organizations
) -> list[tuple[Line, str]]:
    refused = []
    for entry in entries:
        there, here = stored.get(_key(entry, organizations)), _figures_of_call(entry.call)
        if there is not None and there != here:
            names = ", ".join(name for name, old, new in zip(NAMES, there, here, strict=True) if old != new)
            refused.append((entry.line, OTHER_FIGURES.format(entry.call.request_id, names)))
    return refused


def _key(entry: Entry, organizations: Organizations) -> Key:
    return organizations[entry.call.attribution.organization].id, entry.call.request_id


def _sum(one: Outcome, other: Outcome) -> Outcome:
    return Outcome(one.added + other.added, one.known + other.known, one.refused + other.refused)


def _words(error: Exception) -> str:
    """The database's first line; what follows it quotes values."""
    text = error.diag.message_primary if isinstance(error, Error) else str(error)
    return f"It cannot be recorded: {text}"
