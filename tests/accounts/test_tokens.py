"""The page API tokens: everybody makes, sees and revokes the own ones, and nobody else's."""

import re

import pytest
from django.core.exceptions import ValidationError

from accounts import api_keys
from accounts.models import ApiKey, AuditRecord, Organization, User
from accounts.viewer import Viewer
from tests.cast import signed_in

pytestmark = pytest.mark.django_db


def made(person: User, name: str = "notebook", **more: str) -> str:
    """The page after a token was asked for."""
    return signed_in(person).post("/tokens/", {"name": name, **more}).content.decode()


def test_a_token_is_a_key_that_reads_what_its_person_sees(user: User, colleague: User) -> None:
    page = made(user)
    token = ApiKey.objects.get()
    (secret,) = re.findall(r'value="(gul_\w+)"', page)
    assert (token.name, token.user, token.created_by, token.scopes) == ("ann: notebook", user, user, {"read"})
    assert token.ending == secret[-4:]
    assert secret not in signed_in(user).get("/tokens/").content.decode()
    assert AuditRecord.objects.filter(action="key.create").exists()
    made(colleague)  # whose token may have the same name


def test_only_the_own_tokens_are_seen_and_revoked(user: User, colleague: User, admin: User) -> None:
    made(user)
    token = ApiKey.objects.get()
    for other in (colleague, admin):
        assert "ann: notebook" not in signed_in(other).get("/tokens/").content.decode()
        assert signed_in(other).post(f"/tokens/{token.pk}/revoke/").status_code == 404
    assert signed_in(user).post(f"/tokens/{token.pk}/revoke/").status_code == 302
    token.refresh_from_db()
    assert token.revoked_at
    assert signed_in(user).post(f"/tokens/{token.pk}/revoke/").status_code == 404


def test_a_key_that_an_admin_made_for_a_person_is_no_token(user: User, admin: User, acme: Organization) -> None:
    key = ApiKey.objects.create(organization=acme, name="theirs", user=user, created_by=admin, digest=b"x" * 32)
    assert "theirs" not in signed_in(user).get("/tokens/").content.decode()
    assert signed_in(user).post(f"/tokens/{key.pk}/revoke/").status_code == 404


def test_what_is_wrong_is_said(user: User) -> None:
    assert "gul_" not in made(user, "")
    assert "is over" in made(user, "late", expires_at="2020-01-01")
    made(user)
    assert "Another key has this name" in made(user)
    assert ApiKey.objects.count() == 1


def test_a_person_has_at_most_so_many(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_keys, "MAX_TOKENS_OF_PERSON", 1)
    made(user)
    assert "Please revoke one before" in made(user, "second")
    assert ApiKey.objects.count() == 1


def test_tokens_and_keys_leave_each_other_room(
    user: User, colleague: User, admin: User, acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_keys, "MAX_KEYS", 1)
    monkeypatch.setattr(api_keys, "MAX_TOKENS", 2)
    made(user)
    made(colleague)
    assert "ask an Admin" in made(admin)
    api_keys.create(ApiKey(organization=acme, name="program"), by=admin)
    with pytest.raises(ValidationError, match="1 keys already"):
        api_keys.create(ApiKey(organization=acme, name="another", user=user, may_read=True), by=admin)
    assert [key.is_token for key in ApiKey.objects.order_by("pk")] == [True, True, False]


def test_a_super_admin_chooses_the_organization_that_a_token_reads(
    super_admin: User, acme: Organization, globex: Organization
) -> None:
    client = signed_in(super_admin)
    page = client.post("/tokens/?organization=globex", {"name": "books"}).content.decode()
    assert "gul_" in page
    token = ApiKey.objects.get()
    assert (token.organization, token.user, token.scopes) == (globex, super_admin, {"read"})
    assert Viewer.of_key(token).organization_ids == {globex.pk}
    assert "Globex" in client.get("/tokens/").content.decode()
    assert AuditRecord.objects.filter(action="key.create", organization=globex).exists()
    assert client.post(f"/tokens/{token.pk}/revoke/").status_code == 302


def test_nobody_else_chooses(admin: User, globex: Organization) -> None:
    assert signed_in(admin).post("/tokens/?organization=globex", {"name": "x"}).status_code == 404
    assert "organization-choice" not in signed_in(admin).get("/tokens/").content.decode()
    assert not ApiKey.objects.exists()
