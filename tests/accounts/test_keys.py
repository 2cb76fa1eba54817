"""The page Keys: keys of programs, and the organization's own key for Groq. The rings in memory are in test_keyring."""

import logging
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from django.utils.log import AdminEmailHandler
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings

from accounts import api_keys
from accounts.api_keys import digest_of
from accounts.changes import save_recorded
from accounts.key_forms import LimitsForm
from accounts.models import ApiKey, AuditRecord, KeyState, Organization, Project, ProviderKey, User
from accounts.provider_keys import decrypted, set_provider_key
from tests.cast import signed_in
from usage_dashboard.checks import check_provider_keys

CANARY = "gsk_canary4711secret"


@pytest.fixture
def boss(admin: User) -> Client:
    return signed_in(admin)


@pytest.fixture
def provider_key_secret(settings: Settings) -> str:
    settings.PROVIDER_KEY_SECRETS = [Fernet.generate_key().decode()]
    return str(settings.PROVIDER_KEY_SECRETS[0])


def a_key(acme: Organization, by: User, **fields: Any) -> ApiKey:
    key = ApiKey(organization=acme, **{"name": "Nightly"} | fields)
    api_keys.create(key, by=by)
    return key


def add(client: Client, organization: Organization, **changes: Any) -> Any:
    data = {"name": "Nightly", "may_call": "on"} | changes
    return client.post(f"/organization/{organization.pk}/keys/add/", {k: v for k, v in data.items() if v})


def actions() -> list[str]:
    return list(AuditRecord.objects.order_by("pk").values_list("action", flat=True))


# Making one


def test_a_secret_is_shown_once(boss: Client, acme: Organization) -> None:
    response = add(boss, acme)
    secret = response.context["secret"]
    key = ApiKey.objects.get()
    assert bytes(key.digest) == digest_of(secret)
    assert secret in response.content.decode()
    assert "no-store" in response["Cache-Control"]
    for path in (f"/organization/{acme.pk}/keys/", f"/organization/keys/{key.pk}/", f"/organization/{acme.pk}/audit/"):
        assert secret not in boss.get(path).content.decode()


def test_a_form_that_is_sent_twice_makes_one_key(boss: Client, acme: Organization, globex: Organization) -> None:
    add(boss, acme)
    again = add(boss, acme)
    assert "Another key has this name" in str(again.context["form"].errors)
    assert ApiKey.objects.count() == 1
    boss.post(f"/organization/keys/{ApiKey.objects.get().pk}/revoke/")
    assert "secret" in add(boss, acme).context


def test_all_that_a_key_can_have(boss: Client, acme: Organization, admin: User, user: User) -> None:
    project = Project.objects.create(organization=acme, slug="rag", name="RAG")
    limits = {"requests_per_minute": "60", "tokens_per_minute": "5000", "expires_at": "2099-12-31"}
    add(boss, acme, project="RAG", user="ANN", may_ingest="on", may_call="", **limits)
    key = ApiKey.objects.get()
    assert (key.project, key.user, key.created_by, key.scopes) == (project, user, admin, {"ingest"})
    assert (key.requests_per_minute, key.tokens_per_minute) == (60, 5000)
    assert key.expires_at == datetime(2100, 1, 1, 8, tzinfo=UTC), "the end of the day in Los Angeles"
    record = AuditRecord.objects.get()
    assert (record.action, record.actor, record.organization) == ("key.create", admin, acme)
    assert record.changes["person"] == [None, "ann"]
    assert record.changes["expires"] == [None, "2100-01-01 08:00:00+00:00"]


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\0"}, "name"),
        ({"may_call": ""}, "__all__"),
        ({"project": "unknown"}, "project"),
        ({"project": "foreign"}, "project"),
        ({"user": "eve"}, "user"),
        ({"user": "ben"}, "user"),
        ({"requests_per_minute": "0"}, "requests_per_minute"),
        ({"tokens_per_minute": "-1"}, "tokens_per_minute"),
        ({"tokens_per_minute": "9999999999"}, "tokens_per_minute"),
        ({"expires_at": "2020-01-01"}, "expires_at"),
        ({"expires_at": "soon"}, "expires_at"),
        ({"expires_at": "9999-12-31"}, "expires_at"),
        ({"expires_at": "0001-01-01"}, "expires_at"),
    ],
)
def test_a_bad_key_is_explained(
    boss: Client, acme: Organization, globex: Organization, colleague: User, outsider: User,
    data: dict[str, str], field: str,
) -> None:  # fmt: skip
    """Among them a project and a person of another organization, and a deactivated colleague."""
    Project.objects.create(organization=globex, slug="foreign", name="foreign")
    colleague.is_active = False
    colleague.save()
    response = add(boss, acme, **data)
    assert response.status_code == 200
    assert field in response.context["form"].errors
    assert not ApiKey.objects.exists()
    assert actions() == []


def test_an_organization_has_a_limit_of_keys(boss: Client, acme: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_keys, "MAX_KEYS", 2)
    for name in ("a", "b", "c"):
        response = add(boss, acme, name=name)
    assert "There are 2 keys already" in str(response.context["form"].errors)
    assert ApiKey.objects.count() == 2


def test_names_are_proposed(boss: Client, acme: Organization, outsider: User, user: User) -> None:
    Project.objects.create(organization=acme, slug="rag", name="RAG")
    content = boss.get(f"/organization/{acme.pk}/keys/add/").content.decode()
    assert '<option value="rag">' in content
    assert '<option value="ann">' in content
    assert '"eve"' not in content


# Changing one


def test_a_key_is_renamed_and_limited(boss: Client, acme: Organization, admin: User) -> None:
    key = a_key(acme, admin)
    path = f"/organization/keys/{key.pk}/"
    assert boss.post(path, {"name": "Daily", "requests_per_minute": "7", "may_read": "on"})["Location"] == path
    key.refresh_from_db()
    assert (key.name, key.requests_per_minute, key.scopes) == ("Daily", 7, {"call"}), "what it may do stays"
    record = AuditRecord.objects.latest("pk")
    assert (record.action, record.subject) == ("key.change", "Daily")
    assert record.changes == {"name": ["Nightly", "Daily"], "requests_per_minute": [None, "7"]}


def test_who_renames_a_key_that_is_revoked_meanwhile_leaves_it_revoked(acme: Organization, admin: User) -> None:
    key = a_key(acme, admin)
    form = LimitsForm({"name": "Daily"}, instance=ApiKey.objects.get(pk=key.pk))
    api_keys.add_secret(key, by=admin)
    api_keys.revoke(key, by=admin)
    assert form.is_valid()
    assert save_recorded(form, "key.change", by=admin)
    key.refresh_from_db()
    assert (key.name, key.state) == ("Daily", KeyState.REVOKED)
    assert key.next_digest is not None


def test_no_two_keys_get_one_name(boss: Client, acme: Organization, admin: User) -> None:
    a_key(acme, admin, name="Daily")
    key = a_key(acme, admin)
    response = boss.post(f"/organization/keys/{key.pk}/", {"name": "Daily"})
    assert "taken already" in str(response.context["form"].errors)


def test_an_expired_key_can_be_renamed_and_prolonged(boss: Client, acme: Organization, admin: User) -> None:
    key = a_key(acme, admin, expires_at=datetime(2020, 1, 1, 8, tzinfo=UTC))
    assert key.state is KeyState.EXPIRED
    path = f"/organization/keys/{key.pk}/"
    shown = boss.get(path).context["form"]["expires_at"].value()
    assert str(shown) == "2019-12-31"
    assert boss.post(path, {"name": "Old", "expires_at": shown}).status_code == 302
    assert boss.post(path, {"name": "Old", "expires_at": "2020-01-02"}).status_code == 200
    assert boss.post(path, {"name": "Old"}).status_code == 302
    key.refresh_from_db()
    assert key.state is KeyState.ACTIVE


def test_a_key_is_rotated(boss: Client, acme: Organization, admin: User) -> None:
    key = a_key(acme, admin)
    first, path = bytes(key.digest), f"/organization/keys/{key.pk}"
    second = boss.post(f"{path}/rotate/").context["secret"]
    assert boss.post(f"{path}/rotate/").status_code == 302, "a page that is loaded again makes no third one"
    key.refresh_from_db()
    assert (bytes(key.digest), bytes(key.next_digest or b"")) == (first, digest_of(second))
    boss.post(f"{path}/drop/")
    boss.post(f"{path}/drop/")
    key.refresh_from_db()
    assert (bytes(key.digest), key.next_digest, key.ending) == (digest_of(second), None, second[-4:])
    assert actions() == ["key.create", "key.rotate", "key.drop_secret"]


def test_a_revoked_key_stays_so(boss: Client, acme: Organization, admin: User) -> None:
    key = a_key(acme, admin)
    path = f"/organization/keys/{key.pk}/"
    for _ in range(2):
        assert boss.post(f"{path}revoke/")["Location"] == path
    for what in ("rotate/", "drop/", ""):
        assert boss.post(path + what, {"name": "Back"})["Location"] == path
    key.refresh_from_db()
    assert (key.state, key.name, key.next_digest) == (KeyState.REVOKED, "Nightly", None)
    assert actions() == ["key.create", "key.revoke"]
    assert "<button" not in boss.get(path).content.decode().partition("<main")[2]


# The list


def test_the_list_shows_and_finds_keys(
    boss: Client, acme: Organization, globex: Organization, admin: User, user: User, super_admin: User
) -> None:
    a_key(acme, admin, name="Nightly", user=user)
    api_keys.revoke(a_key(acme, admin, name="Abandoned"), by=admin)
    a_key(acme, admin, name="Old", expires_at=timezone.now() - timedelta(days=1))
    a_key(globex, super_admin, name="Theirs")
    page = boss.get(f"/organization/{acme.pk}/keys/").context["page"]
    shown = [(key.name, str(key.state)) for key in page]
    assert shown == [("Nightly", "Active"), ("Old", "Expired"), ("Abandoned", "Revoked")]
    assert [key.name for key in boss.get(f"/organization/{acme.pk}/keys/?q=ANN").context["page"]] == ["Nightly"]


def test_many_keys_cost_no_more_queries(
    boss: Client, acme: Organization, admin: User, user: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    project = Project.objects.create(organization=acme, slug="rag", name="RAG")
    for n in range(20):
        a_key(acme, admin, name=f"k{n}", user=user, project=project)
    with django_assert_num_queries(6):  # session and person, groups, organization, count, rows, provider key
        boss.get(f"/organization/{acme.pk}/keys/")


def test_pages_show_whom_and_what_a_key_is_for_now(
    boss: Client, acme: Organization, admin: User, user: User, colleague: User
) -> None:
    kept, away = (Project.objects.create(organization=acme, slug=slug, name=slug) for slug in ("kept", "away"))
    key = a_key(acme, admin, user=user, project=away)
    User.objects.filter(pk=user.pk).update(merged_into=colleague, is_active=False)
    Project.objects.filter(pk=away.pk).update(merged_into=kept)
    for path in (f"/organization/{acme.pk}/keys/", f"/organization/keys/{key.pk}/"):
        content = boss.get(path).content.decode().partition("<main")[2]
        assert "kept" in content
        assert "ben" in content
        assert "away" not in content
        assert "Suspended" not in content
    User.objects.filter(pk=colleague.pk).update(is_active=False)
    assert "ben is deactivated" in boss.get(f"/organization/keys/{key.pk}/").content.decode()


# The list of all organizations


def test_a_super_admin_finds_every_key(
    super_admin: User, admin: User, user: User, acme: Organization, globex: Organization
) -> None:
    secret = api_keys.create(key := ApiKey(organization=acme, name="Nightly", user=user), by=admin)
    a_key(globex, super_admin, name="Theirs")
    a_key(acme, admin, name="Daily")
    api_keys.revoke(a_key(acme, admin, name="Abandoned"), by=admin)
    client = signed_in(super_admin)

    def shown(query: str = "") -> list[tuple[str, str]]:
        page = client.get(f"/organizations/keys/{query}").context["page"]
        return [(key.organization.name, key.name) for key in page]

    assert shown() == [("Acme", "Daily"), ("Acme", "Nightly"), ("Globex", "Theirs"), ("Acme", "Abandoned")]
    assert shown("?q=glob") == [("Globex", "Theirs")]
    assert shown("?q=ANN") == shown(f"?q={key.ending}") == [("Acme", "Nightly")]
    assert shown("?q=nothing") == []
    html = client.get("/organizations/keys/").content.decode()
    assert secret not in html
    assert f"/organization/keys/{key.pk}/" in html
    assert f"/organization/{globex.pk}/keys/" in html
    assert "/organizations/keys/" in client.get("/organizations/").content.decode()
    assert signed_in(admin).get("/organizations/keys/").status_code == 403


def test_keys_of_many_organizations_cost_no_more_queries(
    super_admin: User, user: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for n in range(60):
        organization = Organization.objects.create(name=f"o{n}", slug=f"o{n}")
        ApiKey.objects.create(organization=organization, name="k", digest=bytes([n]), user=user)
    client = signed_in(super_admin)
    with django_assert_num_queries(4):  # session, person, count, rows
        response = client.get("/organizations/keys/")
    assert "Next" in response.content.decode()


# The organization's own key for Groq


def test_a_provider_key_is_entered_replaced_and_removed(
    boss: Client, acme: Organization, admin: User, provider_key_secret: str
) -> None:
    path = f"/organization/{acme.pk}/keys/groq/"
    assert boss.post(path, {"key": f" {CANARY} "})["Location"] == f"/organization/{acme.pk}/keys/"
    assert decrypted(ProviderKey.objects.get().encrypted) == CANARY
    assert "cret</code>" in boss.get(path).content.decode()
    boss.post(path, {"key": "gsk_another-one-5678"})
    boss.post(f"{path}remove/")
    boss.post(f"{path}remove/")
    assert not ProviderKey.objects.exists()
    told = AuditRecord.objects.order_by("pk").values_list("action", "actor", "changes")
    name = "key for Groq"
    assert list(told) == [
        ("provider_key.set", admin.pk, {name: [None, "…cret"]}),
        ("provider_key.set", admin.pk, {name: ["…cret", "…5678"]}),
        ("provider_key.remove", admin.pk, {name: ["…5678", None]}),
    ]


@pytest.mark.parametrize("key", ["", "short", f"{CANARY}é", f"{CANARY} {CANARY}", f"{CANARY}\n{CANARY}", CANARY * 20])
def test_a_bad_provider_key_is_explained_and_not_sent_back(
    boss: Client, acme: Organization, provider_key_secret: str, key: str
) -> None:
    response = boss.post(f"/organization/{acme.pk}/keys/groq/", {"key": key})
    assert "key" in response.context["form"].errors
    assert "canary" not in response.content.decode()
    assert not ProviderKey.objects.exists()


def test_without_a_secret_no_provider_key_is_taken(boss: Client, acme: Organization, settings: Settings) -> None:
    settings.PROVIDER_KEY_SECRETS = []
    path = f"/organization/{acme.pk}/keys/groq/"
    page = boss.get(path).content.decode()
    assert "PROVIDER_KEY_SECRET" in page
    assert 'name="key"' not in page
    assert "PROVIDER_KEY_SECRET" in boss.post(path, {"key": CANARY}).content.decode()
    assert not ProviderKey.objects.exists()


def test_an_error_report_hides_keys_and_secrets(
    acme: Organization, admin: User, provider_key_secret: str, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, settings: Settings,
) -> None:  # fmt: skip
    """A report is what Django mails to an operator, or shows with DEBUG; both go through the same filter."""

    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("the disk is full")

    settings.ADMINS = [("Op", "op@example.com")]
    monkeypatch.setattr("accounts.provider_keys.record", fail)
    monkeypatch.setattr("accounts.api_keys.record", fail)
    monkeypatch.setattr("accounts.api_keys.new_secret", lambda: "gul_canary" + "x" * 32)
    handler = AdminEmailHandler(include_html=True)
    logging.getLogger("django.request").addHandler(handler)
    client = signed_in(admin)
    client.raise_request_exception = False
    try:
        assert client.post(f"/organization/{acme.pk}/keys/groq/", {"key": CANARY}).status_code == 500
        assert add(client, acme).status_code == 500
    finally:
        logging.getLogger("django.request").removeHandler(handler)
    messages = [message for message in mail.outbox if isinstance(message, EmailMultiAlternatives)]
    reports = [message.body + str(message.alternatives) for message in messages if message.alternatives]
    assert len(reports) == 2
    assert all("the disk is full" in report for report in reports)
    assert "canary" not in "".join(reports)
    assert "canary" not in caplog.text
    assert not ProviderKey.objects.exists()


def test_a_dump_has_no_key_in_clear(acme: Organization, admin: User, provider_key_secret: str) -> None:
    set_provider_key(acme, CANARY, by=admin)
    out = StringIO()
    call_command("dumpdata", "accounts", stdout=out)
    assert "providerkey" in out.getvalue()
    assert "canary" not in out.getvalue()


def test_a_check_finds_what_cannot_be_decrypted(
    acme: Organization, admin: User, provider_key_secret: str, settings: Settings
) -> None:
    assert check_provider_keys(None, databases=["default"]) == []
    set_provider_key(acme, CANARY, by=admin)
    assert check_provider_keys(None, databases=["default"]) == []
    for secrets in ([], [Fernet.generate_key().decode()]):
        settings.PROVIDER_KEY_SECRETS = secrets
        (error,) = check_provider_keys(None, databases=["default"])
        assert error.id == "usage_dashboard.E003"
        assert "acme" in error.msg
        assert error.hint
    assert check_provider_keys(None, databases=None) == []


def test_the_command_encrypts_again_or_says_what_is_amiss(
    acme: Organization, admin: User, provider_key_secret: str, settings: Settings
) -> None:
    set_provider_key(acme, CANARY, by=admin)
    new, out = Fernet.generate_key().decode(), StringIO()
    settings.PROVIDER_KEY_SECRETS = [new]
    with pytest.raises(CommandError, match="acme"):
        call_command("encrypt_provider_keys")
    settings.PROVIDER_KEY_SECRETS = [new, provider_key_secret]
    call_command("encrypt_provider_keys", stdout=out)
    assert out.getvalue().startswith("1 key")
    settings.PROVIDER_KEY_SECRETS = [new]
    assert decrypted(ProviderKey.objects.get().encrypted) == CANARY
    assert "canary" not in out.getvalue()
