"""The recorded events that the calls of a batch may already be.

A call has up to three ids: our own request id, the id that the provider gave to the HTTP request (``req_…``), and the
id of the answer (``chatcmpl-…``). Two programs that watch one call, for example the gateway and an exporter of
OpenTelemetry, give it different request ids of ours, but see the same ids of the provider. So calls with one of these
ids in common are one call, and the ledger has one event for them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, NamedTuple

from psycopg import Connection, RawCursor

from groq_client.call import Call
from groq_client.names import identity
from ledger.recording import figures
from ledger.recording.event_row import COLUMNS, Row
from ledger.recording.figures import Figures


class Ids(NamedTuple):
    """The ids of a call; "" for what is not known."""

    request_id: str
    provider_request_id: str
    response_id: str

    @property
    def of_provider(self) -> list[tuple[str, str]]:
        """The ids that the provider gave, each with its name, so that ids of two kinds are never taken for equal."""
        return [(name, value) for name, value in self._asdict().items() if value and name != "request_id"]


_of_row = itemgetter(*map(COLUMNS.index, Ids._fields))
_COLUMNS = ", ".join((*Ids._fields, *figures.NAMES))
_EVENTS = f"SELECT {_COLUMNS} FROM ledger_usageevent WHERE organization_id = $1"  # noqa: S608 - no outside input
# Each part has an index. The organization is a single value, so Citus asks only one shard.
FIND = f"""
{_EVENTS} AND request_id = ANY($2::text[])
UNION {_EVENTS} AND provider_request_id = ANY($3::text[]) AND provider_request_id <> ''
UNION {_EVENTS} AND response_id = ANY($4::text[]) AND response_id <> ''
"""


def ids_of_row(row: Row) -> Ids:
    return Ids(*_of_row(row))


def ids_of_call(call: Call) -> Ids:
    """The ids that the event of this call would have."""
    return Ids(identity(call.request_id), identity(call.provider_request_id), identity(call.response_id))


@dataclass(slots=True)
class Known:
    """Events of one organization, by each of their ids."""

    figures: dict[str, Figures] = field(default_factory=dict)
    """The figures of each event, by request id."""
    _by_others: dict[tuple[str, str], str] = field(default_factory=dict)
    """The request id of each event, by the name and the value of its other ids."""

    def add(self, ids: Ids, event: Figures) -> None:
        self.figures[ids.request_id] = event
        for other in ids.of_provider:
            self._by_others.setdefault(other, ids.request_id)

    def same_call(self, ids: Ids) -> str | None:
        """The request id of the event that is the same call, as the provider's ids tell."""
        return next((found for other in ids.of_provider if (found := self._by_others.get(other))), None)


def stored(connection: Connection[Any], organization_id: int, wanted: Iterable[Ids]) -> Known:
    """The recorded events that have one of the ids in common with a call."""
    columns = [list(values) for values in zip(*wanted, strict=True)]
    known = Known()
    with RawCursor(connection) as cursor:
        for row in cursor.execute(FIND, [str(organization_id), *columns]) if columns else ():
            known.add(Ids(*row[: len(Ids._fields)]), row[len(Ids._fields) :])
    return known
