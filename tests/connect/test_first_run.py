"""What somebody sees in place of figures while nothing is recorded: the steps to the first call, for each role."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.utils import timezone
from django.utils.html import strip_tags

from accounts import api_keys
from accounts.models import ApiKey, Organization, User
from ledger.recording.record import record
from tests.cast import signed_in
from tests.ledger.calls import call

pytestmark = pytest.mark.django_db(transaction=True)

MAKE_A_KEY = "Make a key</button>"
ABOUT_COST = re.compile(r"\$\s?\d|cost|pric|usd", re.IGNORECASE)


def page(person: User, path: str = "/") -> str:
    response = signed_in(person).get(path)
    assert response.status_code == 200
    return str(response.content.decode()).partition("<main")[2]


def steps(html: str) -> list[str]:
    """The titles of the steps; those that are done begin with "✓ Done:"."""
    return [
        " ".join(unescape(strip_tags(title)).split())
        for title in re.findall(r"<h2[^>]*-title\">(.*?)</h2>", html, re.DOTALL)
    ]


def key_of(organization: Organization, by: User, **more: object) -> ApiKey:
    key = ApiKey(organization=organization, name="first", **more)
    api_keys.create(key, by=by)
    return key


def test_an_admin_is_led_by_three_steps(admin: User, acme: Organization) -> None:
    html = page(admin)
    assert steps(html) == ["1 Make a key", "2 Copy a program, and run it", "Waiting for a call of Acme"]
    assert MAKE_A_KEY in html
    assert f'action="/connect/?since={re.findall(r"since=([0-9]+)", html)[0]}&amp;organization=acme"' in html
    assert "whose=all" in html, "whoever makes the first call"
    assert 'id="filters"' not in html
    assert steps(page(admin, "/my-usage/"))[2] == "Waiting for your first call"


def test_steps_that_are_done_are_ticked(admin: User, acme: Organization) -> None:
    key = key_of(acme, admin, revoked_at=timezone.now())
    assert steps(page(admin))[0] == "1 Make a key"
    ApiKey.objects.filter(pk=key.pk).update(revoked_at=None)
    html = page(admin)
    assert steps(html)[:2] == ["✓ Done: Make a key", "2 Copy a program, and run it"]
    assert key.ending in html
    assert MAKE_A_KEY in html, "its secret may be lost"
    ApiKey.objects.filter(pk=key.pk).update(last_used_at=timezone.now())
    assert steps(page(admin))[:2] == ["✓ Done: Make a key", "✓ Done: Copy a program, and run it"]
    assert steps(page(admin, "/my-usage/"))[0] == "1 Make a key", "this one books no call on anybody"


def test_a_user_is_told_whom_to_ask(user: User, admin: User, colleague: User, acme: Organization) -> None:
    key_of(acme, admin, user=colleague)
    html = page(user)
    assert steps(html)[0] == "1 Get a key"
    assert "Ask an Admin of Acme for a key" in html
    assert 'href="/playground/"' in html
    assert MAKE_A_KEY not in html
    assert ABOUT_COST.search(strip_tags(html)) is None
    mine = ApiKey(organization=acme, name="SECRETNAME", user=user)
    api_keys.create(mine, by=admin)
    html = page(user)
    assert steps(html)[0] == "✓ Done: Get a key"
    assert mine.ending in html
    assert "SECRETNAME" not in html


def test_a_user_with_calls_of_others_alone_sees_the_steps(user: User, admin: User, acme: Organization) -> None:
    record([call(organization="acme", user="ben", at=timezone.now() - timedelta(days=90))])
    assert steps(page(user))[2] == "Waiting for your first call"
    assert steps(page(admin, "/my-usage/"))[2] == "Waiting for your first call"
    html = page(admin)
    assert "Waiting for" not in html
    assert "No usage recorded for this range." in html, "there is something in the ledger"


def test_a_super_admin_makes_an_organization_first(super_admin: User) -> None:
    Organization.objects.all().delete()
    html = page(super_admin)
    assert steps(html) == ["1 Add an organization", "2 Then"]
    assert 'href="/organizations/add/"' in html
    assert signed_in(super_admin).get("/connect/")["Location"] == "/"
    assert "you belong to none" in page(super_admin, "/my-usage/")
    Organization.objects.create(name="Initech", slug="initech")
    assert steps(page(super_admin))[0] == "1 Make a key"
    assert "Waiting for a call of Initech" in page(super_admin)


def test_nothing_in_the_address_is_an_error(admin: User, super_admin: User) -> None:
    for path in (
        "/?organization=3&since=x",
        "/?organization=nobody&whose=me",
        "/?with=nothing&range=today",
        "/my-usage/?since=9",
    ):
        for person in (admin, super_admin):
            page(person, path)


def test_other_organizations_are_not_told(
    outsider: User, admin: User, acme: Organization, globex: Organization
) -> None:
    """Neither their keys nor their calls end the first run of somebody else."""
    key_of(acme, admin)
    record([call(organization="acme", user="ben", at=timezone.now())])
    html = page(outsider)
    assert steps(html)[0] == "1 Get a key"
    assert "Acme" not in html
    assert "Globex" in html
