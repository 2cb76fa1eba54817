"""The sessions of people: where somebody is signed in, since when, and when they were last seen there. Their owner ends
them on the page Security; a session also ends after SESSION_IDLE_HOURS without a request, and after SESSION_DAYS.
"""

import re
import time
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY, user_logged_in
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import DatabaseError, connection, transaction
from django.db.models import QuerySet
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils import timezone
from django.utils.deprecation import MiddlewareMixin

from accounts.client_address import client_address
from accounts.models import SignIn, User

SEEN_SECONDS = 60
"""The time for which one process does not write again that somebody was here."""
MAX_REMEMBERED = 10_000
"""At about this number of sessions in memory, they are collected anew."""
BROWSERS = {"Edg": "Edge", "OPR": "Opera", "Firefox": "Firefox", "Chrome": "Chrome", "Safari": "Safari"}
SYSTEMS = {
    "iPhone": "iPhone", "iPad": "iPad", "Android": "Android", "Windows": "Windows", "Mac OS X": "Mac", "Linux": "Linux",
}  # fmt: skip
"""Parts of the header User-Agent, the more telling first, because browsers also claim to be others."""

# A session that is new here begins now. The answer is whether an older one has to end; NULL for a new one.
SEE = """
WITH before AS (SELECT started_at, last_seen_at FROM accounts_signin WHERE session_id = %(session)s)
INSERT INTO accounts_signin (session_id, user_id, address, device)
VALUES (%(session)s, %(user)s, %(address)s, %(device)s)
ON CONFLICT (session_id) DO UPDATE SET last_seen_at = now(), address = excluded.address, device = excluded.device
RETURNING (SELECT started_at < now() - make_interval(secs => %(longest)s)
                  OR last_seen_at < now() - make_interval(hours => %(idle)s) FROM before)
"""

_seen: dict[str, float] = {}
"""When sessions were last written to the database by this process, by their keys."""


class SeenMiddleware(MiddlewareMixin):
    """Notes at most once a minute that a session is in use, and ends one that is too old."""

    def process_request(self, request: HttpRequest) -> None:
        key = request.session.session_key
        if key is None or _seen.get(key, -SEEN_SECONDS) + SEEN_SECONDS > time.monotonic():
            return
        try:
            if SESSION_KEY in request.session and _must_end(request):
                request.session.flush()
                request.user = AnonymousUser()
        except DatabaseError:
            return  # The view meets the same error, and answers it in its own way.


def _must_end(request: HttpRequest) -> bool:
    """Note that the session is in use; returns whether it was too old for that."""
    key = str(request.session.session_key)
    values: dict[str, str | int] = {
        "session": key,
        "user": int(request.session[SESSION_KEY]),
        "address": (client_address(request) or "")[:64],
        "device": device_of(request.META.get("HTTP_USER_AGENT", "")),
        "longest": settings.SESSION_COOKIE_AGE,
        "idle": settings.SESSION_IDLE_HOURS,
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(SEE, values)
        (is_too_old,) = cursor.fetchone()
    if len(_seen) >= MAX_REMEMBERED:
        _seen.clear()
    _seen[key] = time.monotonic()
    return bool(is_too_old)


@receiver(user_logged_in)
def begin(request: HttpRequest, user: User, **_: Any) -> None:
    """Note a new session, with the time at which its owner has proved who they are."""
    if request.session.session_key is None:
        request.session.save()
    _must_end(request)


def sign_ins_of(person: User) -> QuerySet[SignIn]:
    """The sessions of a person that have not ended, the one that was in use last first."""
    return SignIn.objects.filter(user=person, session__expire_date__gt=timezone.now())


def end(sign_ins: QuerySet[SignIn]) -> int:
    """End sessions at once, in every process. Returns how many there were."""
    _, deleted = Session.objects.filter(signin__in=sign_ins).delete()
    return deleted.get("sessions.Session", 0)


def end_others(request: HttpRequest, person: User) -> int:
    """End all sessions of a person but the one of this request."""
    return end(SignIn.objects.filter(user=person).exclude(session=request.session.session_key))


def forget_expired() -> None:
    """Delete the sessions that have expired."""
    SessionStore.clear_expired()


def device_of(user_agent: str) -> str:
    """A browser and a system in words, such as "Firefox on Linux"."""
    browser = next((name for part, name in BROWSERS.items() if re.search(rf"\b{part}(iOS)?/", user_agent)), "")
    system = next((name for part, name in SYSTEMS.items() if part in user_agent), "")
    if browser and system:
        return f"{browser} on {system}"
    return browser or system or "Another program"
