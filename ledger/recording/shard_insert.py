"""The statements that write events and their rows of the tail of one organization on a Citus cluster.

Citus sends an INSERT … VALUES directly to the shard of its rows, while it would lead the statement of ``array_insert``
through the coordinator.

For one call the node of its organization gets two statements, each for one row of one shard, and a commit without a
second phase. Before events had a tail, there were five statements for thirteen rows. Asking for the
generation (``accounts.generation``) concerns the coordinator alone.
"""

from collections.abc import Iterator, Sequence
from operator import itemgetter

from ledger.recording.bulk_insert import Insert
from ledger.recording.event_row import COLUMNS, Row
from ledger.recording.pipeline import BEGIN, COMMIT, Statement
from ledger.rollups import tail

EVENTS = Insert("ledger_usageevent", COLUMNS)
TAIL = Insert("ledger_tail", tail.COLUMNS)
_of_tail = itemgetter(*map(COLUMNS.index, tail.COLUMNS))


def statements(rows: Sequence[Row]) -> Iterator[Statement]:
    """The statements that write all rows, which are of one organization, in one transaction. They fail if an event
    exists already."""
    yield BEGIN
    yield from EVENTS.statements(rows)
    yield from TAIL.statements([_of_tail(row) for row in rows])
    yield COMMIT
