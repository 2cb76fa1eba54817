"""The page Connect: programs to copy, and the key that a button makes."""

import logging
import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.core import mail
from django.core.exceptions import ValidationError
from django.core.mail import EmailMultiAlternatives
from django.test import Client
from django.urls import clear_script_prefix, set_script_prefix
from django.utils import timezone
from django.utils.log import AdminEmailHandler
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings

from accounts import api_keys
from accounts.api_keys import digest_of
from accounts.models import ApiKey, AuditRecord, Organization, ProviderKey, User
from connect.fresh_key import MAX_PER_PERSON, fresh_key
from connect.snippets import FOLDER, GROUPS, PLACEHOLDER
from ledger.recording.record import record
from tests.cast import signed_in
from tests.ledger.calls import call

pytestmark = pytest.mark.django_db
SECRET = re.compile(r"gul_\w{38}")


@pytest.fixture(autouse=True)
def has_a_key_for_groq(settings: Settings) -> None:
    settings.GROQ_API_KEY = "gsk_test"


def page(person: User, query: str = "", **more: Any) -> str:
    response = signed_in(person).get(f"/connect/{query}", **more)
    assert response.status_code == 200
    return response.content.decode().partition("<main")[2]


def make(person: User, query: str = "", **more: Any) -> Any:
    return signed_in(person).post(f"/connect/{query}", **more)


def programs(html: str) -> dict[str, str]:
    """The texts of all programs, by the names of their tabs."""
    found = re.findall(r'<code id="text-(\w+)">(.*?)</code>', html, re.DOTALL)
    return {name: unescape(re.sub(r"<[^>]*>", "", text)) for name, text in found}


# The programs


def test_every_program_has_a_title_and_is_shown(user: User) -> None:
    files = {path.name for path in FOLDER.iterdir()}
    listed = [snippet for group in GROUPS for snippet in group.snippets]
    assert files <= {snippet.file for snippet in listed}
    assert len({snippet.name for snippet in listed}) == len({snippet.file for snippet in listed}) == len(listed)
    shown = programs(page(user))
    assert set(shown) == {snippet.name for snippet in listed if snippet.file in files}
    for name, text in shown.items():
        assert PLACEHOLDER in text, name
        assert "http://testserver" in text, name
        assert "{{" not in text, name


def test_the_query_string_chooses_a_program(user: User) -> None:
    for query, chosen in (("", "python"), ("?with=curl", "curl"), ("?with=nothing&with=", "python")):
        html = page(user, query)
        assert re.findall(r'class="snippet chosen" id="with-(\w+)"', html) == [chosen]
        assert len(re.findall('data-snippet="[^"]*" [^>]*aria-current="page"', html)) == 1


def test_the_address_is_that_of_the_reader(user: User, settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["usage.example.com"]
    plain = programs(page(user, headers={"host": "usage.example.com:8000"}))["python"]
    assert '"http://usage.example.com:8000"' in plain
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    headers = {"host": "usage.example.com", "x-forwarded-proto": "https"}
    shown = programs(page(user, headers=headers))
    assert '"https://usage.example.com"' in shown["python"]
    assert "https://usage.example.com/openai/v1/chat/completions" in shown["curl"]


def test_the_address_has_the_root_path(user: User) -> None:
    set_script_prefix("/tools/usage/")
    try:
        assert '"http://testserver/tools/usage"' in programs(page(user))["python"]
    finally:
        clear_script_prefix()


def test_a_foreign_host_is_refused(user: User, settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["usage.example.com"]
    assert signed_in(user).get("/connect/", headers={"host": "evil.example.com"}).status_code == 400


def test_without_the_gateway_only_the_ways_of_ingestion_are_shown(user: User, settings: Settings) -> None:
    settings.GATEWAY = False
    html = page(user)
    assert "otlp" in programs(html)
    assert "python" not in programs(html)
    assert "its gateway is turned off" in html


def test_a_server_without_a_key_for_groq_says_so(
    user: User, admin: User, acme: Organization, settings: Settings
) -> None:
    settings.GROQ_API_KEY = ""
    assert "no key for Groq yet" in page(user)
    assert f"/organization/{acme.pk}/keys/groq/" not in page(user)
    assert f"/organization/{acme.pk}/keys/groq/" in page(admin)
    ProviderKey.objects.create(organization=acme, encrypted="x", ending="abcd")
    assert "no key for Groq yet" not in page(admin)


# The key


def test_a_button_makes_a_key_and_shows_its_secret_once(admin: User, acme: Organization) -> None:
    client = signed_in(admin)
    response = client.post("/connect/?with=curl")
    html = response.content.decode()
    key = ApiKey.objects.get()
    secrets = set(SECRET.findall(html))
    assert {digest_of(secret) for secret in secrets} == {bytes(key.digest)}
    assert all(secret in text for secret in secrets for text in programs(html).values())
    assert "no-store" in response["Cache-Control"]
    assert key.name.startswith("Connect, ")
    assert (key.user, key.created_by, key.organization, key.scopes) == (admin, admin, acme, {"call", "ingest"})
    assert [(entry.action, entry.actor) for entry in AuditRecord.objects.all()] == [("key.create", admin)]
    for path in ("/connect/", "/connect/call/", f"/organization/{acme.pk}/keys/", f"/organization/{acme.pk}/audit/"):
        assert not SECRET.search(client.get(path).content.decode())
    kept = " ".join(str(session.get_decoded()) for session in Session.objects.all())
    assert "gul_" not in kept
    assert "gul_" not in str(list(AuditRecord.objects.values()))


def test_a_key_that_is_not_used_gets_another_secret(admin: User) -> None:
    first, second = make(admin), make(admin)
    key = ApiKey.objects.get()
    assert bytes(key.digest) == digest_of(second.context["secret"])
    assert first.context["secret"] != second.context["secret"]
    assert list(AuditRecord.objects.order_by("pk").values_list("action", flat=True)) == [
        "key.create",
        "key.replace_secret",
    ]


def test_a_key_that_is_used_stays_and_one_person_makes_few(admin: User, acme: Organization, super_admin: User) -> None:
    for _ in range(MAX_PER_PERSON):
        assert make(admin).context["secret"]
        ApiKey.objects.update(last_used_at=timezone.now())
    names = sorted(ApiKey.objects.values_list("name", flat=True))
    assert [name.partition("(")[2] for name in names] == ["", *(f"{n})" for n in range(2, MAX_PER_PERSON + 1))]
    refused = make(admin)
    assert refused.context["secret"] == ""
    assert "You have made 5 keys here" in refused.content.decode()
    assert make(super_admin, "?organization=acme").context["secret"], "another person makes their own"
    ApiKey.objects.filter(created_by=admin, name=names[0]).update(name="Nightly summaries")
    assert make(admin).context["secret"], "a key with a name of its own does not count"


@pytest.mark.parametrize("change", ["expired", "revoked", "rebound", "narrowed"])
def test_a_key_that_would_not_do_is_left_alone(admin: User, acme: Organization, change: str) -> None:
    key, _ = fresh_key(acme, by=admin)
    changes: dict[str, dict[str, Any]] = {
        "expired": {"expires_at": timezone.now() - timedelta(days=1)},
        "revoked": {"revoked_at": timezone.now()},
        "rebound": {"user": None},
        "narrowed": {"may_call": False},
    }
    ApiKey.objects.filter(pk=key.pk).update(**changes[change])
    other, secret = fresh_key(acme, by=admin)
    assert other.pk != key.pk
    assert bytes(ApiKey.objects.get(pk=key.pk).digest) != digest_of(secret)


def test_a_full_organization_is_told(admin: User, acme: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_keys, "MAX_KEYS", 0)
    with pytest.raises(ValidationError):
        fresh_key(acme, by=admin)
    assert "There are 0 keys already" in make(admin).content.decode()


def test_a_user_makes_none_and_is_told_whom_to_ask(user: User, admin: User) -> None:
    html = page(user)
    assert "Ask an Admin of Acme" in html
    assert "<form" not in html
    assert admin.username not in html
    assert make(user).status_code == 403
    assert not ApiKey.objects.exists()


def test_no_other_site_makes_a_key(admin: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin)
    assert client.post("/connect/").status_code == 403
    assert not ApiKey.objects.exists()


def test_a_super_admin_chooses_the_organization(super_admin: User, acme: Organization, globex: Organization) -> None:
    """Whose people the key acts for does not include a Super Admin from outside."""
    html = page(super_admin, "?organization=globex")
    assert 'value="globex" selected' in html
    make(super_admin, "?organization=globex")
    key = ApiKey.objects.get()
    assert (key.organization, key.user) == (globex, None)
    assert signed_in(super_admin).get("/connect/?organization=nothing").status_code == 404


def test_an_admin_has_no_other_organization(admin: User, globex: Organization) -> None:
    assert 'name="organization"' not in page(admin)
    assert make(admin, "?organization=globex").status_code == 404
    assert not ApiKey.objects.exists()


def test_the_secret_is_in_no_log(admin: User, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        secret = make(admin).context["secret"]
    assert secret not in caplog.text


@pytest.mark.parametrize("fails", ["accounts.api_keys.record", "connect.views.render"])
def test_the_secret_is_in_no_error_report(
    admin: User, settings: Settings, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("the disk is full")

    settings.ADMINS = [("Op", "op@example.com")]
    monkeypatch.setattr("accounts.api_keys.new_secret", lambda: "gul_canary" + "x" * 32)
    monkeypatch.setattr(fails, fail)
    client = signed_in(admin)
    client.raise_request_exception = False
    handler = AdminEmailHandler(include_html=True)
    logging.getLogger("django.request").addHandler(handler)
    try:
        assert client.post("/connect/").status_code == 500
    finally:
        logging.getLogger("django.request").removeHandler(handler)
    mails = [message for message in mail.outbox if isinstance(message, EmailMultiAlternatives)]
    reports = [message.body + str(message.alternatives) for message in mails]
    assert any("the disk is full" in report for report in reports)
    assert "canary" not in "".join(reports)


# The way to the page


def test_everybody_finds_it(user: User, admin: User, super_admin: User) -> None:
    for person in (user, admin, super_admin):
        assert 'href="/connect/"' in signed_in(person).get("/").content.decode().partition("<main")[0]
    header = signed_in(user).get("/connect/").content.decode().partition("<main")[0]
    assert '<a href="/connect/" aria-current="page">' in header


@pytest.mark.django_db(transaction=True)
def test_who_has_no_calls_yet_is_led_to_it(admin: User, user: User) -> None:
    for path in ("/requests/", "/sessions/", "/models/"):
        assert "Make the first call</a>" in signed_in(admin).get(path).content.decode(), path
    record([call(at=timezone.now() - timedelta(days=90), organization="acme", user="ann")])
    for path in ("/", "/requests/"):
        html = signed_in(admin).get(path).content.decode()
        assert "Make the first call" not in html, path
        assert "No usage recorded for this range." in html, path


def test_the_page_is_a_few_queries(
    user: User, admin: User, acme: Organization, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for person in (user, admin):
        client = signed_in(person)
        with django_assert_num_queries(4):  # session, person, organization, the newest call
            client.get("/connect/?with=curl")
