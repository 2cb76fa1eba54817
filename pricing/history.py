"""The history of one model's price: its versions, each with the changes from the version before."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pricing.changes import Change
from pricing.models import Price
from pricing.units import Unit


@dataclass(frozen=True)
class Entry:
    """A version of a price, with its changes and its state."""

    version: Price
    change: Change
    state: str
    """``in force``, ``scheduled``, ``past``, or ``replaced`` by a later entry with the same start."""


def entries(versions: Sequence[Price], now: datetime, unit: Unit) -> list[Entry]:
    """The entries of one price's versions, with changes in this unit. ``versions`` are all of them, the latest in
    ``order`` first."""
    in_force = next((version for version in versions if version.effective_from <= now), None)
    return [
        Entry(version, Change(before, version, unit), _state(version, after, in_force, now))
        for version, before, after in zip(versions, [*versions[1:], None], [None, *versions], strict=False)
    ]


def _state(version: Price, after: Price | None, in_force: Price | None, now: datetime) -> str:
    if after is not None and after.effective_from == version.effective_from:
        return "replaced"
    if version.effective_from > now:
        return "scheduled"
    return "in force" if version == in_force else "past"
