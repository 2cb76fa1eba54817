"""Signing in and out, as a browser does it; guessing; and the door in front of views."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import ClassVar

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.hashers import MD5PasswordHasher
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.models import Session
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone
from django_htmx.middleware import HtmxDetails
from pytest_django.fixtures import Settings

from accounts.attempts import TooManyAttemptsError, forget_old_attempts
from accounts.client_address import client_address
from accounts.decorators import viewer_of, with_viewer
from accounts.models import SignInAttempts, User
from accounts.viewer import Viewer
from tests.cast import PASSWORD, signed_in

SIGN_IN = "/sign-in/"


@with_viewer
def hello(request: HttpRequest, viewer: Viewer, greeting: str = "hello") -> HttpResponse:
    assert viewer is viewer_of(request)
    return HttpResponse(f"{greeting} {viewer.role}")


def sign_in(client: Client, username: str, password: str = PASSWORD, **extra: str) -> HttpResponse:
    data = {"username": username, "password": password, "next": extra.pop("next", "")}
    response: HttpResponse = client.post(SIGN_IN, data, **extra)  # type: ignore[assignment, arg-type]
    return response


def is_signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


# The sign-in page


def test_signing_in_leads_to_where_one_wanted_to_go(client: Client, user: User) -> None:
    response = sign_in(client, "ann", next="/password/")
    assert response.status_code == 302
    assert response["Location"] == "/password/"
    assert is_signed_in(client)


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example/", "javascript:alert(1)", "\\\\evil"])
def test_signing_in_never_leads_elsewhere(client: Client, user: User, elsewhere: str) -> None:
    assert sign_in(client, "ann", next=elsewhere)["Location"] == "/start/"


def test_a_wrong_password_says_so(client: Client, user: User) -> None:
    response = sign_in(client, "ann", "wrong")
    assert response.status_code == 200
    assert b"correct username and password" in response.content
    assert not is_signed_in(client)


def test_somebody_made_by_a_call_cannot_sign_in(client: Client, user: User) -> None:
    user.set_unusable_password()
    user.is_active = False
    user.save()
    for password in ("", "!", user.password, PASSWORD):
        sign_in(client, "ann", password)
        assert not is_signed_in(client)


def test_the_form_needs_its_token(user: User) -> None:
    client = Client(enforce_csrf_checks=True)
    assert sign_in(client, "ann").status_code == 403


def test_the_session_rotates_when_somebody_signs_in(client: Client, user: User) -> None:
    session = client.session
    session["before"] = True
    session.save()
    client.cookies["sessionid"] = before = session.session_key or ""
    sign_in(client, "ann")
    assert client.session.session_key != before
    assert not Session.objects.filter(pk=before).exists()


def test_signing_out_takes_a_post(client: Client, user: User) -> None:
    client.force_login(user)
    assert client.get("/sign-out/").status_code == 405
    assert is_signed_in(client)
    assert client.post("/sign-out/")["Location"] == SIGN_IN
    assert not is_signed_in(client)


def test_deactivation_ends_sessions(client: Client, super_admin: User) -> None:
    client.force_login(super_admin)
    assert client.get("/admin/").status_code == 200
    User.objects.filter(pk=super_admin.pk).update(is_active=False)
    assert client.get("/admin/")["Location"].startswith("/admin/login/")


def test_a_changed_password_signs_other_devices_out(user: User) -> None:
    here, there = signed_in(user), signed_in(user)
    new = "a whole new battery"
    data = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    assert here.post("/password/", data)["Location"] == "/password/done/"
    assert here.get("/password/done/").status_code == 200
    assert there.get("/password/").status_code == 302
    assert sign_in(Client(), "ann", new).status_code == 302


def test_the_password_page_is_for_those_who_are_signed_in(client: Client, db: None) -> None:
    assert client.get("/password/")["Location"] == f"{SIGN_IN}?next=/password/"


# Guessing


def guess(client: Client, times: int, username: str = "ann", **extra: str) -> HttpResponse:
    for _ in range(times):
        response = sign_in(client, username, "wrong", **extra)
    return response


def test_who_guesses_too_often_waits(client: Client, user: User, settings: Settings) -> None:
    assert guess(client, settings.SIGN_IN_ATTEMPTS - 1).status_code == 200
    response = guess(client, 1)
    assert response.status_code == 429
    assert response["Retry-After"] == "900"
    assert b"in 15 minutes" in response.content
    assert sign_in(client, "ann").status_code == 429, "the right password does not help any more"
    assert not is_signed_in(client)


def test_waiting_helps(client: Client, user: User, settings: Settings) -> None:
    guess(client, settings.SIGN_IN_ATTEMPTS)
    guess(client, 1)  # trying on does not make it longer
    SignInAttempts.objects.update(last_at=timezone.now() - settings.SIGN_IN_PAUSE - timedelta(seconds=1))
    assert sign_in(client, "ann").status_code == 302


def test_signing_in_forgets_earlier_failures(client: Client, user: User, settings: Settings) -> None:
    for _ in range(2):
        guess(client, settings.SIGN_IN_ATTEMPTS - 1)
        assert sign_in(client, "ann").status_code == 302
        client.post("/sign-out/")


def test_others_are_not_locked_out(client: Client, user: User, colleague: User, settings: Settings) -> None:
    guess(client, settings.SIGN_IN_ATTEMPTS, REMOTE_ADDR="203.0.113.9")
    assert sign_in(Client(), "ann", REMOTE_ADDR="198.51.100.7").status_code == 302, "the same person elsewhere"
    assert sign_in(Client(), "ben", REMOTE_ADDR="203.0.113.9").status_code == 302, "a colleague in the same office"


def test_another_browser_does_not_help(user: User, settings: Settings) -> None:
    for number in range(settings.SIGN_IN_ATTEMPTS):
        response = guess(Client(), 1, HTTP_USER_AGENT=f"browser {number}")
    assert response.status_code == 429


def test_the_admin_has_no_door_of_its_own(client: Client, super_admin: User, settings: Settings) -> None:
    data = {"username": "root", "password": PASSWORD}
    response = client.post("/admin/login/?next=/admin/", data)
    assert response["Location"] == f"{SIGN_IN}?next=/admin/"
    assert not is_signed_in(client)


def test_nothing_that_was_typed_is_kept_with_the_failures(client: Client, user: User) -> None:
    """The name neither: people type the password into the wrong field."""
    sign_in(client, "my name", "my password", REMOTE_ADDR="203.0.113.9")
    kept = str(SignInAttempts.objects.values().get())
    assert not any(text in kept for text in ("my name", "my password", "203.0.113.9"))


def test_what_counts_no_longer_is_removed(client: Client, user: User, settings: Settings) -> None:
    guess(client, 1)
    guess(client, 1, "ben")
    before = timezone.now() - settings.SIGN_IN_PAUSE - timedelta(seconds=1)
    SignInAttempts.objects.filter(pk=SignInAttempts.objects.earliest("pk").pk).update(last_at=before)
    forget_old_attempts()
    assert SignInAttempts.objects.count() == 1


class CountingHasher(MD5PasswordHasher):
    """Counts the passwords that are looked at."""

    looked_at: ClassVar[list[str]] = []

    def encode(self, password: str, salt: str) -> str:
        self.looked_at.append(password)
        return super().encode(password, salt)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("username", ["ann", "nobody"])
def test_any_number_of_attempts_at_once_get_no_further_than_one_after_the_other(
    user: User, settings: Settings, rf: RequestFactory, username: str
) -> None:
    settings.PASSWORD_HASHERS = [f"{__name__}.CountingHasher"]
    CountingHasher.looked_at.clear()
    together = Barrier(40)

    def attempt(number: int) -> str:
        request = rf.post(SIGN_IN)
        together.wait(60)
        try:
            authenticate(request, username=username, password=f"wrong {number}")
        except TooManyAttemptsError:
            return "refused"
        finally:
            connections.close_all()
        return "wrong"

    with ThreadPoolExecutor(40) as threads:
        outcomes = Counter(threads.map(attempt, range(40)))
    assert len(CountingHasher.looked_at) == settings.SIGN_IN_ATTEMPTS
    assert outcomes == {"wrong": settings.SIGN_IN_ATTEMPTS - 1, "refused": 41 - settings.SIGN_IN_ATTEMPTS}


def test_the_old_password_cannot_be_guessed_on_the_page_that_changes_it(user: User, settings: Settings) -> None:
    client = signed_in(user)
    data = {"old_password": "wrong", "new_password1": "a whole new battery", "new_password2": "a whole new battery"}
    answers = [client.post("/password/", data).status_code for _ in range(settings.SIGN_IN_ATTEMPTS)]
    assert answers == [200] * (settings.SIGN_IN_ATTEMPTS - 1) + [429]
    assert client.post("/password/", data | {"old_password": PASSWORD}).status_code == 429


THE_PROXY = "203.0.113.9"


def address_behind(rf: RequestFactory, written: str, **headers: str) -> str | None:
    return client_address(rf.get("/", headers={"x-forwarded-for": written, **headers}, REMOTE_ADDR=THE_PROXY))


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "198.51.100.1", THE_PROXY),  # nobody may say who they are
        (1, "198.51.100.1", "198.51.100.1"),
        (1, "6.6.6.6, 198.51.100.1", "198.51.100.1"),  # the first was written by the caller
        (2, "6.6.6.6, 198.51.100.1, 10.0.0.1", "198.51.100.1"),
        (2, "6.6.6.6, , 10.0.0.1", None),  # what a proxy left out is not taken from the caller
        (2, "198.51.100.1", THE_PROXY),  # it did not come through both
        (1, "", THE_PROXY),
    ],
)
def test_the_clients_address(
    rf: RequestFactory, settings: Settings, proxies: int, forwarded: str, address: str | None
) -> None:
    settings.PROXY_COUNT = proxies
    assert address_behind(rf, forwarded) == address


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("198.51.100.1:5678", "198.51.100.1"),
        ('"198.51.100.1:5678"', "198.51.100.1"),
        ('"198.51.100.1"', "198.51.100.1"),
        ("  198.51.100.1  ", "198.51.100.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),  # a household has 2^64 addresses
        ("2001:db8::1", "2001:db8::"),
        ("2001:DB8::1", "2001:db8::"),
        ("[2001:db8::1]", "2001:db8::"),
        ("[2001:db8::1]:443", "2001:db8::"),
        ('"[2001:db8::1]"', "2001:db8::"),
        ('"[2001:db8::1]:443"', "2001:db8::"),
        ("fe80::1%eth0", "fe80::"),
        ("::ffff:198.51.100.1", "198.51.100.1"),
        ("[::ffff:198.51.100.1]:443", "198.51.100.1"),
        # What is no address stands for those of whom the proxy writes so, and for nobody else.
        ("unknown", "unknown"),
        ("_hidden", "_hidden"),
        ("198.51.100.1:http", "198.51.100.1:http"),
        ("198.51.100.256:80", "198.51.100.256:80"),
        ("[198.51.100", "[198.51.100"),
        ("[]:80", "[]:80"),
        ("6.6.6.6,", None),
    ],
)
def test_every_way_to_write_an_address(rf: RequestFactory, settings: Settings, written: str, address: str) -> None:
    settings.PROXY_COUNT = 1
    assert address_behind(rf, written) == address


def test_another_header_is_not_believed(rf: RequestFactory, settings: Settings) -> None:
    settings.PROXY_COUNT = 1
    assert address_behind(rf, "198.51.100.1", forwarded="for=6.6.6.6", x_real_ip="6.6.6.6") == "198.51.100.1"
    assert address_behind(rf, "", forwarded="for=6.6.6.6") == THE_PROXY


@pytest.mark.parametrize("form", ["{}:5678", '"{}"', "unknown"])
def test_a_stranger_behind_the_same_proxy_locks_nobody_out(user: User, settings: Settings, form: str) -> None:
    settings.PROXY_COUNT = 1
    for _ in range(settings.SIGN_IN_ATTEMPTS + 1):
        response = sign_in(Client(), "ann", "wrong", HTTP_X_FORWARDED_FOR=form.format("198.51.100.66"))
    assert response.status_code == 429
    assert sign_in(Client(), "ann", HTTP_X_FORWARDED_FOR="198.51.100.7:1234").status_code == 302


def test_there_may_be_no_address(rf: RequestFactory) -> None:
    assert client_address(rf.get("/", REMOTE_ADDR="")) is None


# The door in front of views


def ask(rf: RequestFactory, user: object, *, path: str = "/things/?a=1", **headers: str) -> HttpRequest:
    request = rf.get(path, headers=headers)
    request.user = user  # type: ignore[assignment]
    request.htmx = HtmxDetails(request)  # type: ignore[attr-defined]
    return request


def test_a_visitor_is_asked_to_sign_in_and_comes_back(rf: RequestFactory) -> None:
    response = hello(ask(rf, AnonymousUser()))
    assert response["Location"] == f"{SIGN_IN}?next=/things/%3Fa%3D1"


def test_a_fragment_asked_for_by_a_visitor_becomes_a_whole_page(rf: RequestFactory) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/page/?b=2"}
    response = hello(ask(rf, AnonymousUser(), **headers))
    assert response["HX-Redirect"] == f"{SIGN_IN}?next=/page/%3Fb%3D2"


def test_a_stranger_gets_a_friendly_page(client: Client, rf: RequestFactory, stranger: User) -> None:
    response = hello(ask(rf, stranger))
    assert response.status_code == 200
    assert isinstance(response, HttpResponse)
    assert b"ask your Super Admin" in response.content


def test_somebody_who_sees_something_gets_in(rf: RequestFactory, admin: User) -> None:
    response = hello(ask(rf, admin), greeting="welcome")
    assert isinstance(response, HttpResponse)
    assert response.content == b"welcome Admin"


def test_the_names_of_the_addresses() -> None:
    names = ("sign-in", "sign-out", "password-change", "password-change-done")
    assert [reverse(name) for name in names] == ["/sign-in/", "/sign-out/", "/password/", "/password/done/"]
