"""Which days hold the events that a page of the log shows: the rollups know without a pass over the events."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta

from django.db.models import Q, Sum

from accounts.viewer import Viewer
from analytics.cubes import smallest_with
from analytics.models import Rollup, Session
from analytics.reports.detail_end import DetailEnd, detail_ends
from analytics.reports.scope import selected, visible
from analytics.selection import Dimension, Selection

DAY = timedelta(days=1)
AHEAD, BEHIND = timedelta(hours=14), timedelta(hours=12)
"""How far local time is ahead of UTC at most, and behind it: a day begins so much earlier than in UTC, and ends so much
later."""
SLACK = 2 * DAY
"""An event that is nearer in time than some of a day in one zone is at most so far from that day in another."""
STRETCHES = (7, 60)
"""So many days are asked about first, and then before all others are."""
_OF_SESSIONS: tuple[Dimension, ...] = ("organization_id", "user_id")
"""What a session's key says besides its name."""

Counts = Mapping[tuple[int, date], int]
"""How many of the wanted events each organization has on each day; where it has none is left out."""


def counts_that_fill(
    wanted: int,
    measure: str,
    viewer: Viewer,
    selection: Selection,
    start: datetime | None,
    *,
    older: bool,
    ends: Sequence[DetailEnd] | None = None,
) -> Counts | None:
    """Where the first ``wanted`` events of a selection are, from a moment (or its end) on into one direction: all of
    them, and not many others. None where neither a cube nor the sessions can tell.

    ``measure`` is the sum of a rollup that counts the events that are wanted; ``ends`` are the selection's, for whoever
    knows them.
    """
    scope = {"user_id"} if viewer.user_ids is not None else set()
    cube = smallest_with(frozenset({*selection.chosen} | scope))
    if cube is None:
        return _of_sessions(viewer, selection)
    starts = {end.organization_id: end.day for end in (detail_ends(viewer, selection) if ends is None else ends)}
    rollups = Rollup.objects.filter(Q(cube=cube.number) & visible(viewer) & selected(selection, Rollup))
    counts: dict[tuple[int, date], int] = {}
    for first, last in stretches(*reachable(selection, start, older=older), older=older):
        grouped = rollups.filter(day__range=(first, last)).order_by().values("organization_id", "day")
        sums = grouped.annotate(sum=Sum(measure)).filter(sum__gt=0)
        counts |= {(row["organization_id"], row["day"]): int(row["sum"]) for row in sums}
        there = {key: n for key, n in counts.items() if key[1] >= starts.get(key[0], date.min)}
        enough = _enough(wanted, there, start, older=older)
        if enough is not None and (first <= enough if older else enough <= last):
            return {key: n for key, n in counts.items() if (key[1] >= enough if older else key[1] <= enough)}
    return counts


def _of_sessions(viewer: Viewer, selection: Selection) -> Counts | None:
    """The days from the first call of each chosen session to its last, with no fewer calls than there are on each."""
    chosen = selection.chosen.get("session_id", ())
    if not chosen or "" in chosen:
        return None
    counts: dict[tuple[int, date], int] = defaultdict(int)
    whose = {f"{name}__in": selection.chosen[name] for name in _OF_SESSIONS if name in selection.chosen}
    sessions = Session.objects.filter(visible(viewer), **whose, session_id__in=chosen)
    for organization, first, last, requests in sessions.values_list(
        "organization_id", "first_day", "last_day", "requests"
    ):
        first, last = max(first, selection.first_day), min(last, selection.last_day)
        for n in range((last - first).days + 1):
            counts[organization, first + n * DAY] += requests
    return counts


def reachable(selection: Selection, start: datetime | None, *, older: bool) -> tuple[date, date]:
    """The first and last day of a selection that have events on this side of a moment somewhere; in the wrong order if
    none has."""
    first, last = selection.first_day, selection.last_day
    if start is None:
        return first, last
    start = start.astimezone(UTC)
    return (first, min(last, (start + AHEAD).date())) if older else (max(first, (start - BEHIND).date()), last)


def stretches(first: date, last: date, *, older: bool) -> Iterator[tuple[date, date]]:
    """The days from one to the other in longer and longer stretches, from where one starts to look; each day once."""
    for days in STRETCHES:
        if last - first >= days * DAY:
            if older:
                begin = last - (days - 1) * DAY
                yield begin, last
                last = begin - DAY
            else:
                end = first + (days - 1) * DAY
                yield first, end
                first = end + DAY
    yield first, last


def _enough(wanted: int, counts: Counts, start: datetime | None, *, older: bool) -> date | None:
    """The day that one has to look up to; None if there is not enough in all of them."""
    for day in sorted({day for _, day in counts}, reverse=older):
        if start is None or _is_beyond(day, start, older=older):
            wanted -= sum(n for (_, other), n in counts.items() if other == day)
        if wanted <= 0:
            return day - SLACK if older else day + SLACK
    return None


def _is_beyond(day: date, start: datetime, *, older: bool) -> bool:
    """Whether all of a day is on this side of a moment, wherever it is."""
    begins, ends = moments(day, day)
    return ends <= start if older else begins >= start


def moments(first: date, last: date) -> tuple[datetime, datetime]:
    """When the first of these days begins anywhere, and the last one ends."""
    midnight = time(tzinfo=UTC)
    return datetime.combine(first, midnight) - AHEAD, datetime.combine(last + DAY, midnight) + BEHIND
