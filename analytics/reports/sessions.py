"""Sessions: the conversations that were active in a range of days, a page at a time.

A session's figures are always those of the whole of it. A page is found by its place in the order rather than by its
number, so that a deep one costs what the first one does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import F, Q, QuerySet

from accounts.models import Organization
from accounts.viewer import Viewer
from analytics.models import Session, Status, UsageEvent
from analytics.reports.names import Names
from analytics.reports.scope import visible
from analytics.reports.session_order import RECENT, Place, Sort
from analytics.selection import Dimension, Selection

PAGE = 25
READ_WHOLE_DAYS = 7
"""So many days are quickly read and sorted. Of more, the rows are read from the largest class down."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """One session as a viewer sees it. ``cost_usd`` is None and ``unpriced`` 0 where cost may not be seen; otherwise
    the cost is that of the priced messages."""

    session_id: str
    organization_id: int
    user_id: int
    person: str
    requests: int
    errors: int
    unpriced: int
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
    """Of its organization."""

    @property
    def duration_ms(self) -> float:
        """From the start of the first call to the end of the last."""
        return (self.last_at - self.first_at) / timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class SessionPage:
    """Sessions in their order, and the place after which more begin; None where there are no more."""

    conversations: Sequence[Conversation]
    next: Place | None


@dataclass(frozen=True, slots=True)
class Sessions:
    """The sessions of a selection that a viewer may see: those active between its first and its last day.

    Each filter asks for a message anywhere in the session that passes it. Costs in dollars, both ends included; whoever
    may not see cost gives none.
    """

    viewer: Viewer
    selection: Selection
    sort: Sort = RECENT
    cost_min: Decimal | None = None
    cost_max: Decimal | None = None

    def __post_init__(self) -> None:
        asks_for_cost = self.sort.is_of_cost or self.cost_min is not None or self.cost_max is not None
        if asks_for_cost and not self.viewer.sees_cost:
            raise ValueError("Sorting or filtering by a hidden cost would tell it.")

    def page(self, after: Place | None = None) -> SessionPage:
        """The first page, or the one after a place."""
        rows = self._rows()
        if after is not None:
            rows = rows.filter(self._beyond(after))
        # Through a cursor, which PostgreSQL never reads in parallel: each of several workers would go on down to the
        # lowest class, that of most sessions, to find a page of its own.
        found = list(rows[: PAGE + 1].iterator(PAGE + 1))
        shown = found[:PAGE]
        return SessionPage(self._conversations(shown), self._place_of(shown[-1]) if len(found) > PAGE else None)

    def _rows(self) -> "QuerySet[Session]":
        first, last = self.selection.first_day, self.selection.last_day
        # The second condition follows from the first, wherever on earth that day is. It is what an index understands.
        active = Q(last_day__gte=first, last_utc_day__gte=first - timedelta(days=1), first_day__lte=last)
        rows = Session.objects.filter(visible(self.viewer) & active & self._chosen() & self._costing())
        return rows.order_by(*(f"-{column}" for column in (*self._columns, "organization_id", "user_id", "session_id")))

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

    def _beyond(self, place: Place) -> Q:
        """What comes after the session at a place; everything, if the place is in no such order."""
        try:
            value = self.sort.value(place.number)
            coarse = self.sort.coarse(value)
        except (ValueError, OverflowError):
            return Q()
        column = self.sort.column
        key = (place.organization_id, place.user_id, place.session_id)
        beyond = Q(**{f"{column}__lt": value}) | Q(**{column: value, "pk__lt": key})
        # The first term says nothing new. It is what an index understands.
        return Q(**{f"{self.sort.coarse_column}__lte": coarse}) & beyond

    def _place_of(self, row: Session) -> Place:
        number = self.sort.number(getattr(row, self.sort.column))
        return Place(number, row.organization_id, row.user_id, row.session_id)

    def _conversations(self, rows: Sequence[Session]) -> list[Conversation]:
        organization_ids = {row.organization_id for row in rows}
        zones = dict(Organization.objects.filter(pk__in=organization_ids).values_list("pk", "time_zone"))
        people = Names(self.viewer).of("user_id", sorted({row.user_id for row in rows}))
        sees_cost = self.viewer.sees_cost
        return [
            Conversation(
                session_id=row.session_id,
                organization_id=row.organization_id,
                user_id=row.user_id,
                person=people.get(row.user_id, str(row.user_id)),
                requests=row.requests,
                errors=row.errors,
                unpriced=row.unpriced if sees_cost else 0,
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


def session_of(viewer: Viewer, event: UsageEvent) -> Session | None:
    """The session that an event is in; None if its call named none."""
    key = {"organization_id": event.organization_id, "user_id": event.user_id or 0, "session_id": event.session_id}
    return Session.objects.filter(visible(viewer), **key).first() if event.session_id else None


def _with_status(statuses: Sequence[Any]) -> Q:
    condition = Q(pk__in=[])
    if Status.ERROR in statuses:
        condition |= Q(errors__gt=0)
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
"""Which sessions have a message with one of these values."""
