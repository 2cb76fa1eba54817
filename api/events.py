"""Single requests: the log of them, a page at a time, and one with its cost explained."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import prefetch_related_objects
from django.http import Http404
from rest_framework.request import Request

from accounts.viewer import Viewer
from analytics.reports import Log, LogCursor, LogPage, event_of
from analytics.reports.cost_explanation import Part, explains, parts_of, prices_of
from api.links import link
from api.parameters import FILTERS, ONLY_UNPRICED, filters_of, number, place
from api.problems import WrongParameterError
from api.reading import Reading
from api.shapes.base import told
from api.shapes.events import EventDetailShape, EventShape, EventsShape
from ledger.event_columns import COST_COLUMNS
from ledger.models import UsageEvent
from pricing.cost import rounded

BEFORE = place("before", LogCursor.parse, means="Events that are older than this place. The link next has it.")
AFTER = place("after", LogCursor.parse, means="Events that are newer than this place. The link previous has it.")
SIZE = number("limit", default=50, most=500, means="At most this number of events.")


class EventsView(Reading):
    """The events of a range, newest first. Follow the link next to read them all, each once."""

    takes = (*FILTERS, ONLY_UNPRICED, SIZE, BEFORE, AFTER)
    tells = EventsShape
    tag = "Events"

    def read(self, request: Request, viewer: Viewer, **where: Any) -> Any:
        unpriced = ONLY_UNPRICED.of(request)
        if unpriced and not viewer.sees_cost:
            raise WrongParameterError(ONLY_UNPRICED.name, "unpriced: you may not see costs, so leave this out.")
        log = Log(viewer, filters_of(request, viewer).selection, unpriced, size=SIZE.of(request))
        page = _page(log, BEFORE.of(request), AFTER.of(request))
        prefetch_related_objects(page.events, "organization", "project", "user")
        return {
            "next": page.older and link(request, before=page.older, after=None),
            "previous": page.newer and link(request, after=page.newer, before=None),
            "events": [event_told(viewer, event) for event in page.events],
        }


class EventView(Reading):
    """One event, with its cost explained. The id is that of the list."""

    tells = EventDetailShape
    tag = "Events"

    def read(self, request: Request, viewer: Viewer, **where: Any) -> Any:
        event = event_of(viewer, where["organization_id"], where["id"])
        if event is None:
            raise Http404
        told_of = event_told(viewer, event)
        return {**told_of, "cost": explained(event)} if viewer.sees_cost else told_of


def event_told(viewer: Viewer, event: UsageEvent) -> Mapping[str, Any]:
    """An event in its shape, without the costs that the viewer may not see."""
    found = told(EventShape, event)
    return found if viewer.sees_cost else {name: value for name, value in found.items() if name not in COST_COLUMNS}


def explained(event: UsageEvent) -> dict[str, Any]:
    """How the cost of an event came about. Each part is rounded to nine places by itself; the cost is rounded once."""
    parts = parts_of(event, prices_of([event]))
    return {
        "cost_usd": None if event.cost_usd is None else f"{event.cost_usd:.9f}",
        "adds_up": explains(parts, event),
        "parts": [
            {
                "model": part.model,
                "price_version": None if part.price is None else part.price.pk,
                "charged_since": None if part.price is None else part.price.effective_from,
                "charges": list(_charges([part])),
            }
            for part in parts
        ],
    }


def _charges(parts: Iterable[Part]) -> Iterable[dict[str, Any]]:
    for charge in (charge for part in parts for charge in part.charges):
        yield {
            "unit": charge.unit,
            "tool": charge.tool or None,
            "amount": str(charge.amount),
            "rate_usd": None if charge.rate is None else f"{charge.rate:.12f}",
            "per": charge.per,
            "cost_usd": None if charge.dollars is None else f"{rounded(charge.dollars):.9f}",
        }


def _page(log: Log, before: LogCursor | None, after: LogCursor | None) -> LogPage:
    if before is not None and after is not None:
        raise WrongParameterError(AFTER.name, "after: leave out either before or after.")
    if before is not None:
        return log.before(before)
    return log.first() if after is None else log.after(after)
