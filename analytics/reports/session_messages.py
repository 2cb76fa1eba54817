"""The messages of one session: its requests in the order in which they were sent, and their sums."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Q, QuerySet

from accounts.viewer import Viewer
from analytics.reports.direction import NEWER
from analytics.reports.event_log import LogCursor
from analytics.reports.report import Report
from analytics.reports.scope import visible
from analytics.reports.selection import Selection
from analytics.reports.sessions import Conversation
from analytics.reports.totals import Totals
from ledger.models import UsageEvent

PAGE = 50


@dataclass(frozen=True, slots=True)
class Messages:
    """A page of messages, oldest first, and the cursor of the next page; None on the last page."""

    events: Sequence[UsageEvent]
    next: LogCursor | None


def messages(viewer: Viewer, session: Conversation, after: LogCursor | None = None) -> Messages:
    """The first messages of a session, or those after a cursor."""
    events = _events(viewer, session)
    if after is not None:
        events = events.filter(NEWER.events_beyond(after.timestamp, after.id))
    found = list(events.order_by(*NEWER.order)[: PAGE + 1])
    shown = found[:PAGE]
    return Messages(shown, LogCursor.of(shown[-1]) if len(found) > PAGE else None)


def message_sums(viewer: Viewer, session: Conversation) -> Totals:
    """The sums of the messages that are kept in detail."""
    return Report(viewer, selection_of(session)).totals()


def selection_of(session: Conversation) -> Selection:
    """The selection of exactly the session's requests."""
    return Selection(
        session.first_day,
        session.last_day,
        {
            "organization_id": (session.organization_id,),
            "user_id": (session.user_id,),
            "session_id": (session.session_id,),
        },
    )


def _events(viewer: Viewer, session: Conversation) -> "QuerySet[UsageEvent]":
    # Person and days are named so that the index of a person's requests is used; none has sessions.
    person = Q(user_id=session.user_id) if session.user_id else Q(user_id__isnull=True)
    return UsageEvent.objects.filter(
        visible(viewer) & person,
        organization_id=session.organization_id,
        day__range=(session.first_day, session.last_day),
        session_id=session.session_id,
    )
