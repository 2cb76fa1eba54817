"""The sessions of a person: listed, ended by their owner and by Admins, and by time."""

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts import sign_ins
from accounts.models import AuditRecord, SignIn, User
from accounts.sign_ins import device_of, forget_expired
from tests.cast import PASSWORD, signed_in

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
SAFARI = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Version/19.0 Mobile Safari/604.1"
EDGE = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0"


@pytest.fixture(autouse=True)
def nobody_was_seen() -> None:
    sign_ins._seen.clear()


def enter(agent: str, address: str) -> Client:
    client = Client(HTTP_USER_AGENT=agent, REMOTE_ADDR=address)
    assert client.post("/sign-in/", {"username": "ann", "password": PASSWORD}).status_code == 302
    return client


def is_in(client: Client) -> bool:
    return client.get("/security/").status_code == 200


def later(client: Client, **ago: timedelta) -> None:
    """As if this session had last been seen, or had begun, that long ago."""
    changes = {name: timezone.now() - time for name, time in ago.items()}
    SignIn.objects.filter(session=client.session.session_key).update(**changes)
    sign_ins._seen.clear()


def test_people_see_where_they_are_signed_in(user: User, colleague: User) -> None:
    here, there = enter(FIREFOX, "198.51.100.1"), enter(SAFARI, "198.51.100.2")
    signed_in(colleague)
    page = here.get("/security/").content.decode()
    assert all(text in page for text in ("Firefox on Linux", "198.51.100.1", "Safari on iPhone", "198.51.100.2"))
    assert page.count("This one") == 1
    assert there.session.session_key not in page, "the key of a session is the session"
    assert here.session.session_key not in page
    assert SignIn.objects.count() == 3


def test_one_is_ended_at_once(user: User) -> None:
    here, there = enter(FIREFOX, "198.51.100.1"), enter(SAFARI, "198.51.100.2")
    other = SignIn.objects.get(session=there.session.session_key)
    assert here.post(f"/security/sign-ins/{other.pk}/end/").status_code == 302
    assert (is_in(here), is_in(there)) == (True, False)
    assert here.post(f"/security/sign-ins/{other.pk}/end/").status_code == 404


def test_nobody_ends_a_colleagues(user: User, colleague: User) -> None:
    theirs = signed_in(colleague)
    other = SignIn.objects.get(user=colleague)
    assert signed_in(user).post(f"/security/sign-ins/{other.pk}/end/").status_code == 404
    assert is_in(theirs)


def test_all_others_are_ended(user: User, colleague: User) -> None:
    here, others, theirs = signed_in(user), [signed_in(user), signed_in(user)], signed_in(colleague)
    here.post("/security/sign-ins/end/")
    assert [is_in(client) for client in (here, *others, theirs)] == [True, False, False, True]


def test_a_changed_password_ends_the_others(user: User) -> None:
    here, there = signed_in(user), signed_in(user)
    new = "a whole new battery"
    here.post("/password/", {"old_password": PASSWORD, "new_password1": new, "new_password2": new})
    assert (is_in(here), is_in(there)) == (True, False)
    assert here.get("/security/").content.decode().count("This one") == 1


def test_an_admin_signs_somebody_out_everywhere(admin: User, user: User, outsider: User) -> None:
    theirs, boss = signed_in(user), signed_in(admin)
    assert boss.post(f"/organization/members/{user.pk}/sessions/").status_code == 302
    assert not is_in(theirs)
    assert AuditRecord.objects.get().action == "sessions.end"
    assert enter(FIREFOX, "198.51.100.1")
    assert boss.post(f"/organization/members/{outsider.pk}/sessions/").status_code == 404


def test_a_session_ends_when_it_is_not_used(user: User, settings: Settings) -> None:
    client = signed_in(user)
    later(client, last_seen_at=timedelta(hours=settings.SESSION_IDLE_HOURS - 1))
    assert is_in(client)
    later(client, last_seen_at=timedelta(hours=settings.SESSION_IDLE_HOURS, minutes=1))
    assert not is_in(client)
    assert not Session.objects.exists()


def test_a_session_ends_however_much_it_is_used(user: User, settings: Settings) -> None:
    client = signed_in(user)
    later(client, started_at=timedelta(seconds=settings.SESSION_COOKIE_AGE + 60))
    assert not is_in(client)


def test_a_session_of_an_older_release_is_known_from_its_first_request(user: User) -> None:
    client = signed_in(user)
    SignIn.objects.all().delete()
    sign_ins._seen.clear()
    assert is_in(client)
    assert SignIn.objects.get().user == user


def test_it_is_written_once_a_minute(user: User) -> None:
    client = signed_in(user)
    for device, is_kept in (("a", True), ("b", True), ("c", False)):
        SignIn.objects.update(device=device)
        if not is_kept:
            sign_ins._seen = {key: at - 61 for key, at in sign_ins._seen.items()}
        client.get("/security/")
        assert (SignIn.objects.get().device == device) == is_kept


def test_what_has_expired_is_deleted(user: User, client: Client) -> None:
    signed_in(user)
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
    signed_in(user)
    forget_expired()
    assert (Session.objects.count(), SignIn.objects.count()) == (1, 1)


@pytest.mark.parametrize(
    ("agent", "device"),
    [
        (FIREFOX, "Firefox on Linux"),
        (SAFARI, "Safari on iPhone"),
        (EDGE, "Edge on Windows"),
        ("curl/8.14", "Another program"),
        ("<script>alert(1)</script>", "Another program"),
        ("", "Another program"),
    ],
)
def test_devices_are_told_in_words(agent: str, device: str) -> None:
    assert device_of(agent) == device
