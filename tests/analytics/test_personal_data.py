"""What is recorded about a person: the page that says so, and the file with all of it."""

import json
from datetime import timedelta
from typing import Any

import pytest

from accounts.api_keys import create
from accounts.audit import record as audit
from accounts.models import ApiKey, Organization, Role, User
from accounts.places import Places
from analytics.export import download
from analytics.models import SavedView
from ledger.event_columns import COLUMNS, COST_COLUMNS
from ledger.recording.record import record
from tests.accounts.apps import give_app
from tests.cast import make_user, signed_in
from tests.ledger.calls import NOON, call

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def used(acme: Organization, user: User, colleague: User, admin: User) -> str:
    """Calls of two people, and a key, a view and an audit record of one. Returns the secret of the key."""
    record(
        call(organization="acme", user=user.handle if n % 3 else colleague.handle, at=NOON + timedelta(days=n))
        for n in range(9)
    )
    SavedView.objects.create(owner=user, name="Mine", page="requests", query="model=x")
    audit("role.change", str(user), by=admin, organization=acme, changes={"role": (None, Role.USER)})
    audit("role.change", str(colleague), by=admin, organization=acme, changes={"role": (None, Role.USER)})
    give_app(user)
    return create(ApiKey(organization=acme, name="Laptop", user=user, may_read=True), by=admin)


def file_of(viewer: User, path: str = "/privacy/data.jsonl") -> tuple[str, list[dict[str, Any]], list[dict[str, Any]]]:
    """The text of the file, the rows that name the person, and the requests."""
    response = signed_in(viewer).get(path)
    assert response.status_code == 200
    text = b"".join(response).decode()  # type: ignore[arg-type]
    lines = [json.loads(line) for line in text.splitlines()]
    return text, [one for one in lines if "record" in one], [one for one in lines if "record" not in one]


def test_the_page_counts_ones_own_requests(used: str, user: User) -> None:
    page = signed_in(user).get("/privacy/").content.decode()
    assert "What is recorded about you" in page
    assert "<dd>6</dd>" in page
    assert "<dd>3 Nov 2026</dd>" in page
    assert "<dd>10 Nov 2026</dd>" in page
    assert "no prompt, no answer" in page
    assert "kept without an end" in page


def test_the_page_says_how_long_requests_are_kept(acme: Organization, user: User) -> None:
    Organization.objects.filter(pk=acme.pk).update(retention_days=90)
    assert "for 90 days" in signed_in(user).get("/privacy/").content.decode()


def test_the_page_names_each_column_that_the_person_may_see(used: str, user: User, admin: User) -> None:
    own = signed_in(user).get("/privacy/").content.decode()
    assert [name for name in COLUMNS if f"<code>{name}</code>" in own] == [c for c in COLUMNS if c not in COST_COLUMNS]
    admins = signed_in(admin).get(f"/organization/members/{user.pk}/privacy/").content.decode()
    assert all(f"<code>{name}</code>" in admins for name in COLUMNS)
    assert "What is recorded about ann" in admins


def test_the_menu_leads_there(user: User) -> None:
    assert 'href="/privacy/"' in signed_in(user).get("/").content.decode()


def test_no_tab_is_marked_for_a_page_of_the_account_menu(user: User) -> None:
    for path, tabs in (("/privacy/", 0), ("/my-usage/", 1)):
        header = signed_in(user).get(path).content.decode().partition("<main")[0]
        assert header.count('aria-current="page">') == tabs, path


def test_the_file_has_ones_own_requests_without_hidden_costs(used: str, user: User) -> None:
    assert not user.has_perm("ledger.export_usageevent"), "everybody may have their own"
    _, _, requests = file_of(user)
    assert len(requests) == 6
    assert {one["user"] for one in requests} == {"ann"}
    assert not set(requests[0]) & COST_COLUMNS


def test_the_file_has_costs_where_they_are_shown(used: str, acme: Organization, user: User) -> None:
    Organization.objects.filter(pk=acme.pk).update(show_user_cost=True)
    assert "cost_usd" in file_of(user)[2][0]


def test_the_file_has_the_rows_that_name_one_and_no_secret(used: str, user: User) -> None:
    text, rows, _ = file_of(user)
    kinds = [row["record"] for row in rows]
    assert set(kinds) == {"profile", "second factor", "sign-in", "key", "saved view", "audit"}
    assert rows[0]["username"] == "ann"
    assert rows[0]["role"] == "User"
    assert used not in text
    assert user.password not in text
    about = [row for row in rows if row["record"] == "audit"]
    assert {row["subject"] for row in about} == {"ann"}
    assert not any(row["is_by_this_person"] for row in about)


def test_an_admin_takes_a_members_file(used: str, user: User, admin: User) -> None:
    _, rows, requests = file_of(admin, f"/organization/members/{user.pk}/privacy/data.jsonl")
    assert rows[0]["username"] == "ann"
    assert len(requests) == 6
    assert "cost_usd" in requests[0]


def test_somebody_without_anything_has_a_page_and_a_file(stranger: User) -> None:
    assert "without an end" in signed_in(stranger).get("/privacy/").content.decode()
    _, rows, requests = file_of(stranger)
    assert rows[0]["username"] == "sam"
    assert requests == []


def test_whoever_lacks_a_second_factor_sets_one_up_first(acme: Organization, settings: Any) -> None:
    settings.SECOND_FACTOR_FOR = "admins"
    client = signed_in(make_user("new", Role.ADMIN, acme))
    assert client.get("/privacy/")["Location"] == "/security/"
    assert client.get("/privacy/data.jsonl")["Location"] == "/security/"


def test_the_file_counts_among_the_exports(used: str, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PLACES", Places(1, 0))
    response = signed_in(user).get("/privacy/data.jsonl")
    assert response.status_code == 503
    assert response["Retry-After"] == "30"


@pytest.mark.parametrize("role", [Role.ADMIN, Role.SUPER_ADMIN])
def test_an_admin_reads_nothing_of_what_a_member_did_elsewhere(
    acme: Organization, globex: Organization, admin: User, super_admin: User, role: Role
) -> None:
    """A member of Acme who once administered Globex, or who administers everything."""
    person = make_user("moved", role, acme)
    create(ApiKey(organization=globex, name="Key of Globex", may_read=True), by=person)
    SavedView.objects.create(owner=person, organization=globex, name="View of Globex", page="requests")
    audit("project.add", "Project of Globex", by=person, organization=globex, changes={})
    audit("project.add", "Project of Acme", by=person, organization=acme, changes={})
    text, rows, _ = file_of(admin, f"/organization/members/{person.pk}/privacy/data.jsonl")
    assert "of Globex" not in text
    assert "Project of Acme" in [row.get("subject") for row in rows]
    text, _, _ = file_of(super_admin, f"/organization/members/{person.pk}/privacy/data.jsonl")
    assert [name for name in ("Key", "View", "Project") if f"{name} of Globex" not in text] == []


def test_private_views_are_told_to_their_owner_alone(used: str, user: User, admin: User, super_admin: User) -> None:
    assert '"Mine"' in file_of(user)[0]
    for reader in (admin, super_admin):
        assert '"Mine"' not in file_of(reader, f"/organization/members/{user.pk}/privacy/data.jsonl")[0]
