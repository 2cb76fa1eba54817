"""The only function that adds events: ``record`` turns finished calls into priced events, and writes each once,
together with its row of the tail. ``ledger.rollups.fold`` adds it to sessions and rollups soon after."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter
from typing import Any, TypeVar

from psycopg import Connection, InterfaceError, OperationalError
from psycopg.errors import DeadlockDetected, ReadOnlySqlTransaction, UniqueViolation
from psycopg.pq import TransactionStatus
from psycopg_pool import PoolTimeout

from accounts import directory
from accounts.directory import Names
from groq_client.call import Call
from ledger.citus import is_distributed
from ledger.recording import array_insert, figures, pipeline, shard_insert, supplement
from ledger.recording.event_row import COLUMNS, Row, event_row
from ledger.recording.folder import folder
from ledger.recording.known import Known, ids_of_row, stored
from ledger.recording.pool import discard_lost, ledger_connection
from pricing import book
from pricing.book import PriceBook

REQUEST_ID = COLUMNS.index("request_id")
_request_id = itemgetter(REQUEST_ID)

BREATHER = 20
"""The number of calls, about a millisecond's work, after which the writer's thread lets other threads run."""

MAY_PASS = (OperationalError, InterfaceError, ReadOnlySqlTransaction)
"""Temporary errors. Their cause is the database and not the call: the database is away, slow, overloaded, or a standby
that takes no writes."""


class LostConnectionError(OperationalError):
    """The connection was closed before or during its use."""


OUT_OF_REACH = (LostConnectionError, PoolTimeout, InterfaceError, ReadOnlySqlTransaction)
"""Errors which mean that no connection takes writes, so that no other organization's events can be written either."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A call that is not recorded, because the ledger already has an event with its request id and other figures."""

    call: Call
    differing: str
    """The names of the figures that differ."""

    @property
    def is_of_another_call(self) -> bool:
        """Whether the two calls began at different times, so that they cannot be the same call told twice."""
        return "timestamp" in self.differing.split(", ")


@dataclass(frozen=True, slots=True)
class Recorded:
    """The result of a batch. ``events`` is the number of added events. ``repeated`` has the calls that were not added
    because events with their ids existed already, and ``conflicts`` those of them that have the request id of another
    call, as their figures tell."""

    events: int
    repeated: Sequence[Call] = ()
    conflicts: Sequence[Conflict] = ()

    @property
    def duplicates(self) -> int:
        return len(self.repeated)


class OrganizationsBusyError(OperationalError):
    """The database cannot take events of some organizations now, because they are locked or their node of a cluster is
    away. The events of all other organizations in the batch are written."""

    def __init__(self, error: Exception, calls: Sequence[Call], conflicts: Sequence[Conflict]) -> None:
        super().__init__(str(error))
        self.calls = calls
        """The calls that are not written."""
        self.conflicts = conflicts
        """The conflicts among the other calls."""


def record(calls: Iterable[Call]) -> Recorded:
    """Write finished calls as events in one transaction; on a cluster, in one for each organization. When this returns,
    all reports contain the events. A call whose organization and request id exist already is not written again; it is
    returned as a conflict if its figures differ. Nor is a call written whose ids of the provider an event has: that is
    the same call, told by another program, and what it tells in addition is kept for ``ledger.upkeep.gaps``.

    Raises OrganizationsBusyError if only the calls of some organizations could not be written. Raises another
    psycopg.Error if the database is away or refuses a call, and InvalidCallError for an impossible number. After these
    errors, the calls of some organizations may be written and others not. It is safe to pass all calls again.
    """
    calls = list(calls)
    if not calls:
        return Recorded(0)
    shares = _connected(partial(_shares, calls=calls))
    is_one_by_one = len(shares) > 1 and _connected(is_distributed)
    try:
        return _recorded(shares, one_by_one=is_one_by_one)
    except OUT_OF_REACH:
        raise
    except MAY_PASS:
        if is_one_by_one or len(shares) == 1:
            raise
        return _recorded(shares, one_by_one=True)  # what holds up one organization's calls may not hold up the others


T = TypeVar("T")


def _connected(work: Callable[[Connection[Any]], T]) -> T:
    """The result of ``work`` on an open connection. If the connection was lost, for example by a restart of the server,
    ``work`` is repeated once, so it must be safe to repeat."""
    try:
        return _attempted(work)
    except LostConnectionError:
        discard_lost()
        return _attempted(work)


def _attempted(work: Callable[[Connection[Any]], T]) -> T:
    with ledger_connection() as connection:
        try:
            return work(connection)
        except OperationalError as error:
            if connection.broken:
                raise LostConnectionError(str(error)) from error
            raise


@dataclass(slots=True)
class Share:
    """The calls of one organization in a batch, and the row of each call."""

    organization_id: int
    prices: PriceBook
    calls: list[Call] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    def parted(self, known: Known | None = None) -> "Parted":
        """The share parted into what is to be written and what is not, because ``known`` has it or an earlier call of
        the batch is the same. Without ``known``, all rows with different request ids are taken for new."""
        if known is None:
            if len({row[REQUEST_ID] for row in self.rows}) == len(self.rows):
                return Parted(sorted(self.rows, key=_request_id))
            known = Known()
        parted = Parted()
        for call, row in zip(self.calls, self.rows, strict=True):
            self._put(call, row, known, parted)
        parted.new.sort(key=_request_id)
        return parted

    def _put(self, call: Call, row: Row, known: Known, parted: "Parted") -> None:
        ids, here = ids_of_row(row), figures.of_row(row)
        same_call = known.same_call(ids)
        there = known.figures.get(same_call or ids.request_id)
        if there is None:
            parted.new.append(row)
            known.add(ids, here)
            return
        parted.repeated.append(call)
        differing = figures.differing(there, here, call.provider, self.prices)
        if same_call is None:
            if differing:
                parted.conflicts.append(Conflict(call, differing))
        elif differing or same_call != ids.request_id:
            parted.supplements.append(supplement.row_of(self.organization_id, same_call, row))


@dataclass(slots=True)
class Parted:
    """What becomes of the calls of a share: the rows to write in the order of their request ids, the calls that are
    not written, those of them that are another call with a known request id, and what the others tell in addition."""

    new: list[Row] = field(default_factory=list)
    repeated: list[Call] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    supplements: list[supplement.Row] = field(default_factory=list)


def _recorded(shares: Sequence[Share], *, one_by_one: bool) -> Recorded:
    written, repeated, conflicts, busy, why = 0, list[Call](), list[Conflict](), list[Call](), None
    for together in [[share] for share in shares] if one_by_one else [shares]:
        try:
            parts = _connected(partial(_write, shares=together))
        except OUT_OF_REACH:
            raise
        except MAY_PASS as error:
            if len(together) > 1:
                raise
            busy += together[0].calls
            why = error
        else:
            folder.wrote(sum(len(share.rows) for share in together))  # known ones too: a lost COMMIT may be of them
            for part in parts:
                written += len(part.new)
                repeated += part.repeated
                conflicts += part.conflicts
    if why:
        raise OrganizationsBusyError(why, busy, conflicts) from why
    return Recorded(written, tuple(repeated), tuple(conflicts))


def _shares(connection: Connection[Any], calls: Sequence[Call]) -> list[Share]:
    """The batch divided by organization, sorted by it."""
    attributions = [Names(one.organization, one.project, one.user) for one in (call.attribution for call in calls)]
    resolved, generation = directory.resolve(connection, attributions)
    prices = book.current(connection, generation)
    shares: dict[int, Share] = {}
    for n, (call, names) in enumerate(zip(calls, attributions, strict=True)):
        if n % BREATHER == BREATHER - 1:
            time.sleep(0)  # Let callers' threads run, since each could wait 5 ms for the interpreter's lock otherwise.
        whose = resolved[names]
        row = event_row(call, whose, prices)
        share = shares.setdefault(whose.organization_id, Share(whose.organization_id, prices))
        share.calls.append(call)
        share.rows.append(row)
    return [shares[organization_id] for organization_id in sorted(shares)]


def _write(connection: Connection[Any], shares: Sequence[Share]) -> list[Parted]:
    """Write the rows of the shares that do not exist yet, in one transaction. Returns what became of each share.

    All rows are inserted first. Only if that fails are the existing events looked up, and the rest is inserted. This
    repeats if another writer has inserted some of the rest meanwhile.
    """
    parts = [share.parted() for share in shares]
    while rows := [row for part in parts for row in part.new]:
        try:
            _insert(connection, rows)
        except (UniqueViolation, DeadlockDetected) as error:
            again = [share.parted(_known(connection, share)) for share in shares]
            if [part.new for part in again] == [part.new for part in parts] and isinstance(error, UniqueViolation):
                raise  # the error has another cause than an existing event
            parts = again
        else:
            break
    if supplements := [row for part in parts for row in part.supplements]:
        pipeline.run(connection, supplement.statements(supplements))
    return parts


def _known(connection: Connection[Any], share: Share) -> Known:
    return stored(connection, share.organization_id, map(ids_of_row, share.rows))


def _insert(connection: Connection[Any], rows: Sequence[Row]) -> None:
    """Insert events and their rows of the tail in one transaction, which fails if one of the events exists already.

    All writers insert rows in the order of organization and request id, so they cannot deadlock, unless two of them
    write the same calls under other request ids at the same time.
    """
    statements = shard_insert.statements if is_distributed(connection) else array_insert.statements
    try:
        pipeline.run(connection, statements(rows))
    finally:
        if not connection.closed and connection.info.transaction_status != TransactionStatus.IDLE:
            pipeline.run(connection, [pipeline.ROLLBACK])
