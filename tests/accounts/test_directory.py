"""Names to ids, on a connection of its own and in many threads at once."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import psycopg
import pytest
from django.db import connection as django_connection
from django.db import transaction
from pytest_django.fixtures import Settings

from accounts import directory, generation
from accounts.directory import Names, Whose
from accounts.merging import merge_names
from accounts.models import Organization, PersonAlias, Project, ProjectAlias, Role, User
from tests.cast import connect, make_user

pytestmark = pytest.mark.django_db(transaction=True)

Connection = psycopg.Connection[tuple[object, ...]]


def resolve(connection: Connection, names: list[Names]) -> dict[Names, Whose]:
    return dict(directory.resolve(connection, names)[0])


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


def test_known_names_cost_one_question(
    connection: Connection, user: User, acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    web = Project.objects.create(organization=acme, slug="web", name="The web site")
    wanted = [Names("acme", "web", "ann"), Names("acme", "", " "), Names("acme", "WEB", "")]
    counting = Counting(monkeypatch)
    found = resolve(connection, [*wanted, *wanted])
    assert counting.statements == 2, "the generation, and the names"
    zone = "America/Los_Angeles"
    assert [found[names] for names in wanted] == [
        Whose(acme.pk, zone, web.pk, user.pk),
        Whose(acme.pk, zone, None, None),
        Whose(acme.pk, zone, web.pk, None),
    ]
    assert resolve(connection, [*wanted, Names("acme", "WEB", "ann")]) == found | {
        Names("acme", "WEB", "ann"): found[wanted[0]]
    }
    assert counting.statements == 3, "the generation"


def test_a_new_name_beside_known_ones_does_not_forget_them(
    connection: Connection, user: User, acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = Names("acme", "", "ann")
    resolve(connection, [known])
    looked_up, look_up = list[Names](), directory._look_up

    def watched(own: psycopg.Connection, wanted: list[Names]) -> tuple[list[directory._Row], str]:
        looked_up.extend(wanted)
        return look_up(own, wanted)

    monkeypatch.setattr(directory, "_look_up", watched)
    new = Names("acme", "", "ben")
    assert resolve(connection, [known, new])[new].user_id == User.objects.get(handle="ben").pk
    assert set(looked_up) == {new}
    looked_up.clear()
    resolve(connection, [known, new])
    assert not looked_up


def test_memory_is_bounded(connection: Connection, acme: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory, "MAX_KNOWN", 20)
    for n in range(50):
        resolve(connection, [Names(f"nobody-{n}", "", "")])
        assert len(directory._known) <= 23


def merge(user: User) -> None:
    merge_names(
        user, make_user("ben", organization=user.organization), by=make_user("chief", Role.SUPER_ADMIN), moved={}
    )


CHANGES: dict[str, Callable[[User], object]] = {
    "a person is renamed, and another one gets the name": lambda user: (
        User.objects.filter(pk=user.pk).update(handle="zoe", handle_key="zoe"),
        make_user("ann2", organization=user.organization),
        User.objects.filter(username="ann2").update(handle="ann", handle_key="ann"),
    ),
    "a person is merged into another": merge,
    "a person leaves the organization": lambda user: User.objects.filter(pk=user.pk).update(organization=None),
    "a project is merged into another": lambda user: merge_names(
        Project.objects.get(slug="web"),
        Project.objects.create(organization=user.organization, slug="shop", name="Shop"),
        by=make_user("chief"),
        moved={},
    ),
    "a project is deleted": lambda user: (ProjectAlias.objects.all().delete(), Project.objects.all().delete()),
    "the time zone changes": lambda user: Organization.objects.update(time_zone="Asia/Tokyo"),
    "the organization is renamed": lambda user: Organization.objects.filter(slug="acme").update(slug="acme-inc"),
    "an alias leads to somebody else": lambda user: PersonAlias.objects.update(
        user=make_user("ben", organization=user.organization)
    ),
    "an alias is removed": lambda user: PersonAlias.objects.all().delete(),
    "an alias of a project is removed": lambda user: ProjectAlias.objects.all().delete(),
    "an unknown organization is made": lambda user: Organization.objects.create(name="Newcomer", slug="newcomer"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_committed_change_counts_for_the_next_call(
    connection: Connection, user: User, default_organization: Organization, change: str
) -> None:
    """The first look is in memory, and what counts is in the database. It may have been changed by another process, and
    by statements that no model sees."""
    web = Project.objects.create(organization=user.organization, slug="web", name="The web site")
    PersonAlias.objects.create(organization=user.organization, name="a.smith", user=user)
    ProjectAlias.objects.create(organization=user.organization, name="site", project=web)
    asked = [
        Names("acme", "web", "ann"), Names("acme", "site", "a.smith"), Names("acme", "", ""), Names("newcomer", "", "")
    ]  # fmt: skip
    before = resolve(connection, asked)
    with transaction.atomic():
        CHANGES[change](user)
        assert resolve(connection, asked) == before, "not yet"
    after = resolve(connection, asked)
    assert after != before
    directory._known = directory._Known("")
    assert after == resolve(connection, asked)


def test_truncated_tables_are_noticed(connection: Connection, user: User, acme: Organization) -> None:
    asked = [Names("acme", "web", "ann")]
    before = resolve(connection, asked)[asked[0]]
    with django_connection.cursor() as cursor:
        cursor.execute("TRUNCATE accounts_project CASCADE")
    after = resolve(connection, asked)[asked[0]]
    assert after.project_id == Project.objects.get().pk != before.project_id


def test_a_change_during_a_look_is_not_mixed_with_what_was_known(
    connection: Connection, user: User, acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer has all names as of one moment."""
    known, new = Names("acme", "", "ann"), Names("acme", "web", "")
    resolve(connection, [known])
    look_up = directory._look_up

    def late(own: psycopg.Connection, wanted: list[Names]) -> tuple[list[directory._Row], str]:
        Organization.objects.filter(time_zone="America/Los_Angeles").update(time_zone="Asia/Tokyo")
        return look_up(own, wanted)

    monkeypatch.setattr(directory, "_look_up", late)
    found, seen = directory.resolve(connection, [known, new])
    assert {whose.time_zone for whose in found.values()} == {"Asia/Tokyo"}
    assert seen == generation.current(connection)


def test_new_people_and_projects_leave_what_is_known(connection: Connection, acme: Organization) -> None:
    """Calls make them all day, and nothing that was found before changes by that."""
    before = generation.current(connection)
    resolve(connection, [Names("acme", "web", "ann")])
    assert generation.current(connection) == before


def test_a_removed_generation_only_makes_recording_slower(connection: Connection, acme: Organization) -> None:
    asked = [Names("acme", "", "")]
    connection.execute("DELETE FROM accounts_generation")
    try:
        assert resolve(connection, asked)[asked[0]].time_zone == "America/Los_Angeles"
        Organization.objects.filter(slug="acme").update(time_zone="Asia/Tokyo")
        assert resolve(connection, asked)[asked[0]].time_zone == "Asia/Tokyo"
    finally:
        connection.execute("INSERT INTO accounts_generation (value) VALUES (gen_random_uuid())")


def test_two_who_change_names_do_not_wait_for_each_other(
    connection: Connection, user: User, acme: Organization
) -> None:
    """The generation is changed when a transaction commits, so an open one does not keep others from committing."""
    with transaction.atomic():
        Organization.objects.filter(pk=acme.pk).update(time_zone="Asia/Tokyo")
        connection.execute("SET lock_timeout = '5s'")
        connection.execute("UPDATE accounts_user SET handle = 'zoe', handle_key = 'zoe' WHERE id = %s", [user.pk])


def test_no_names_cost_hardly_anything(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting(monkeypatch)
    assert resolve(connection, []) == {}
    assert counting.statements == 1, "the generation"


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
    assert counting.statements == 2, "a full organization is not counted again at every call"


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
