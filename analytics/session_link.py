"""The address of the requests of one session."""

from django.urls import reverse

from accounts.viewer import Viewer
from analytics.filters import ALL, FACET
from analytics.models import Session
from analytics.query import Query
from analytics.reports import Conversation


def link_to_requests(viewer: Viewer, session: Conversation | Session) -> str:
    """All of them and no others: of its days, its person and its organization, as far as the viewer has the choice."""
    pairs = [("range", "custom"), ("from", f"{session.first_day}"), ("to", f"{session.last_day}"), ("provider", ALL)]
    if viewer.user_ids is None:
        pairs.append(("user", FACET["user"].text(session.user_id)))
    if viewer.organization_ids is None:
        pairs.append(("organization", FACET["organization"].text(session.organization_id)))
    return f"{reverse('requests')}{Query((*pairs, ('session', session.session_id)))}"
