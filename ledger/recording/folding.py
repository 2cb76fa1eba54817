"""Folding the tail on the recorder's connections, so that what one organization's sums cannot hold stays in the tail
alone."""

import logging

from psycopg import DataError

from ledger.recording.pool import ledger_connection
from ledger.rollups import fold
from ledger.rollups.fold import Folded
from ledger.rollups.shard_fold import organizations_in_tail

logger = logging.getLogger("usage.recording")

_told: set[int] = set()
"""The organizations of which this process has logged that their events cannot be folded."""


def fold_tail(*, wait: bool = False) -> Folded:
    """Move the tail into sessions and rollups, as ``fold.fold`` does, and raise what it raises. If a sum would be too
    large for its column, the events of the organization stay in the tail, and all others are moved."""
    try:
        with ledger_connection() as connection:
            return fold.fold(connection, wait=wait)
    except DataError:
        return _fold_one_by_one(wait=wait)


def _fold_one_by_one(*, wait: bool) -> Folded:
    with ledger_connection() as connection:
        organizations = organizations_in_tail(connection)
    moved, is_whole = 0, True
    for organization in organizations:
        try:
            with ledger_connection() as connection:
                some = fold.fold_some(connection, organization, wait=wait)
        except DataError as error:
            if organization not in _told:
                logger.error("The events of organization %s cannot be added to the sums: %s", organization, error)
            _told.add(organization)
        else:
            moved += some or 0
            is_whole = is_whole and some is not None
    return Folded(moved, is_whole)
