"""The key of the line that ``make demo`` prints: the same at each start, as long as it works."""

import shlex

import pytest
from pytest_django.fixtures import Settings

from accounts import api_keys
from accounts.models import ApiKey, Organization, User
from tests.cast import make_groups
from usage_dashboard.demo import first_call
from usage_dashboard.demo.people import create_people

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def owner(default_organization: Organization) -> User:
    make_groups()
    create_people()
    return User.objects.get(username="sara")


def working() -> ApiKey:
    """The one key that works."""
    return ApiKey.objects.get(name=first_call.NAME, revoked_at=None)


def test_it_is_made_once_and_never_stored() -> None:
    secret = first_call.secret()
    assert first_call.secret() == secret
    key = working()
    assert bytes(key.digest) == api_keys.digest_of(secret)
    assert key.scopes == {"call"}
    assert secret.startswith(api_keys.PREFIX)
    assert len(secret) == len(api_keys.new_secret())


def test_a_revoked_key_stays_revoked(owner: User) -> None:
    secret = first_call.secret()
    api_keys.revoke(working(), by=owner)
    assert first_call.secret() != secret
    assert first_call.secret() == first_call.secret()
    assert ApiKey.objects.filter(name=first_call.NAME).count() == 2


def test_a_renamed_key_is_found(owner: User) -> None:
    secret = first_call.secret()
    ApiKey.objects.filter(name=first_call.NAME).update(name="Mine")
    assert first_call.secret() == secret


def test_a_key_whose_secret_cannot_be_told_is_replaced(owner: User, settings: Settings) -> None:
    """It was rotated by hand, or the SECRET_KEY is another one."""
    first_call.secret()
    api_keys.add_secret(working(), by=owner)
    api_keys.drop_first_secret(working(), by=owner)
    rotated = working()
    assert bytes(rotated.digest) != api_keys.digest_of(first_call.secret())
    assert working() != rotated
    before = first_call.secret()
    settings.SECRET_KEY = "another" * 10
    assert first_call.secret() != before
    assert working().created_by == owner


def test_the_line_can_be_pasted() -> None:
    words = shlex.split(first_call.command("http://127.0.0.1:8000/"))
    assert words[:2] == ["curl", "http://127.0.0.1:8000/openai/v1/chat/completions"]
    assert f"Authorization: Bearer {first_call.secret()}" in words
