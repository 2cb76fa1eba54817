"""Sessions: conversations, a page at a time."""

from typing import Any

from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from accounts.viewer import Viewer
from analytics.reports import Sessions
from analytics.reports.session_order import RECENT, SORTS, SessionCursor, sorts_of
from api.links import link
from api.parameters import FILTERS, choice, filters_of, number, place
from api.problems import WrongParameterError
from api.reading import Reading
from api.shapes.base import told
from api.shapes.events import SessionShape, SessionsShape

SORT = choice("sort", {sort.key: sort for sort in SORTS}, default=RECENT.key, means="Whose largest come first.")
AFTER = place("after", SessionCursor.parse, means="Sessions beyond this place. The link next has it.")
SIZE = number("limit", default=25, most=500, means="At most this number of sessions.")


class SessionsView(Reading):
    """The sessions that were active in a range, each with the sums of all its requests. A session passes a filter if
    any of its requests does."""

    takes = (*FILTERS, SORT, SIZE, AFTER)
    tells = SessionsShape
    tag = "Events"

    def read(self, request: Request, viewer: Viewer, **where: Any) -> Any:
        if viewer.project_ids is not None:
            raise PermissionDenied("A session may span projects, so a key of one project cannot read sessions.")
        sort = SORT.of(request)
        if sort not in sorts_of(viewer):
            raise WrongParameterError(SORT.name, "sort: you may not see costs, so choose another order.")
        sessions = Sessions(viewer, filters_of(request, viewer).selection, sort, size=SIZE.of(request))
        page = sessions.page(AFTER.of(request))
        return {
            "next": page.next and link(request, after=page.next),
            "sessions": [told(SessionShape, one) for one in page.conversations],
        }
