"""Recording events from outside: objects become calls by the rules of imports, and are recorded before the sender gets
its answer."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from accounts.keyring import KeyEntry
from accounts.names import folded, written
from gateway.ingestion.items import Item
from groq_client.call import Call
from groq_client.errors import safe_message
from ledger.importing import RefusedError
from ledger.importing.columns import Defaults, call_of
from ledger.importing.ids import digest_of, id_of
from ledger.importing.results import Result, Status, results_of
from ledger.importing.values import Object, name_of
from ledger.importing.writing import Home, home_of, refuse_homeless


class OrganizationGoneError(Exception):
    """The organization of the key does not exist any more."""


class Outcome(NamedTuple):
    """What became of one event. ``field`` is the name of the wrong column, if one column is wrong."""

    status: Status
    request_id: str = ""
    message: str = ""
    field: str = ""

    def as_json(self, index: int) -> dict[str, Any]:
        """The outcome without what is empty."""
        told = zip(self._fields, self, strict=True)
        return {"index": index, **{name: value for name, value in told if value}}


class Taken(NamedTuple):
    """What became of each event, in their order, and the tokens of those that were recorded now."""

    outcomes: list[Outcome]
    tokens: int


def take(items: Sequence[Item], key: KeyEntry) -> Taken:
    """Record events for the organization of the key, in one transaction. A psycopg.Error if the database is away; then
    all, some or none are recorded, and all may be sent again."""
    if not items:
        return Taken([], 0)
    found = home_of(key.organization_id)
    if found is None:
        raise OrganizationGoneError
    slug, home = found
    intake = _Intake(slug, home, key)
    calls = [intake.call_of(item) for item in items]
    made = [call for call in calls if isinstance(call, Call)]
    results = results_of(made)
    told = iter(results)
    outcomes = [_refused(call) if isinstance(call, RefusedError) else _outcome(call, next(told)) for call in calls]
    new = (call for call, result in zip(made, results, strict=True) if result.status == "recorded")
    return Taken(outcomes, sum(call.usage.total_tokens for call in new))


class _Intake:
    """Makes the calls of one request of the events in it."""

    def __init__(self, slug: str, home: Home, key: KeyEntry) -> None:
        bound = {"organization": slug, "project": key.project, "user": key.user}
        self._bound = [(name, own, folded(written(own))) for name, own in bound.items() if own]
        self._defaults = Defaults(slug, key.project, key.user)
        self._homes = {slug: home}
        self._now = datetime.now(UTC)

    def call_of(self, item: Item) -> Call | RefusedError:
        try:
            if isinstance(item, RefusedError):
                return item
            line = _with_reported_cost(item)
            self._refuse_foreign(line)
            call = call_of(line, self._defaults, self._now, _stable_id)
            refuse_homeless(call, self._homes)
        except RefusedError as error:
            return error
        except RecursionError:
            return RefusedError("The JSON is nested too deeply.")
        if call.error_message:
            call.error_message = safe_message(call.error_message, ())
        return call

    def _refuse_foreign(self, line: Object) -> None:
        """RefusedError if the event is for another organization, project or person than those that its key stands
        for."""
        for name, own, key in self._bound:
            given = name_of(line, name) if name in line else ""
            if given and folded(written(given)) != key:
                raise RefusedError(f"{name} must be {own!r}, which the key is for, or be left out.", name)


def _with_reported_cost(line: Object) -> Object:
    """A sender's ``cost_usd`` is its own, unlike that of a file, which our export has written."""
    if line.get("reported_cost_usd") is None and line.get("cost_usd") is not None:
        return {**line, "reported_cost_usd": line["cost_usd"]}
    return line


def _stable_id(started_at: datetime, content: str) -> str:
    return id_of(started_at, digest_of(content))


def _outcome(call: Call, result: Result) -> Outcome:
    field = "request_id" if result.status == "conflict" else ""
    return Outcome(result.status, call.request_id, result.message, field)


def _refused(error: RefusedError) -> Outcome:
    return Outcome("error", "", str(error), error.field)
