"""Sessions: conversations, a page at a time."""

from decimal import Decimal
from typing import Any

from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from accounts.viewer import Viewer
from analytics.reports import Sessions
from analytics.reports.session_order import RECENT, SORTS, SessionCursor, sorts_of
from api.links import link
from api.parameters import FILTERS, choice, filters_of, money, number, place
from api.problems import WrongParameterError
from api.reading import Reading
from api.shapes.base import told
from api.shapes.events import SessionShape, SessionsShape

SORT = choice("sort", {sort.key: sort for sort in SORTS}, default=RECENT.key, means="Whose largest come first.")
AFTER = place("after", SessionCursor.parse, means="Sessions beyond this place. The link next has it.")
LEAST = money("cost_min", means="Only sessions that cost at least this many dollars. For who sees costs.")
MOST = money("cost_max", means="Only sessions that cost at most this many dollars. For who sees costs.")
SIZE = number("limit", default=25, most=500, means="At most this number of sessions.")


class SessionsView(Reading):
    """The sessions that were active in a range, each with the sums of all its requests. A session passes a filter if
    any of its requests does."""

    takes = (*FILTERS, SORT, LEAST, MOST, SIZE, AFTER)
    tells = SessionsShape
    tag = "Events"

    def read(self, request: Request, viewer: Viewer, **where: Any) -> Any:
        if viewer.project_ids is not None:
            raise PermissionDenied("A session may span projects, so a key of one project cannot read sessions.")
        sort = SORT.of(request)
        if sort not in sorts_of(viewer):
            raise WrongParameterError(SORT.name, "sort: you may not see costs, so choose another order.")
        limits = _costs(request, viewer)
        sessions = Sessions(viewer, filters_of(request, viewer).selection, sort, *limits, size=SIZE.of(request))
        page = sessions.page(AFTER.of(request))
        return {
            "next": page.next and link(request, after=page.next),
            "sessions": [told(SessionShape, one) for one in page.conversations],
        }


def _costs(request: Request, viewer: Viewer) -> tuple[Decimal | None, Decimal | None]:
    """The least and the largest cost of a session. WrongParameterError for who may not see costs: whether a session is
    in the list would tell what it cost."""
    least, most = LEAST.of(request), MOST.of(request)
    for parameter, limit in ((LEAST, least), (MOST, most)):
        if limit is not None and not viewer.sees_cost:
            raise WrongParameterError(parameter.name, f"{parameter.name}: you may not see costs, so leave this out.")
    if least is not None and most is not None and least > most:
        raise WrongParameterError(MOST.name, "cost_max: this is less than cost_min.")
    return least, most
