"""The addresses of one session: of its page, and of the list of its requests."""

from django.urls import reverse

from accounts.viewer import Viewer
from analytics.filters.facets import ALL, FACET
from analytics.filters.query_string import QueryString
from analytics.reports import Conversation
from ledger.models import SessionColumns


def link_to_requests(viewer: Viewer, session: Conversation | SessionColumns) -> str:
    """The address that lists exactly the session's requests."""
    return f"{reverse('requests')}{requests_query(viewer, session)}"


def requests_query(viewer: Viewer, session: Conversation | SessionColumns) -> QueryString:
    """The query string for exactly the session's requests. The filters by person and organization are only in it if the
    viewer has them."""
    pairs = [("range", "custom"), ("from", f"{session.first_day}"), ("to", f"{session.last_day}"), ("provider", ALL)]
    if viewer.user_ids is None or viewer.is_narrowed:
        pairs.append(("user", FACET["user"].text(session.user_id)))
    if viewer.organization_ids is None:
        pairs.append(("organization", FACET["organization"].text(session.organization_id)))
    return QueryString((*pairs, ("session", session.session_id)))


def link_to_session(session: Conversation | SessionColumns, state: QueryString | None = None) -> str:
    """The address of the session's page. It carries the ``state`` of the list that it stands in, for the way back."""
    pairs = state.pairs if state else ()
    address = reverse("session", args=[session.organization_id, session.user_id])
    return f"{address}{QueryString((('id', session.session_id), *pairs))}"
