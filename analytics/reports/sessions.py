"""Sessions: the conversations that were active in a range of days, a page at a time.

A session's figures are always those of the whole of it. A page is found by its place in the order rather than by its
number, so that a deep one costs what the first one does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from accounts.models import Organization
from accounts.viewer import Viewer
from analytics.cubes import smallest_with
from analytics.models import Rollup, Session, Status, UsageEvent
from analytics.reports.names import labels
from analytics.reports.scope import selected, visible
from analytics.reports.session_order import RECENT, Place, Sort
from analytics.selection import Dimension, Selection

PAGE = 25
READ_WHOLE_DAYS = 7
"""So many days are quickly read and sorted. Of more, the rows are read from the largest class down."""
KNOWN: tuple[Dimension, ...] = ("organization_id", "user_id", "session_id", "model", "status")
"""What a session itself knows. All else only its messages know."""


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

    A model or a status is looked for in the whole session, and any other filter asks for a message in the range that
    passes all filters. Costs in dollars, both ends included; whoever may not see cost gives none.
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
        found = list(rows[: PAGE + 1])
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
        chosen = dict(self.selection.chosen)
        if not self._tells_providers_apart():
            chosen.pop("provider", None)
        if any(dimension not in KNOWN for dimension in chosen):
            return Q(self._has_message(Q(user_id=OuterRef("user_id")))) | Q(
                Q(user_id=0) & Q(self._has_message(Q(user_id=None)))
            )
        condition = Q()
        for dimension, values in chosen.items():
            condition &= _KNOWN_BY[dimension](values)
        return condition

    def _has_message(self, of_user: Q) -> Exists:
        """The days are those of the session too, so that only a few messages of its person are looked at."""
        return Exists(
            UsageEvent.objects.filter(
                selected(self.selection, UsageEvent) & of_user,
                organization_id=OuterRef("organization_id"),
                session_id=OuterRef("session_id"),
                day__range=(OuterRef("first_day"), OuterRef("last_day")),
            )
        )

    def _tells_providers_apart(self) -> bool:
        """Whether any message of these days is from a provider that is not chosen. As a rule there is but one."""
        cube = smallest_with(frozenset() if self.viewer.user_ids is None else frozenset({"user_id"}))
        assert cube is not None
        days = selected(Selection(self.selection.first_day, self.selection.last_day), Rollup)
        providers = self.selection.chosen.get("provider")
        if providers is None:
            return False
        others = Rollup.objects.filter(Q(cube=cube.number) & visible(self.viewer) & days)
        return others.exclude(provider__in=providers).exists()

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
        people = labels(self.viewer, "user_id", sorted({row.user_id for row in rows}))
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


def _with_status(statuses: Sequence[Any]) -> Q:
    condition = Q(pk__in=[])
    if Status.ERROR in statuses:
        condition |= Q(errors__gt=0)
    if Status.SUCCESS in statuses:
        condition |= Q(requests__gt=F("errors"))
    return condition


_KNOWN_BY: dict[Dimension, Callable[[Sequence[Any]], Q]] = {
    "organization_id": lambda values: Q(organization_id__in=values),
    "user_id": lambda values: Q(user_id__in=values),
    "session_id": lambda values: Q(session_id__in=values),
    "model": lambda values: Q(model_names__overlap=list(values)),
    "status": _with_status,
}
