"""The part of the page that waits for a call."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import unescape
from typing import Any

import psycopg
import pytest
from django.db import connection as django_connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings

from accounts.models import Organization, User
from accounts.viewer import Viewer
from analytics import reports
from groq_client import errors
from ledger.models import UsageEvent
from ledger.recording.record import record
from tests.cast import signed_in
from tests.ledger.calls import call, failed, usage
from tests.pricing.prices import make_price

pytestmark = pytest.mark.django_db(transaction=True)

LOOKING = {"HX-Request": "true", "HX-Request-Type": "partial"}
ABOUT_COST = re.compile(r"\$\s?\d|cost|pric|usd", re.IGNORECASE)


def since(ago: timedelta = timedelta(minutes=1)) -> str:
    return str(round((timezone.now() - ago).timestamp() * 1_000))


def look(person: User, query: str = "", **more: Any) -> Any:
    return signed_in(person).get(f"/connect/call/?since={more.pop('since', since())}{query}", headers=LOOKING)


def text(response: Any) -> str:
    assert response.status_code == 200
    return unescape(" ".join(re.sub(r"<[^>]*>", " ", response.content.decode()).split()))


def come(user: str = "ann", organization: str = "acme", **more: Any) -> None:
    record([call("one/a", **{"at": datetime.now(UTC), "user": user, "organization": organization} | more)])


def test_nothing_comes_until_something_has_come(admin: User, user: User, acme: Organization) -> None:
    make_price("one/a", at=timezone.now() - timedelta(days=1))
    came = since(timedelta(0))
    assert look(user, since=came).status_code == 204
    come(usage=usage(300, 12))
    found = look(user, since=came)
    assert "Your first call is here: 312 tokens" in text(found)
    assert "hx-get" not in found.content.decode(), "the page stops looking"
    assert look(user, since=since(timedelta(0))).status_code == 204, "what came before the page was opened is no news"


def test_the_page_itself_shows_what_has_come(user: User) -> None:
    """So that it works without JavaScript, by loading it again."""
    waiting = signed_in(user).get(f"/connect/?since={since()}").content.decode()
    assert "hx-get" in waiting
    assert "Look again" in waiting
    come()
    html = signed_in(user).get(f"/connect/?since={since()}").content.decode()
    assert "Your first call is here: 120 tokens" in html
    assert "hx-get" not in html


def test_cost_is_told_to_those_who_see_it(user: User, admin: User, acme: Organization) -> None:
    make_price("one/a", at=timezone.now() - timedelta(days=1))
    come("boss")
    come("ann")
    assert re.search(r"Your first call is here: 120 tokens, \$0\.\d+", text(look(admin)))
    assert not ABOUT_COST.search(look(user).content.decode())
    Organization.objects.update(show_user_cost=True)
    assert ", $" in text(look(user))


def test_a_call_without_a_price_says_so(admin: User, user: User, super_admin: User) -> None:
    come("boss")
    assert "Your first call is here: 120 tokens, no price yet" in text(look(admin))
    assert "Set a price" not in text(look(admin))
    assert "Set a price" in text(look(super_admin, "&organization=acme"))
    come("ann")
    assert not ABOUT_COST.search(look(user).content.decode())


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"http_status": 401, "error_code": "invalid_api_key"}, ["401 invalid_api_key", "An Admin replaces it"]),
        ({"http_status": 404, "error_code": "model_not_found"}, ["404 model_not_found", "Ask another model"]),
        ({}, ["429 rate_limit_exceeded", "Wait a moment"]),
        ({"http_status": 503, "error_code": "service_unavailable"}, ["503", "Groq has a problem"]),
        ({"http_status": None, "error_code": errors.TIMEOUT}, ["failed: timeout", "did not answer in time"]),
        ({"http_status": None, "error_code": "odd"}, ["failed: odd", "Its page says more"]),
        ({"http_status": 429, "provider": "openai"}, ["openai's rate limit"]),
    ],
)
def test_a_call_that_failed_says_what_to_do(user: User, more: dict[str, Any], said: list[str]) -> None:
    event = failed(at=datetime.now(UTC), user="ann", organization="acme", error_message="Groq said <this>.")
    for name, value in more.items():
        setattr(event, name, value)
    record([event])
    shown = text(look(user))
    for words in ("Your first call is here, and failed", "Groq said <this>.", *said):
        assert words in shown


@pytest.mark.parametrize(
    ("used", "said"),
    [
        (usage(1, 0), "1 token,"),
        (usage(0, 0, audio_seconds=Decimal("4.25")), "4.25 s of audio,"),
        (usage(0, 0, characters=1_200), "1,200 characters,"),
        (usage(9, 3, estimated=True), "about 12 tokens,"),
    ],
)
def test_what_was_used_is_told(admin: User, used: Any, said: str) -> None:
    come("boss", usage=used)
    assert f"is here: {said}" in text(look(admin))


# Whose calls


def test_everybody_waits_for_their_own(
    user: User, colleague: User, admin: User, super_admin: User, acme: Organization, globex: Organization
) -> None:
    """Others may call all the time; only an Admin can choose to see those too."""
    come("ben")
    come("eve", "globex")
    for person in (user, admin):
        assert look(person).status_code == 204
    assert look(user, "&whose=all").status_code == 204
    shown = text(look(admin, "&whose=all"))
    assert "A call of Acme is here" in shown
    assert "ben" in shown
    assert "A call of Globex is here" in text(look(super_admin, "&organization=globex"))
    assert look(admin, "&whose=all&organization=globex").status_code == 404


def test_a_merged_persons_calls_are_those_of_whom_they_became(user: User, acme: Organization) -> None:
    come("ANN ")
    assert "Your first call is here" in text(look(user))


# What a page can ask for


@pytest.mark.parametrize("said", ["", "nonsense", "-5", "99999999999999999999", "1e5", "9999999999999"])
def test_a_strange_moment_is_now(user: User, said: str) -> None:
    come()
    assert look(user, since=said).status_code == 204


def test_a_page_of_last_week_finds_the_calls_of_a_day(user: User) -> None:
    come()
    assert look(user, since="0").status_code == 200
    UsageEvent.objects.update(received_at=timezone.now() - timedelta(days=2))
    assert look(user, since="0").status_code == 204


def test_a_slow_clock_does_not_hide_a_call(user: User) -> None:
    """Whoever sends events tells their times."""
    opened = since(timedelta(seconds=5))
    come(at=datetime.now(UTC) - timedelta(seconds=100))
    assert "Your first call is here" in text(look(user, since=opened))


def test_to_look_is_a_few_queries(
    user: User, admin: User, super_admin: User, acme: Organization, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for person in (user, admin, super_admin):
        client = signed_in(person)
        with django_assert_num_queries(7):  # session, person, begin, settings, organization, the newest call, commit
            client.get(f"/connect/call/?since={since()}&organization=acme", headers=LOOKING)


def test_who_looks_in_vain_keeps_looking(
    user: User, settings: Settings, connection: "psycopg.Connection[tuple[object, ...]]"
) -> None:
    """What is on the page stays while the database does not answer."""
    settings.REPORT_TIMEOUT_MS = 100
    with connection.transaction():
        connection.execute("LOCK TABLE ledger_usageevent")
        response = look(user)
    assert (response.status_code, response["HX-Reswap"], response.content) == (503, "none", b"")
    assert look(user).status_code == 204


def test_an_index_leads_to_the_newest(user: User, admin: User, super_admin: User, acme: Organization) -> None:
    """Neither what was recorded before the page was opened is read, nor what others have called since."""
    now = datetime.now(UTC)
    before = [("ann", now - timedelta(hours=2, seconds=n)) for n in range(1_000)]
    since = [("ben", now - timedelta(minutes=5, seconds=n)) for n in range(1_000)]
    record([call("one/a", at=at, user=name, organization="acme") for name, at in before + since])
    UsageEvent.objects.update(received_at=F("timestamp"))
    with django_connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE ledger_usageevent")
    for person in (user, admin, super_admin):
        viewer = Viewer.of(person)
        with CaptureQueriesContext(django_connection) as queries:
            found = reports.newest_since(viewer, acme, now - timedelta(hours=1))
        assert found is None if person is user else found.timestamp == since[0][1]
        (query,) = queries.captured_queries
        with django_connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query['sql']}")
            ((((plan,),),),) = (cursor.fetchall(),)
        assert plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"] <= 12, plan
