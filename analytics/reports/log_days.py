"""The days that hold the events of a page of the log, found in the rollups without reading the events."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from django.db.models import Sum

from accounts.viewer import Viewer
from analytics.reports.direction import Direction
from analytics.reports.retained import RetainedFrom, retained_from
from analytics.reports.scope import in_cube, scope_of, selected, visible
from analytics.reports.selection import Dimension, Selection
from ledger.models import CurrentRollup, CurrentSession
from ledger.rollups.cubes import ORGANIZATION, smallest_with

DAY = timedelta(days=1)
_OF_SESSIONS: tuple[Dimension, ...] = ("organization_id", "user_id")
"""The dimensions that are part of a session's key beside its name."""

Counts = Mapping[tuple[int, date], int]
"""The number of wanted events of each organization on each day. Days without such events are left out."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A reading of the events of a selection that a viewer may see, in one direction: from the moment ``start`` on, or
    from the end of the log if ``start`` is None."""

    viewer: Viewer
    selection: Selection
    start: datetime | None
    direction: Direction


def counts_that_fill(
    wanted: int, measure: str, passage: Passage, ends: Sequence[RetainedFrom] | None = None
) -> Counts | None:
    """The days that hold the first ``wanted`` events of a passage and few others, with their counts. None if neither a
    cube nor the sessions can tell.

    ``measure`` is the column of the rollups that counts the wanted events. ``ends`` are the ends of detail in the
    selection, if the caller has read them already.
    """
    viewer, selection, direction = passage.viewer, passage.selection, passage.direction
    cube = smallest_with(scope_of(viewer) | {ORGANIZATION, *selection.chosen})
    if cube is None:
        return _of_sessions(viewer, selection)
    starts = {end.organization_id: end.day for end in (retained_from(viewer, selection) if ends is None else ends)}
    rollups = CurrentRollup.objects.filter(in_cube(cube) & visible(viewer) & selected(selection, CurrentRollup))
    counts: dict[tuple[int, date], int] = {}
    reachable = direction.reachable(selection.first_day, selection.last_day, passage.start)
    for first, last in direction.stretches(*reachable):
        grouped = rollups.filter(day__range=(first, last)).order_by().values("organization_id", "day")
        sums = grouped.annotate(sum=Sum(measure)).filter(sum__gt=0)
        counts |= {(row["organization_id"], row["day"]): int(row["sum"]) for row in sums}
        there = {key: n for key, n in counts.items() if key[1] >= starts.get(key[0], date.min)}
        enough = _enough(wanted, there, passage)
        if enough is not None and direction.covers((first, last), enough):
            return {key: n for key, n in counts.items() if direction.is_within(key[1], enough)}
    return counts


def _of_sessions(viewer: Viewer, selection: Selection) -> Counts | None:
    """The days from the first to the last call of each chosen session. The count of each day is an upper bound: the
    session's number of calls on all days, also of those in projects that the viewer does not see, since a session has
    no project. The events themselves are read with the viewer's whole scope."""
    chosen = selection.chosen.get("session_id", ())
    if not chosen or "" in chosen:
        return None
    counts: dict[tuple[int, date], int] = defaultdict(int)
    whose = {f"{name}__in": selection.chosen[name] for name in _OF_SESSIONS if name in selection.chosen}
    seen = visible(replace(viewer, project_ids=None))
    sessions = CurrentSession.objects.filter(seen, **whose, session_id__in=chosen)
    for organization, first, last, requests in sessions.values_list(
        "organization_id", "first_day", "last_day", "requests"
    ):
        first, last = max(first, selection.first_day), min(last, selection.last_day)
        for n in range((last - first).days + 1):
            counts[organization, first + n * DAY] += requests
    return counts


def _enough(wanted: int, counts: Counts, passage: Passage) -> date | None:
    """The last day to search for ``wanted`` events; None if all days together have fewer."""
    direction = passage.direction
    for day in direction.ordered({day for _, day in counts}):
        if passage.start is None or direction.is_beyond(day, passage.start):
            wanted -= sum(n for (_, other), n in counts.items() if other == day)
        if wanted <= 0:
            return direction.with_slack(day)
    return None
