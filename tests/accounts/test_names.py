"""Spellings of a name, and the names that people and projects had before."""

import unicodedata
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import psycopg
import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db import connection as db_connection
from hypothesis import given
from hypothesis import strategies as st

from accounts import directory
from accounts.directory import Names
from accounts.models import Organization, PersonAlias, Project, ProjectAlias, User
from accounts.names import MAX_NAME, folded, shortened, written
from tests.cast import connect

Connection = psycopg.Connection[tuple[object, ...]]

INVISIBLE = "\u200b\u200d\ufeff\u202e\u2069\u00ad\ufe0f\U000e0100\u034f\u3164\u0000\u007f"
SPELLINGS = {
    "Ada@Example.com": ("ada@example.com", "ADA@EXAMPLE.COM", "\u200bAda@\ufeffexample.com", " ada@example.com\t"),
    "jos\u00e9": ("jose\u0301", "JOS\u00c9", "jos\u00ad\u00e9", "\uff4a\uff4f\uff53\u00e9"),
    "Web  Shop": ("web shop", "\u00a0WEB\u2003Shop\n"),
    "Straße": ("STRASSE", "strasse"),
}
names = st.text(st.characters(exclude_categories=("Cs",)) | st.sampled_from(INVISIBLE), max_size=300)


@pytest.mark.parametrize(("name", "others"), SPELLINGS.items())
def test_spellings_of_one_name_have_one_key(name: str, others: tuple[str, ...]) -> None:
    assert {folded(other) for other in others} == {folded(name)}


@given(names)
def test_a_key_is_its_own_key(name: str) -> None:
    assert folded(folded(name)) == folded(name)


@given(names, st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]), st.sampled_from(INVISIBLE), st.integers(0, 300))
def test_how_a_name_is_encoded_changes_nothing(name: str, form: str, invisible: str, place: int) -> None:
    other = unicodedata.normalize(form, name)  # type: ignore[arg-type]
    assert folded(other) == folded(name)
    assert folded(f" {name[:place]}{invisible}{name[place:]}\n") == folded(name[:place] + name[place:])


@given(names)
def test_what_is_kept_fits_its_column_and_is_found_by_what_is_shown(name: str) -> None:
    kept = written(name)
    assert len(kept) <= MAX_NAME
    assert len(folded(kept)) <= MAX_NAME
    assert written(kept) == kept
    assert bool(kept) == bool(folded(name))
    assert folded(kept) == (folded(name) if len(folded(name)) <= MAX_NAME else shortened(folded(name), MAX_NAME))


@pytest.mark.parametrize("nothing", ["", " \t", "\u200b", "\ufeff \u00ad", "\0"])
def test_a_name_that_nobody_can_see_is_none(nothing: str) -> None:
    assert folded(nothing) == written(nothing) == ""


# In calls


def resolve(connection: Connection, *asked: Names) -> list[tuple[int | None, int | None]]:
    found = directory.resolve(connection, asked)[0]
    return [(found[names].project_id, found[names].user_id) for names in asked]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("together", [True, False])
def test_spellings_of_one_name_are_one_person_shown_as_first_written(
    connection: Connection, acme: Organization, together: bool
) -> None:
    asked = [[Names("acme", spelling, spelling) for spelling in (name, *others)] for name, others in SPELLINGS.items()]
    for spellings in asked:
        found = resolve(connection, *spellings) if together else [resolve(connection, one)[0] for one in spellings]
        assert len(set(found)) == 1
    assert {*User.objects.values_list("handle", flat=True)} == {*SPELLINGS}
    assert {*Project.objects.values_list("slug", flat=True)} == {*SPELLINGS}


@pytest.mark.django_db(transaction=True)
def test_first_uses_of_several_spellings_at_once_make_one_person(acme: Organization) -> None:
    name, others = "Ada@Example.com", SPELLINGS["Ada@Example.com"]
    barrier = Barrier(1 + len(others))

    def meet(spelling: str) -> tuple[int | None, int | None]:
        with connect() as own:
            barrier.wait()
            return resolve(own, Names("acme", spelling, spelling))[0]

    with ThreadPoolExecutor(1 + len(others)) as pool:
        assert len(set(pool.map(meet, (name, *others)))) == 1
    assert (User.objects.count(), Project.objects.count()) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_a_name_that_nobody_can_see_books_on_nobody(connection: Connection, acme: Organization) -> None:
    assert resolve(connection, Names("acme", "\u200b", " \ufeff")) == [(None, None)]
    assert not User.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_long_names_that_differ_at_their_ends_are_two(connection: Connection, acme: Organization) -> None:
    long = "x" * 205
    one, other, again, shown = resolve(
        connection,
        *(Names("acme", n, n) for n in (f"{long}1", f"{long}2", f"{long.upper()}1", written(f"{long}1"))),
    )
    assert one == again == shown
    assert None not in {*one, *other}
    assert not {*one} & {*other}
    assert User.objects.count() == 2


# Former names


@pytest.mark.django_db(transaction=True)
def test_programs_that_say_the_former_name_find_the_same_one(
    connection: Connection, user: User, acme: Organization
) -> None:
    web = Project.objects.create(organization=acme, slug="web", name="Web")
    user.handle, web.slug = "Ann.Smith", "shop"
    user.save()
    web.save()
    asked = [Names("acme", project, person) for project, person in (("WEB", "Ann"), ("Shop", "ann.smith"))]
    assert resolve(connection, *asked) == [(web.pk, user.pk)] * 2
    assert [alias.name for alias in user.aliases.all()] == ["ann"]
    assert [alias.name for alias in web.aliases.all()] == ["web"]


@pytest.mark.django_db
def test_going_back_to_a_former_name_swaps_the_two(user: User) -> None:
    for handle in ("smith", "ann"):
        user.handle = handle
        user.save(update_fields=["handle"])
    assert [alias.name for alias in user.aliases.all()] == ["smith"]
    user.handle = "ANN"  # another spelling is no other name
    user.save()
    assert [alias.name for alias in user.aliases.all()] == ["smith"]


@pytest.mark.django_db
def test_a_name_is_of_one_whether_of_today_or_of_before(user: User, colleague: User, acme: Organization) -> None:
    user.handle = "smith"
    user.save()
    for taken in ("ANN", "Smith\u200b"):
        colleague.handle = taken
        with pytest.raises(ValidationError, match="This is taken already"):
            colleague.full_clean()
        with pytest.raises(IntegrityError), transaction.atomic():
            colleague.save()
    with pytest.raises(IntegrityError), transaction.atomic():
        PersonAlias.objects.create(organization=acme, name="Ben", user=user)
    Project.objects.create(organization=acme, slug="web", name="Web")
    shop = Project.objects.create(organization=acme, slug="shop", name="Shop")
    with pytest.raises(IntegrityError), transaction.atomic():
        ProjectAlias.objects.create(organization=acme, name="WEB", project=shop)
    with pytest.raises(IntegrityError), transaction.atomic():
        Project.objects.create(organization=acme, slug="Web", name="Web")


@pytest.mark.django_db(transaction=True)
def test_a_name_and_an_alias_that_come_at_once_are_not_both_taken(user: User, acme: Organization) -> None:
    barrier = Barrier(2)

    def come(make: int) -> bool:
        barrier.wait()
        try:
            if make:
                PersonAlias.objects.create(organization=acme, name="Cid", user=user)
            else:
                User.objects.create(organization=acme, username="cid", handle="cid")
        except IntegrityError:
            return False
        finally:
            db_connection.close()
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(come, range(2))) == [False, True]


@pytest.mark.django_db
def test_the_same_name_in_another_organization_is_free(user: User, outsider: User, globex: Organization) -> None:
    user.handle = "smith"
    user.save()
    outsider.handle = "ANN"
    outsider.full_clean(exclude=["password"])
    outsider.save()


@pytest.mark.django_db
def test_who_moves_to_another_organization_leaves_former_names_behind(user: User, globex: Organization) -> None:
    user.handle = "smith"
    user.save()
    user.organization = globex
    user.save()
    assert not user.aliases.exists()
