"""Making a person anonymous: nobody finds the names any more, and no total changes."""

import os
import re
import subprocess
import sys
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import connection as django_connection
from django.test import Client

from accounts.anonymising import ANONYMISE, anonymise, is_being_cleared
from accounts.api_keys import create
from accounts.audit import record as audit
from accounts.invitations import Guest, invite
from accounts.models import ApiKey, AuditRecord, Organization, Role, SignIn, Standing, User
from accounts.roles import set_active
from analytics.models import SavedView
from ledger.models import Supplement, UsageEvent
from ledger.recording.record import record
from ledger.upkeep import anonymising
from ledger.upkeep.anonymising import StoppedError, clear_texts
from ledger.upkeep.merges import merge
from tests.accounts.apps import confirmed_long_ago, give_app
from tests.cast import PASSWORD, make_user, signed_in
from tests.jobs import forget_jobs, jobs, run_jobs
from tests.ledger.calls import NOON, call, failed
from tests.ledger.exact import wrong_sums
from tests.ledger.folding import fold_now
from tests.running_demo import ROOT, wait_until
from tests.served import database_url

pytestmark = pytest.mark.django_db(transaction=True)

NAMES = ("zebedee", "quillfeather")
"""Every name that the person of these tests ever had has one of these in it."""
MAY_STAY = {"accounts_auditrecord"}
"""The audit trail is never changed."""


@pytest.fixture(autouse=True)
def _no_jobs(transactional_db: None) -> Any:
    forget_jobs()
    yield
    forget_jobs()


@pytest.fixture
def person(acme: Organization, admin: User) -> User:
    """Somebody whose name is wherever the name of a person can be."""
    person = make_user("zebedee", Role.USER, acme)
    person.first_name, person.last_name, person.email = "Zebedee", "Quillfeather", "zebedee@quillfeather.example"
    person.save()
    person.handle = "zebedee.q"
    person.save()
    give_app(person)
    Authenticator.objects.create(user=person, type="webauthn", data={"name": "Zebedee's phone"})
    SocialAccount.objects.create(user=person, provider="sso", uid="zebedee", extra_data={"email": person.email})
    EmailAddress.objects.create(user=person, email=person.email)
    create(ApiKey(organization=acme, name="Zebedee's laptop", user=person), by=admin)
    SavedView.objects.create(owner=person, name="Zebedee's view", page="analytics")
    audit("member.change", str(person), by=admin, organization=acme, changes={"name": (None, "Zebedee")})
    content_type = ContentType.objects.get_for_model(User)
    LogEntry.objects.create(
        user=admin, content_type=content_type, object_id=str(person.pk), object_repr=str(person), action_flag=CHANGE
    )
    return person


def use(organization: Organization, count: int = 30) -> None:
    """Calls of the person and of ben over some days, whose texts name them."""
    for n in range(count):
        who = ("zebedee", "Zebedee.Q", "ben")[n % 3]
        of: dict[str, Any] = {"organization": organization.slug, "user": who, "session_id": f"s{n // 4}"}
        of |= {"at": NOON + timedelta(hours=7 * n), "metadata": {"asked by": who}}
        record([failed(**of, error_message=f"{who} may not") if n % 5 == 0 else call(**of, project="web")])


def tables_with_names() -> set[str]:
    """The tables of which a row has one of the names in any column."""
    with django_connection.cursor() as cursor:
        tables = django_connection.introspection.table_names(cursor)
        found = set()
        for table in tables:
            cursor.execute(f'SELECT EXISTS (SELECT FROM "{table}" AS row WHERE row::text ~* %s)', ["|".join(NAMES)])
            if cursor.fetchone()[0]:
                found.add(table)
    return found


FIGURES = (
    "/api/v1/usage", "/api/v1/costs", "/api/v1/series", "/api/v1/sessions", "/api/v1/breakdown?by=user",
    "/api/v1/breakdown?by=project", "/api/v1/top-users", "/api/v1/performance", "/api/v1/popular-models",
    "/api/v1/admin/usage", "/tables/", "/charts/", "/report/?month=2026-11",
    "/export/?per=day&by=user&format=csv",
)  # fmt: skip


RANGE = "range=custom&from=2026-11-01&to=2026-11-20&provider=all"


def figures(viewer: Client, person: User) -> dict[str, str]:
    """What pages, files and the API tell about all that was recorded, without the person's name."""
    person = User.objects.get(pk=person.pk)
    told = {}
    for path in FIGURES:
        response = viewer.get(f"{path}{'&' if '?' in path else '?'}{RANGE}")
        assert response.status_code == 200, path
        text = (b"".join(response) if response.streaming else response.content).decode()  # type: ignore[arg-type]
        for name in (person.display_name, person.handle):
            text = text.replace(name, "PERSON")
        told[path] = re.sub(r'name="csrfmiddlewaretoken" value="\w+"|<time.*?</time>', "", text)
    return told


def sums() -> list[Any]:
    with django_connection.cursor() as cursor:
        cursor.execute("SELECT row::text FROM ledger_rollup AS row UNION SELECT row::text FROM ledger_session AS row")
        return sorted(cursor.fetchall())


def test_the_names_are_nowhere_and_all_totals_are_the_same(person: User, admin: User, colleague: User) -> None:
    organization = person.organization
    assert organization is not None
    use(organization)
    fold_now()
    client = signed_in(person)
    client.get("/")
    admins = signed_in(admin)
    before, stored = figures(admins, person), sums()
    assert '"requests": 30' in before["/api/v1/usage"].replace('":3', '": 3')
    assert {"accounts_user", "ledger_usageevent", "accounts_apikey", "django_admin_log"} <= tables_with_names()

    now = anonymise(person, by=admin)
    assert is_being_cleared(now)
    run_jobs()
    assert not is_being_cleared(now)
    assert tables_with_names() <= MAY_STAY
    assert figures(admins, person) == before
    assert sums() == stored
    assert wrong_sums() == []
    assert now.display_name == f"Anonymous person {person.pk}"
    others = UsageEvent.objects.filter(user_id=colleague.pk)
    assert all(event.metadata == {"asked by": "ben"} for event in others)
    assert others.count() == 10


def test_all_ways_in_end(person: User, admin: User) -> None:
    client = signed_in(person)
    assert client.get("/security/").status_code == 200
    now = anonymise(person, by=admin)
    assert client.get("/security/").status_code == 302
    assert not Client().login(username="zebedee", password=PASSWORD)
    assert not Client().login(username=now.username, password=PASSWORD)
    assert not SignIn.objects.filter(user=person).exists()
    assert now.standing is Standing.ANONYMOUS
    assert now.role is None
    key = ApiKey.objects.get(user=person)
    assert key.revoked_at is not None
    with pytest.raises(ValidationError, match="anonymous"):
        set_active(now, True, by=None)


def test_the_audit_record_has_no_former_name(person: User, admin: User) -> None:
    now = anonymise(person, by=admin)
    last = AuditRecord.objects.order_by("-pk").first()
    assert last is not None
    assert (last.action, last.subject, last.actor) == ("member.anonymise", now.handle, admin)
    assert last.changes == {"revoked keys": [None, "1"]}


def test_the_trail_shows_what_an_anonymous_person_did_under_the_new_name(person: User, super_admin: User) -> None:
    assert person.organization is not None
    audit("project.change", "web", by=person, organization=person.organization, changes={})
    now = anonymise(person, by=super_admin)
    page = signed_in(super_admin).get("/organizations/audit/").content.decode()
    assert now.display_name in page


def test_a_later_call_by_the_former_name_is_a_new_persons(person: User, admin: User) -> None:
    organization = person.organization
    assert organization is not None
    use(organization, 3)
    now = anonymise(person, by=admin)
    use(organization, 2)
    new = User.objects.get(organization=organization, handle_key="zebedee")
    assert new.standing is Standing.SEEN_IN_CALLS
    assert UsageEvent.objects.filter(user_id=now.pk).count() == 2
    record([call(organization=organization.slug, user=now.handle)])
    assert UsageEvent.objects.filter(user_id=now.pk).count() == 2, "nor does a call by the new name find them"


def test_nobody_becomes_an_anonymous_person(person: User, admin: User) -> None:
    organization = person.organization
    assert organization is not None
    now = anonymise(person, by=admin)
    again = invite(Guest("zebedee@quillfeather.example", Role.USER), organization, by=admin)
    as_they_are_called = invite(Guest("new@example.com", Role.USER, handle=now.handle), organization, by=admin)
    assert now.pk not in (again.pk, as_they_are_called.pk)


def test_those_who_were_merged_into_the_person_are_anonymous_too(person: User, admin: User) -> None:
    organization = person.organization
    assert organization is not None
    record([call(organization=organization.slug, user="quillfeather", metadata={"by": "quillfeather"})])
    merge(User.objects.get(handle="quillfeather"), person, by=admin)
    anonymise(person, by=admin)
    run_jobs()
    assert tables_with_names() <= MAY_STAY


def test_who_may_not(person: User, admin: User, super_admin: User, outsider: User, colleague: User) -> None:
    def refusal(whom: User, by: User | None) -> str:
        with pytest.raises(ValidationError) as refused:
            anonymise(whom, by=by)
        return str(refused.value.code)

    assert refusal(admin, admin) == "yourself"
    assert refusal(super_admin, admin) == "not_allowed"
    assert refusal(outsider, admin) == "not_allowed"
    assert refusal(person, colleague) == "not_allowed"
    assert refusal(super_admin, None) == "last_super_admin"
    assert refusal(anonymise(person, by=admin), admin) == "anonymous"


def test_the_button_asks_for_the_name_and_a_recent_password(person: User, admin: User) -> None:
    client, path = signed_in(admin), f"/organization/members/{person.pk}/anonymise/"
    assert "cannot be undone" in client.get(path).content.decode()
    assert "This is not the person" in client.post(path, {"name": "ben"}).content.decode()
    confirmed_long_ago(client)
    assert client.post(path, {"name": "zebedee.q"})["Location"].startswith("/security/confirm/")
    person.refresh_from_db()
    assert person.anonymised_at is None
    client = signed_in(admin)
    response = client.post(path, {"name": " Zebedee.Q "}, follow=True)
    page = response.content.decode()
    assert f"This is Anonymous person {person.pk} now" in page
    assert "being cleared in the background" in page
    assert "zebedee" not in page.lower()
    assert client.get(path).status_code == 403


def test_the_command_does_the_same(person: User, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("anonymise", "zebedee")
    assert f"This is Anonymous person {person.pk} from now on." in capsys.readouterr().out
    with pytest.raises(CommandError, match="Nobody has the username"):
        call_command("anonymise", "zebedee")
    with pytest.raises(CommandError, match="anonymous already"):
        call_command("anonymise", f"Anonymous person {person.pk}")


def test_a_name_that_somebody_has_is_not_taken_from_them(person: User, admin: User) -> None:
    make_user(f"Anonymous person {person.pk}")
    assert anonymise(person, by=admin).handle.startswith(f"Anonymous person {person.pk} ~")


def test_only_the_texts_of_anonymous_people_are_cleared(person: User) -> None:
    assert person.organization is not None
    use(person.organization, 3)
    assert clear_texts(person.pk) == 0
    assert not UsageEvent.objects.filter(metadata={}).exists()


def test_a_call_that_is_recorded_late_is_cleared_by_the_second_job(person: User, admin: User) -> None:
    assert person.organization is not None
    use(person.organization, 3)
    anonymise(person, by=admin)
    run_jobs()
    (second,) = jobs(task_name=ANONYMISE)
    assert second.scheduled_at is not None
    UsageEvent.objects.filter(user_id=person.pk).update(metadata={"asked by": "zebedee"})  # as a slow process would
    assert clear_texts(second.args["person_id"]) == 2
    assert "ledger_usageevent" not in tables_with_names()


def test_what_a_second_program_told_is_cleared_before_it_is_added(person: User, admin: User) -> None:
    assert person.organization is not None
    use(person.organization, 3)
    event = UsageEvent.objects.filter(user_id=person.pk)[0]
    others = UsageEvent.objects.exclude(user_id=person.pk)[0]
    told = {"metadata": {"asked by": "zebedee"}, "error_message": "zebedee may not", "model": "x"}
    for one in (event, others):
        Supplement.objects.create(
            organization=person.organization, request_id=one.request_id, told_as="other", told=told
        )
    anonymise(person, by=admin)
    clear_texts(person.pk)
    cleared = {more.request_id: more.told for more in Supplement.objects.all()}
    assert cleared[event.request_id] == {"metadata": {}, "error_message": "", "model": "x"}
    assert cleared[others.request_id] == told


def test_a_worker_that_ends_leaves_the_rest_to_the_next(
    person: User, admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert person.organization is not None
    use(person.organization)
    anonymise(person, by=admin)
    monkeypatch.setattr(anonymising, "_CLEAR", anonymising._CLEAR.replace("LIMIT 5000", "LIMIT 1"))
    with pytest.raises(StoppedError, match="1 requests"):
        clear_texts(person.pk, lambda: True)
    assert clear_texts(person.pk) == 19
    assert clear_texts(person.pk) == 0


def test_a_killed_task_goes_on(person: User, admin: User, connection: "psycopg.Connection[tuple[object, ...]]") -> None:
    assert person.organization is not None
    use(person.organization)
    anonymise(person, by=admin)
    of_person = UsageEvent.objects.filter(user_id=person.pk)
    middle = of_person.order_by("timestamp")[10]
    program = "import django; django.setup(); from ledger.upkeep.anonymising import clear_texts"
    environment = os.environ | {"DATABASE_URL": database_url(), "DJANGO_SETTINGS_MODULE": "usage_dashboard.settings"}
    with connection.transaction():
        connection.execute("SELECT FROM ledger_usageevent WHERE id = %s FOR UPDATE", [middle.pk])
        process = subprocess.Popen(
            [sys.executable, "-c", f"{program}; clear_texts({person.pk})"], cwd=ROOT, env=environment
        )
        wait_until(lambda: of_person.filter(metadata={}).exists(), 60)
        process.kill()
        process.wait()
    left = of_person.exclude(metadata={}).count()
    assert 0 < left < 20
    assert clear_texts(person.pk) == left
    assert "ledger_usageevent" not in tables_with_names()
