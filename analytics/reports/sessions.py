"""Sessions: the conversations that were active in a range of days, a page at a time.

A session's figures are always those of the whole session, even if only a part is in the range. A page is found by the
last session of the page before and not by its number, so that page 1,000 is as fast as page 1.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import F, Q

from accounts.models import Organization
from accounts.viewer import Viewer
from analytics.reports.names import Names
from analytics.reports.scope import condition_of, visible
from analytics.reports.selection import Dimension, Selection
from analytics.reports.session_order import RECENT, SessionCursor, Sort
from ledger.models import CurrentSession, Outcome, Session, Status, UsageEvent

PAGE = 25
KEY = ("organization_id", "user_id", "session_id")
READ_WHOLE_DAYS = 7
"""The sessions of at most this many days are all read and then sorted. For more days, an index on classes of sizes
gives the largest ones first."""

_NAMES = [field.attname for field in Session._meta.concrete_fields]
_VALUES = ", ".join("cost_usd * 0.000000001" if name == "cost_usd" else name for name in _NAMES)

# The stored sessions without events in the tail, and the sessions with some. Each kind is limited on its own, so that
# the stored ones are read along an index. A query of the view of all sessions would read and sort them all.
_FIRST = f"""
    WITH unfolded AS MATERIALIZED (SELECT * FROM ledger_tail_session AS ledger_session WHERE {{in_tail}})
    SELECT {_VALUES}
    FROM (
        (SELECT {", ".join(_NAMES)} FROM ledger_session
         WHERE {{where}} AND ({", ".join(KEY)}) NOT IN (SELECT {", ".join(KEY)} FROM unfolded)
         ORDER BY {{order}} LIMIT {{enough}})
        UNION ALL
        (SELECT {", ".join(_NAMES)} FROM unfolded AS ledger_session
         WHERE {{where}}
         ORDER BY {{order}} LIMIT {{enough}})
    ) AS either
    ORDER BY {{order}} LIMIT {{enough}}
"""  # noqa: S608 - our own words; values travel as parameters


@dataclass(frozen=True, slots=True)
class Conversation:
    """One session as a viewer sees it. ``cost_usd`` is the cost of the priced requests. If the viewer may not see cost,
    it is None, and ``unpriced`` and ``without_tool_fees`` are 0."""

    session_id: str
    organization_id: int
    user_id: int
    person: str
    requests: int
    errors: int
    timeouts: int
    unpriced: int
    without_tool_fees: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    total_tokens: int
    cost_usd: Decimal | None
    models: tuple[str, ...]
    first_at: datetime
    last_at: datetime
    first_day: date
    last_day: date
    time_zone: str
    """The time zone of the session's organization."""

    @property
    def duration_ms(self) -> float:
        """The time from the start of the first call to the end of the last one, in milliseconds."""
        return (self.last_at - self.first_at) / timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class SessionPage:
    """Sessions in their order, and the cursor of the next page; None on the last page."""

    conversations: Sequence[Conversation]
    next: SessionCursor | None


@dataclass(frozen=True, slots=True)
class Sessions:
    """The sessions that a viewer may see and that were active between the selection's first and last day.

    A session passes a filter if any of its requests does. ``cost_min`` and ``cost_max`` are dollars, both included.
    ValueError for a limit or an order of cost if the viewer may not see cost.
    """

    viewer: Viewer
    selection: Selection
    sort: Sort = RECENT
    cost_min: Decimal | None = None
    cost_max: Decimal | None = None
    size: int = PAGE
    """The number of sessions of a page."""

    def __post_init__(self) -> None:
        asks_for_cost = self.sort.is_of_cost or self.cost_min is not None or self.cost_max is not None
        if asks_for_cost and not self.viewer.sees_cost:
            raise ValueError("Sorting or filtering by a hidden cost would tell it.")

    def page(self, after: SessionCursor | None = None) -> SessionPage:
        """The first page, or the page after a cursor."""
        found = self._first(Q() if after is None else self._beyond(after))
        shown = found[: self.size]
        place = self._place_of(shown[-1]) if len(found) > self.size else None
        return SessionPage(conversations(self.viewer, shown), place)

    def _first(self, beyond: Q) -> list[Session]:
        """The first sessions that meet a condition: a page and one more, which tells whether another page follows."""
        seen = Session.objects.filter(visible(self.viewer))
        wanted = seen.filter(self._active() & self._chosen() & self._costing() & beyond)
        try:
            (in_tail, those), (where, parameters) = condition_of(seen), condition_of(wanted)
        except EmptyResultSet:  # The viewer sees nothing.
            return []
        order = ", ".join(f"{column} DESC" for column in (*self._columns, *KEY))
        statement = _FIRST.format(in_tail=in_tail, where=where, order=order, enough=self.size + 1)
        # The rows are read through a database cursor, because PostgreSQL never runs one in parallel. Each of several
        # parallel workers would look for a whole page of its own, down to the lowest class, which has most sessions.
        with connection.chunked_cursor() as cursor:
            cursor.execute(statement, (*those, *parameters, *parameters))
            return [Session.from_db(connection.alias, _NAMES, row) for row in cursor.fetchmany(self.size + 1)]

    def _active(self) -> Q:
        first, last = self.selection.first_day, self.selection.last_day
        # The condition on last_utc_day follows from the one on last_day in every time zone; an index can use it.
        return Q(last_day__gte=first, last_utc_day__gte=first - timedelta(days=1), first_day__lte=last)

    @property
    def _columns(self) -> tuple[str, ...]:
        reads_whole = self.sort is not RECENT and self.selection.days <= READ_WHOLE_DAYS
        return (self.sort.column,) if reads_whole else (self.sort.coarse_column, self.sort.column)

    def _chosen(self) -> Q:
        condition = Q()
        for dimension, values in self.selection.chosen.items():
            condition &= _HAS[dimension](values)
        return condition

    def _costing(self) -> Q:
        condition = Q()
        if self.cost_min is not None:
            condition &= Q(cost_usd__gte=self.cost_min)
        if self.cost_max is not None:
            condition &= Q(cost_usd__lte=self.cost_max)
        return condition

    def _beyond(self, place: SessionCursor) -> Q:
        """The condition for sessions after the cursor; no condition if the cursor does not fit this order."""
        try:
            value = self.sort.value(place.number)
            coarse = self.sort.coarse(value)
        except (ValueError, OverflowError):
            return Q()
        column = self.sort.column
        key = (place.organization_id, place.user_id, place.session_id)
        beyond = Q(**{f"{column}__lt": value}) | Q(**{column: value, "pk__lt": key})
        # The first term follows from the second; an index can use it.
        return Q(**{f"{self.sort.coarse_column}__lte": coarse}) & beyond

    def _place_of(self, row: Session) -> SessionCursor:
        number = self.sort.number(getattr(row, self.sort.column))
        return SessionCursor(number, row.organization_id, row.user_id, row.session_id)


def conversations(viewer: Viewer, rows: Sequence[Session | CurrentSession]) -> list[Conversation]:
    """The sessions as the viewer sees them. The caller passes only sessions that the viewer may see."""
    organization_ids = {row.organization_id for row in rows}
    zones = dict(Organization.objects.filter(pk__in=organization_ids).values_list("pk", "time_zone"))
    people = Names(viewer).of("user_id", sorted({row.user_id for row in rows}))
    sees_cost = viewer.sees_cost
    return [
        Conversation(
            session_id=row.session_id,
            organization_id=row.organization_id,
            user_id=row.user_id,
            person=people.get(row.user_id, str(row.user_id)),
            requests=row.requests,
            errors=row.errors,
            timeouts=row.timeouts,
            unpriced=row.unpriced if sees_cost else 0,
            without_tool_fees=row.without_tool_fees if sees_cost else 0,
            input_tokens=row.input_tokens,
            output_tokens=row.output_tokens,
            cached_tokens=row.cached_tokens,
            total_tokens=row.total_tokens,
            cost_usd=row.cost_usd if sees_cost else None,
            models=tuple(row.model_names),
            first_at=row.first_at,
            last_at=row.last_at,
            first_day=row.first_day,
            last_day=row.last_day,
            time_zone=zones[row.organization_id],
        )
        for row in rows
    ]


def session_of(viewer: Viewer, event: UsageEvent) -> CurrentSession | None:
    """The session of an event; None if its call named no session."""
    key = {"organization_id": event.organization_id, "user_id": event.user_id or 0, "session_id": event.session_id}
    return CurrentSession.objects.filter(visible(viewer), **key).first() if event.session_id else None


def session_at(viewer: Viewer, organization_id: int, user_id: int, session_id: str) -> Conversation | None:
    """One session by its key, of which ``user_id`` is 0 if its calls named no person; None if there is none that the
    viewer may see."""
    key = {"organization_id": organization_id, "user_id": user_id, "session_id": session_id}
    found = CurrentSession.objects.filter(visible(viewer), **key).first()
    return conversations(viewer, [found])[0] if found else None


def _with_status(statuses: Sequence[Any]) -> Q:
    condition = Q(pk__in=[])
    if Status.ERROR in statuses:
        condition |= Q(errors__gt=0)
    if Outcome.TIMEOUT in statuses:
        condition |= Q(timeouts__gt=0)
    if Status.SUCCESS in statuses:
        condition |= Q(requests__gt=F("errors"))
    return condition


def _one_of(column: str) -> Callable[[Sequence[Any]], Q]:
    return lambda values: Q(**{f"{column}__in": values})


def _any_of(column: str) -> Callable[[Sequence[Any]], Q]:
    return lambda values: Q(**{f"{column}__overlap": list(values)})


_HAS: dict[Dimension, Callable[[Sequence[Any]], Q]] = {
    "organization_id": _one_of("organization_id"),
    "user_id": _one_of("user_id"),
    "session_id": _one_of("session_id"),
    "status": _with_status,
    "model": _any_of("model_names"),
    "provider": _any_of("providers"),
    "project_id": _any_of("project_ids"),
    "expert_id": _any_of("expert_ids"),
    "template_id": _any_of("template_ids"),
    "feature": _any_of("features"),
}
"""For each dimension, a function from values to the condition that a session has a request with one of them."""
