"""Codes of an app and recovery codes: set up, asked for, used once, limited, removed; and who must have a factor."""

import base64
import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import connections
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.models import ApiKey, AuditRecord, Organization, Role, User
from accounts.second_factor import codes
from accounts.second_factor.encryption import Adapter
from accounts.viewer import Viewer
from tests.accounts.apps import SECRET, code, confirmed_long_ago, give_app
from tests.cast import PASSWORD, make_user, signed_in


def sign_in(client: Client, username: str = "ann", **more: str) -> None:
    response = client.post("/sign-in/", {"username": username, "password": PASSWORD, **more})
    assert response["Location"] == "/sign-in/second/"
    assert not is_signed_in(client)


def is_signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def shown_key(page: str) -> str:
    match = re.search(r'secret-key">([A-Z2-7 ]+)<', page)
    assert match
    return match[1].replace(" ", "")


def set_up(client: Client) -> list[str]:
    """Set up an app as its owner does. Returns the recovery codes."""
    secret = shown_key(client.get("/security/app/").content.decode())
    page = client.post("/security/app/", {"code": code(secret)}).content.decode()
    return re.findall(r"\b(?:[a-z2-7]{4}-){5}[a-z2-7]{4}\b", page)


# Setting up


def test_an_app_is_set_up_with_its_first_code(user: User) -> None:
    here, there = signed_in(user), signed_in(user)
    assert len(set(set_up(here))) == codes.RECOVERY_CODES
    assert here.get("/security/").status_code == 200
    assert there.get("/security/").status_code == 302, "a session that began without it has ended"
    assert User.objects.get(pk=user.pk).has_second_factor
    record = AuditRecord.objects.get()
    assert (record.action, record.actor, record.organization) == ("second_factor.add", user, user.organization)


def test_a_wrong_first_code_sets_nothing_up(user: User) -> None:
    client = signed_in(user)
    client.get("/security/app/")
    assert b"shows another code" in client.post("/security/app/", {"code": "000 00"}).content
    assert not Authenticator.objects.exists()


def test_the_secret_is_encrypted_and_the_recovery_codes_are_hashed(user: User) -> None:
    client = signed_in(user)
    secret = shown_key(client.get("/security/app/").content.decode())
    recovery = re.findall(
        r"(?:[a-z2-7]{4}-){5}[a-z2-7]{4}", client.post("/security/app/", {"code": code(secret)}).content.decode()
    )
    kept = str(list(Authenticator.objects.values_list("data", flat=True))) + str(dict(client.session))
    assert secret not in kept
    assert not [one for one in recovery if one in kept or one.replace("-", "") in kept]
    assert secret not in str(Session.objects.values_list("session_data", flat=True))


def test_former_keys_go_on_to_decrypt(settings: Settings, user: User) -> None:
    give_app(user)
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "another" * 10
    assert codes.is_right(user, code())
    settings.PROVIDER_KEY_SECRETS = [Fernet.generate_key().decode()]
    call_command("encrypt_provider_keys", verbosity=0)
    settings.SECRET_KEY_FALLBACKS = []
    settings.SECRET_KEY = "a third one" * 10
    assert codes.is_right(user, code(halves=1))


def test_a_factor_that_cannot_be_read_lets_nobody_in(settings: Settings, user: User) -> None:
    give_app(user)
    settings.SECRET_KEY = "another" * 10
    assert not codes.is_right(user, code())


def test_it_is_encrypted_with_the_keys_of_the_operator_first(settings: Settings) -> None:
    settings.PROVIDER_KEY_SECRETS = [Fernet.generate_key().decode()]
    assert Fernet(settings.PROVIDER_KEY_SECRETS[0]).decrypt(Adapter().encrypt("x")) == b"x"


# Signing in


def test_signing_in_takes_the_code_too(user: User, client: Client) -> None:
    give_app(user)
    sign_in(client, next="/tokens/")
    before = client.session.session_key
    assert client.get("/tokens/").status_code == 302, "nothing is open between the two steps"
    response = client.post("/sign-in/second/", {"code": code()})
    assert response["Location"] == "/tokens/"
    assert is_signed_in(client)
    assert client.session.session_key != before


@pytest.mark.parametrize("wrong", ["", "000000", "not a code", "１２３４５６", "\x00", "9" * 61])
def test_a_wrong_code_does_not(user: User, client: Client, wrong: str) -> None:
    give_app(user)
    sign_in(client)
    assert client.post("/sign-in/second/", {"code": wrong}).status_code == 200
    assert not is_signed_in(client)


def test_the_second_step_leads_nowhere_else(user: User, client: Client) -> None:
    give_app(user)
    sign_in(client, next="https://evil.example/")
    assert client.post("/sign-in/second/", {"code": code()})["Location"] == "/start/"


def test_without_the_first_step_there_is_no_second(user: User, client: Client) -> None:
    give_app(user)
    assert client.post("/sign-in/second/", {"code": code()})["Location"] == "/sign-in/"


def test_the_first_step_is_worth_nothing_later(user: User, client: Client) -> None:
    give_app(user)
    sign_in(client)
    session = client.session
    session["sign_in_pending"]["until"] -= 601
    session.save()
    assert client.post("/sign-in/second/", {"code": code()})["Location"] == "/sign-in/"


@pytest.mark.parametrize("change", [{"is_active": False}, {"password": "!"}])
def test_who_is_shut_out_between_the_steps_stays_out(user: User, client: Client, change: dict[str, object]) -> None:
    give_app(user)
    sign_in(client)
    User.objects.filter(pk=user.pk).update(**change)
    assert client.post("/sign-in/second/", {"code": code()})["Location"] == "/sign-in/"
    assert not is_signed_in(client)


def test_a_code_works_once(user: User) -> None:
    give_app(user)
    shown = code()
    for expected in (302, 200):
        client = Client()
        sign_in(client)
        assert client.post("/sign-in/second/", {"code": shown}).status_code == expected
    assert not codes.is_right(user, code(halves=-1)), "nor does an earlier one after it"


@pytest.mark.django_db(transaction=True)
def test_a_code_works_once_also_at_the_same_moment(user: User) -> None:
    give_app(user)
    (recovery, *_) = codes.make_recovery_codes(user)

    def show(shown: str) -> bool:
        try:
            return codes.is_right(user, shown)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as threads:
        for shown in (code(), recovery):
            assert sum(threads.map(show, [shown] * 8)) == 1


def test_a_recovery_code_works_once_however_it_is_written(user: User, client: Client) -> None:
    give_app(user)
    (first, *_) = codes.make_recovery_codes(user)
    sign_in(client)
    assert client.post("/sign-in/second/", {"code": first.upper().replace("-", " ")}).status_code == 302
    assert codes.recovery_codes_left(user) == codes.RECOVERY_CODES - 1
    assert not codes.is_right(user, first)


def test_codes_are_guessed_no_oftener_than_passwords(user: User, settings: Settings) -> None:
    """From wherever, and also by somebody who knows the password and begins anew each time."""
    give_app(user)
    answers = []
    for number in range(settings.SIGN_IN_ATTEMPTS + 1):
        client = Client(REMOTE_ADDR=f"198.51.100.{number}")
        sign_in(client)
        answers.append(client.post("/sign-in/second/", {"code": "000000"}).status_code)
    assert answers == [200] * (settings.SIGN_IN_ATTEMPTS - 1) + [429, 429]
    sign_in(client)
    assert client.post("/sign-in/second/", {"code": code()}).status_code == 429, "the right code does not help any more"
    assert client.post("/sign-in/second/", {"credential": '{"id": "x"}'}).status_code == 429, "nor does a passkey"
    assert not is_signed_in(client)


# Changing


@pytest.mark.parametrize(
    "path", ["app/remove/", "recovery-codes/", "sign-ins/end/", "sign-ins/1/end/", "passkey/1/remove/"]
)
def test_changes_need_a_password_given_a_moment_ago(user: User, path: str) -> None:
    give_app(user)
    client = signed_in(user)
    confirmed_long_ago(client)
    assert client.post(f"/security/{path}")["Location"] == "/security/confirm/?next=%2Fsecurity%2F"
    assert Authenticator.objects.count() == 1


@pytest.mark.parametrize("path", ["app/", "passkey/"])
def test_so_does_setting_up(user: User, path: str) -> None:
    client = signed_in(user)
    confirmed_long_ago(client)
    assert (
        client.get(f"/security/{path}")["Location"]
        == f"/security/confirm/?next=%2Fsecurity%2F{path.replace('/', '%2F')}"
    )
    assert client.get("/security/").status_code == 200, "looking does not"


def test_the_password_confirms_for_some_minutes(user: User, settings: Settings) -> None:
    client = signed_in(user)
    confirmed_long_ago(client)
    assert b"not your password" in client.post("/security/confirm/", {"password": "wrong"}).content
    before = client.session.session_key
    response = client.post("/security/confirm/", {"password": PASSWORD, "next": "/security/app/"})
    assert response["Location"] == "/security/app/"
    assert client.get("/security/app/").status_code == 200
    assert client.session.session_key != before


def test_the_confirmation_is_no_place_to_guess(user: User, settings: Settings) -> None:
    client = signed_in(user)
    answers = [
        client.post("/security/confirm/", {"password": "wrong"}).status_code for _ in range(settings.SIGN_IN_ATTEMPTS)
    ]
    assert answers == [200] * (settings.SIGN_IN_ATTEMPTS - 1) + [429]


def test_the_last_factor_takes_the_recovery_codes_with_it(user: User) -> None:
    client = signed_in(user)
    set_up(client)
    assert client.post("/security/app/remove/").status_code == 302
    assert not Authenticator.objects.exists()
    assert AuditRecord.objects.filter(action="second_factor.remove").count() == 1
    assert client.post("/security/recovery-codes/").status_code == 404


def test_new_recovery_codes_end_the_former_ones(user: User) -> None:
    client = signed_in(user)
    (former, *_) = set_up(client)
    page = client.post("/security/recovery-codes/")
    assert page.headers["Cache-Control"].startswith("max-age=0, no-cache, no-store")
    assert former not in page.content.decode()
    assert not codes.is_right(user, former)


def test_an_admin_helps_who_has_lost_everything(admin: User, user: User) -> None:
    give_app(user)
    theirs, boss = signed_in(user), signed_in(admin)
    assert boss.post(f"/organization/members/{user.pk}/factors/").status_code == 302
    assert not Authenticator.objects.exists()
    assert theirs.get("/security/").status_code == 302
    record = AuditRecord.objects.get()
    assert (record.action, record.actor, record.subject) == ("second_factor.remove", admin, str(user))


def test_nobody_removes_those_of_who_stands_above_or_elsewhere(admin: User, acme: Organization, outsider: User) -> None:
    above = make_user("chief", Role.SUPER_ADMIN, acme)
    for person, status in ((above, 403), (outsider, 404), (admin, 403)):
        give_app(person)
        assert signed_in(admin).post(f"/organization/members/{person.pk}/factors/").status_code == status
    assert Authenticator.objects.count() == 3


def test_a_command_helps_the_last_super_admin(super_admin: User) -> None:
    give_app(super_admin)
    call_command("remove_second_factors", "root", verbosity=0)
    assert not Authenticator.objects.exists()
    assert AuditRecord.objects.get().actor is None


def test_a_forgotten_password_leads_past_no_second_factor(user: User, client: Client) -> None:
    """The link sets a password and signs nobody in."""
    from accounts.links import Link

    give_app(user)
    link = f"/password/set/{Link(user.pk).uid}/{Link(user.pk).tokens.make_token(user)}/"
    page = client.get(link, follow=True)
    client.post(page.request["PATH_INFO"], {"new_password1": PASSWORD, "new_password2": PASSWORD})
    assert not is_signed_in(client)
    sign_in(client)


# Who must have one


@pytest.fixture
def for_admins(settings: Settings) -> None:
    settings.SECOND_FACTOR_FOR = "admins"


PAGES = (
    "/",
    "/requests/",
    "/organization/",
    "/tokens/",
    "/admin/",
    "/pricing/",
    "/start/",
    "/playground/",
    "/connect/",
)


@pytest.mark.parametrize("who", ["admin", "super_admin"])
def test_admins_without_a_factor_see_nothing_but_where_to_set_one_up(
    for_admins: None, who: str, request: pytest.FixtureRequest
) -> None:
    client = signed_in(request.getfixturevalue(who))
    seen = {page: client.get(page, follow=True).redirect_chain[-1:] for page in PAGES}
    if who == "admin":
        assert client.get(seen.popitem() and "/admin/").status_code == 404
        seen.pop("/admin/")
    assert set(map(tuple, seen.values())) == {(("/security/", 302),)}
    assert b"you need a second factor" in client.get("/security/").content
    answer = client.get("/api/v1/usage")
    assert answer.status_code == 403
    assert "second factor" in answer.json()["detail"]
    htmx = client.get("/", headers={"HX-Request": "true"})
    assert htmx.headers["HX-Redirect"] == "/security/"


def test_with_a_factor_everything_opens(for_admins: None, admin: User) -> None:
    client = signed_in(admin)
    set_up(client)
    assert client.get("/").status_code == 200
    assert client.get("/api/v1/usage").status_code == 200


def test_users_are_asked_only_where_everybody_is(for_admins: None, user: User, settings: Settings) -> None:
    assert signed_in(user).get("/").status_code == 200
    settings.SECOND_FACTOR_FOR = "everybody"
    assert signed_in(user).get("/")["Location"] == "/security/"


def test_keys_are_not_asked(for_admins: None, admin: User, acme: Organization) -> None:
    key = ApiKey(organization=acme, user=admin, may_read=True)
    assert Viewer.of_key(key).sees_anything
    assert not Viewer.of(admin).sees_anything


def test_the_secret_of_the_tests_is_one(user: User) -> None:
    assert codes.counter_of(SECRET, code()) is not None


DEEP = base64.urlsafe_b64encode(b"[" * 5_000).decode()
RESPONSE = {"clientDataJSON": "e30", "authenticatorData": "AA", "signature": "AA", "userHandle": "AA"}


@pytest.mark.parametrize(
    "credential",
    ["5", "1e999", "NaN", "[1]", '"x"', "[" * 5_000, '{"a":' * 3_000, '{"response": 5}',
     json.dumps({"id": "AA", "rawId": "AA", "type": "public-key", "response": {**RESPONSE, "clientDataJSON": DEEP}}),
     json.dumps({"id": 5, "rawId": "AA", "type": "public-key", "response": RESPONSE}),
     json.dumps({"id": "AA", "rawId": "AA", "type": "public-key", "response": {**RESPONSE, "userHandle": 5}})],
)  # fmt: skip
def test_a_passkey_that_is_none_is_not_accepted(user: User, client: Client, credential: str) -> None:
    assert client.get("/sign-in/passkey/").status_code == 200
    answer = client.post("/sign-in/passkey/", {"credential": credential})
    assert (answer.status_code, answer["Location"]) == (302, "/sign-in/")
    signed = signed_in(user)
    assert signed.get("/security/passkey/").status_code == 200
    assert signed.post("/security/passkey/", {"name": "Laptop", "credential": credential}).status_code == 200
    assert not Authenticator.objects.exists()
