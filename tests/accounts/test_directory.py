"""Names to ids, on a connection of its own and in many threads at once."""

import logging
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import psycopg
import pytest
from pytest_django.fixtures import Settings

from accounts import directory
from accounts.directory import Names, Whose
from accounts.models import Organization, Project, User
from tests.cast import connect

pytestmark = pytest.mark.django_db(transaction=True)

Connection = psycopg.Connection[tuple[object, ...]]


def resolve(connection: Connection, names: list[Names]) -> dict[Names, Whose]:
    return directory.resolve(connection, names)[0]


@pytest.fixture(autouse=True)
def _forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """No memory of full organizations or of warnings given from one test to the next."""
    monkeypatch.setattr(directory, "_full_until", {})
    monkeypatch.setattr(directory, "_warned", set())


class Counting:
    """How many statements a connection was asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.statements = 0
        execute = psycopg.Cursor.execute

        def counted(cursor: Any, *args: Any, **kwargs: Any) -> Any:
            self.statements += 1
            return execute(cursor, *args, **kwargs)

        monkeypatch.setattr(psycopg.Cursor, "execute", counted)


def test_known_names_cost_one_statement(
    connection: Connection, user: User, acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    web = Project.objects.create(organization=acme, slug="web", name="The web site")
    wanted = [Names("acme", "web", "ann"), Names("acme", "", ""), Names("acme", "web", "")]
    counting = Counting(monkeypatch)
    found = resolve(connection, [*wanted, *wanted])
    assert counting.statements == 1
    zone = "America/Los_Angeles"
    assert [found[names] for names in wanted] == [
        Whose(acme.pk, zone, web.pk, user.pk),
        Whose(acme.pk, zone, None, None),
        Whose(acme.pk, zone, web.pk, None),
    ]


def test_another_question_is_answered_beside(
    connection: Connection, acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    Project.objects.create(organization=acme, slug="web", name="The web site")
    counting = Counting(monkeypatch)
    assert directory.resolve(connection, [Names("acme", "web", "")], "SELECT 1, 'two'")[1] == (1, "two")
    assert counting.statements == 1


def test_no_names_cost_nothing(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting(monkeypatch)
    assert resolve(connection, []) == {}
    assert counting.statements == 0


def test_no_organization_is_the_default_one(connection: Connection, default_organization: Organization) -> None:
    names = Names("", "", "")
    assert resolve(connection, [names])[names].organization_id == default_organization.pk


def test_the_default_organization_is_made_if_it_is_missing(connection: Connection, settings: Settings) -> None:
    settings.DEFAULT_ORGANIZATION = "head-office"
    names = Names("", "web", "ann")
    whose = resolve(connection, [names])[names]
    made = Organization.objects.get(slug="head-office")
    assert (made.name, made.time_zone) == ("Head Office", "UTC")
    assert (whose.organization_id, whose.time_zone) == (made.pk, "UTC")
    assert whose.project_id
    assert whose.user_id


def test_an_unknown_organization_is_the_default_one_with_one_warning(
    connection: Connection, default_organization: Organization, caplog: pytest.LogCaptureFixture
) -> None:
    names = Names("nobody-inc", "web", "")
    with caplog.at_level(logging.WARNING):
        first = resolve(connection, [names])[names]
        second = resolve(connection, [names])[names]
    assert first == second
    assert first.organization_id == default_organization.pk
    assert [record.args for record in caplog.records] == [("nobody-inc", "default")]


def test_an_unknown_project_is_made_once(connection: Connection, acme: Organization) -> None:
    names = Names("acme", "Web Shop", "")
    first, second = resolve(connection, [names]), resolve(connection, [names])
    project = Project.objects.get()
    assert (project.slug, project.name, project.organization) == ("Web Shop", "Web Shop", acme)
    assert first == second
    assert first[names].project_id == project.pk


def test_names_differ_by_their_case(connection: Connection, acme: Organization) -> None:
    found = resolve(connection, [Names("acme", "web", ""), Names("acme", "Web", "")])
    assert len({whose.project_id for whose in found.values()}) == 2


def test_the_same_name_in_two_organizations_is_two_projects(
    connection: Connection, acme: Organization, globex: Organization
) -> None:
    found = resolve(connection, [Names("acme", "web", ""), Names("globex", "web", "")])
    assert {p.organization for p in Project.objects.filter(pk__in=[w.project_id for w in found.values()])} == {
        acme,
        globex,
    }


def test_an_unknown_user_becomes_somebody_who_cannot_sign_in(connection: Connection, acme: Organization) -> None:
    names = Names("acme", "", "zoë")
    made = User.objects.get(pk=resolve(connection, [names])[names].user_id)
    assert (made.username, made.handle, made.organization) == ("zoë", "zoë", acme)
    assert not made.is_active
    assert not made.has_usable_password()
    assert not made.is_staff
    assert not made.is_superuser
    assert made.role is None


def test_a_taken_username_gets_the_organization_behind_it(
    connection: Connection, user: User, globex: Organization
) -> None:
    names = Names("globex", "", "ann")
    made = User.objects.get(pk=resolve(connection, [names])[names].user_id)
    assert (made.username, made.handle, made.organization) == ("ann@globex", "ann", globex)


def test_a_username_taken_twice_gets_one_that_nobody_has(
    connection: Connection, user: User, globex: Organization
) -> None:
    User.objects.create_user("ann@globex")
    names = Names("globex", "", "ann")
    made = User.objects.get(pk=resolve(connection, [names])[names].user_id)
    assert made.handle == "ann"
    assert made.username.startswith("ann~")


def test_the_longest_names_fit(connection: Connection, acme: Organization, globex: Organization) -> None:
    name = "ü" * 200
    found = resolve(connection, [Names("acme", name, name), Names("globex", name, name)])
    people = User.objects.filter(pk__in=[whose.user_id for whose in found.values()])
    assert {person.handle for person in people} == {name}
    assert {len(person.username) for person in people} == {150}


def test_a_handle_finds_somebody_with_another_username(connection: Connection, user: User) -> None:
    user.handle = "a.smith"
    user.save()
    names = Names("acme", "", "a.smith")
    assert resolve(connection, [names])[names].user_id == user.pk


def test_beyond_the_cap_there_are_no_new_projects(
    connection: Connection, acme: Organization, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.PROJECT_CAP = 2
    wanted = [Names("acme", slug, "") for slug in ("c", "a", "b")]
    found = resolve(connection, wanted)
    assert [found[names].project_id is None for names in wanted] == [False, False, True]
    counting = Counting(monkeypatch)
    assert resolve(connection, wanted) == found
    assert counting.statements == 1, "a full organization is not counted again at every call"


def test_beyond_the_cap_there_are_no_new_users(
    connection: Connection, user: User, acme: Organization, globex: Organization, settings: Settings
) -> None:
    settings.USER_CAP = 1
    found = resolve(connection, [Names("acme", "", "new"), Names("globex", "", "new"), Names("acme", "", "ann")])
    assert found[Names("acme", "", "new")].user_id is None
    assert found[Names("globex", "", "new")].user_id is not None
    assert found[Names("acme", "", "ann")].user_id == user.pk


def test_many_threads_that_meet_the_same_new_names_agree(
    acme: Organization, globex: Organization, settings: Settings
) -> None:
    threads, barrier = 8, Barrier(8)
    names = [Names(organization, f"p{n}", f"u{n}") for organization in ("acme", "globex") for n in range(20)]

    def meet(number: int) -> dict[Names, Whose]:
        with connect() as own:
            barrier.wait()
            return resolve(own, names[number:] + names[:number])  # each in another order

    with ThreadPoolExecutor(threads) as pool:
        answers = list(pool.map(meet, range(threads)))
    assert all(answer == answers[0] for answer in answers)
    assert all(whose.project_id and whose.user_id for whose in answers[0].values())
    assert Project.objects.count() == len(names)
    assert User.objects.count() == len(names)


def test_the_caps_hold_when_many_threads_come_at_once(acme: Organization, settings: Settings) -> None:
    settings.PROJECT_CAP = settings.USER_CAP = 5
    barrier = Barrier(6)

    def come(number: int) -> None:
        with connect() as own:
            barrier.wait()
            resolve(own, [Names("acme", f"p{number}-{n}", f"u{number}-{n}") for n in range(3)])

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(come, range(6)))
    assert Project.objects.count() == 5
    assert User.objects.count() == 5


def test_hostile_names_are_only_data(connection: Connection, acme: Organization) -> None:
    names = Names("acme", "'; DROP TABLE accounts_project; --", '{"a",NULL}')
    resolve(connection, [names])
    assert Project.objects.get().slug == names.project
    assert User.objects.get().handle == names.user
