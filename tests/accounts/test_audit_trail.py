"""The audit trail as a page."""

from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from accounts.audit import record
from accounts.models import AuditRecord, Organization, User
from tests.cast import signed_in


def trail(person: User, organization: Organization | None, **query: Any) -> Any:
    path = f"/organization/{organization.pk}/audit/" if organization else "/organizations/audit/"
    return signed_in(person).get(path, query)


def subjects(response: Any) -> list[str]:
    return [written.subject for written in response.context["stretch"].records]


def write(number: int, organization: Organization | None, by: User | None = None, action: str = "price.add") -> None:
    changes = {"price": (None, "<b>0.10</b>")}
    for n in range(number):
        record(action, f"{action} {n:03}", by=by, organization=organization, changes=changes)


def test_an_admin_reads_the_own_trail_a_super_admin_all(
    admin: User, super_admin: User, acme: Organization, globex: Organization
) -> None:
    write(1, acme, admin, "member.invite")
    write(1, globex, None, "project.add")
    write(1, None, super_admin, "price.add")
    assert subjects(trail(admin, acme)) == ["member.invite 000"]
    everything = ["price.add 000", "project.add 000", "member.invite 000"]
    assert sorted(subjects(trail(super_admin, None))) == sorted(everything)


def test_it_says_who_what_and_from_what_to_what(admin: User, acme: Organization) -> None:
    record("role.change", "ann", by=admin, organization=acme, changes={"role": ("User", "Admin")})
    record("organization.change", "Acme", by=None, organization=acme, changes={"time_zone": ("<i>", None)})
    page = trail(admin, acme).content.decode()
    assert "Change role" in page
    assert "<del>User</del> → Admin" in page
    assert "<del>&lt;i&gt;</del> → –" in page
    assert "time zone" in page
    assert "a command" in page
    assert ">boss<" in page


def test_times_are_the_organizations(admin: User, acme: Organization) -> None:
    written = AuditRecord.objects.create(at="2026-01-15T03:00:00Z", organization=acme, action="a.b", subject="s")
    assert str(written.at).startswith("2026")
    assert "14 Jan 2026<small>19:00:00</small>" in trail(admin, acme).content.decode()


def test_words_are_looked_for_everywhere(admin: User, user: User, acme: Organization) -> None:
    write(1, acme, admin, "member.invite")
    write(1, acme, user, "project.add")
    assert subjects(trail(admin, acme, q="invite member")) == ["member.invite 000"]
    assert subjects(trail(admin, acme, q="ANN")) == ["project.add 000"]
    assert subjects(trail(admin, acme, q="nothing")) == []
    assert trail(admin, acme, q="\0").status_code == 400


def test_pages_follow_each_other_at_the_same_cost(
    admin: User, acme: Organization, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    write(120, acme, admin)  # at the very same moment, that of the test's transaction
    seen: list[str] = []
    response = trail(admin, acme)
    while True:
        seen += subjects(response)
        before = response.context["stretch"].before
        if before is None:
            break
        client = signed_in(admin)
        # Session, person, organization, the record before, records.
        with django_assert_num_queries(5):
            response = client.get(f"/organization/{acme.pk}/audit/", {"before": before, "q": "price"})
    assert seen == [f"price.add {n:03}" for n in reversed(range(120))]


@pytest.mark.parametrize("before", ["x", "-1", "9" * 30, "0", "²"])
def test_nonsense_begins_at_the_newest(admin: User, acme: Organization, before: str) -> None:
    write(1, acme)
    assert len(subjects(trail(admin, acme, before=before))) == 1


def test_the_record_of_somebody_else_is_no_place_to_begin(
    admin: User, acme: Organization, globex: Organization
) -> None:
    write(1, globex)
    write(1, acme, action="member.invite")
    before = AuditRecord.objects.get(organization=globex).pk
    assert subjects(trail(admin, acme, before=before)) == ["member.invite 000"]
