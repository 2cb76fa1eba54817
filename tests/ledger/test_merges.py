"""Merging two people or projects: all their events, sessions and sums become those of one."""

import time
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.merging import MERGE, still_moving
from accounts.models import AuditRecord, Organization, Project, Role, User
from accounts.roles import set_role
from ledger.citus import COLUMN, TABLES
from ledger.models import Rollup, Session, UsageEvent
from ledger.recording.record import record
from ledger.rollups.fold import LOCK
from ledger.upkeep import merges
from ledger.upkeep.merges import KINDS, extent, merge, move
from ledger.upkeep.reconciliation import reconcile
from ledger.upkeep.retention import delete_expired
from tests.cast import connect, make_user, signed_in
from tests.jobs import forget_jobs, jobs, run_jobs
from tests.ledger.calls import NOON, call, summed
from tests.ledger.exact import wrong_sums
from tests.ledger.folding import fold_now
from tests.ledger.recording_meanwhile import recording_meanwhile
from tests.test_citus_schema import named_organizations

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _no_jobs(transactional_db: None) -> Any:
    forget_jobs()
    yield
    forget_jobs()


def use(organization: Organization, count: int = 40) -> None:
    """Record calls over some days by ann, ben and no person, in sessions with equal ids, for two projects."""
    record(
        call(
            organization=organization.slug,
            at=NOON + timedelta(hours=7 * n),
            user=("ann", "ben", "")[n % 3],
            project=("web", "shop")[n % 2],
            session_id=("one", "two", "")[n // 3 % 3],
            latency_ms=100 + 37 * n,
            expert_id=f"e{n % 5}",
        )
        for n in range(count)
    )


def the(model: type[User] | type[Project], name: str) -> Any:
    return model._default_manager.get(**{model.called: name})


def pair(kind: str) -> tuple[Any, Any]:
    model = KINDS[kind].model
    return (the(model, "ben"), the(model, "ann")) if kind == "handle" else (the(model, "shop"), the(model, "web"))


def everything() -> list[list[dict[str, Any]]]:
    """All rows of all sums, and all events without their ids."""
    columns = ("request_id", "user_id", "project_id", "day", "session_id", "cost_usd")
    rollups, sessions = Rollup.objects.order_by("pk").values(), Session.objects.order_by("pk").values()
    return [list(rollups), list(sessions), list(UsageEvent.objects.order_by("request_id").values(*columns))]


@pytest.mark.parametrize("kind", KINDS)
def test_all_figures_are_as_if_there_had_been_one_from_the_start(
    kind: str, acme: Organization, globex: Organization, admin: User
) -> None:
    use(acme)
    use(globex)
    away, kept = (type(one).objects.get(organization=acme, **{kind: getattr(one, kind)}) for one in pair_of(kind, acme))
    mine = set(UsageEvent.objects.filter(**{KINDS[kind].column: away.pk}).values_list("pk", flat=True))
    total = summed(UsageEvent.objects.all())
    assert merge(away, kept, by=admin)
    assert set(UsageEvent.objects.filter(pk__in=mine).values_list(KINDS[kind].column, flat=True)) == {kept.pk}
    assert summed(UsageEvent.objects.all()) == total
    assert reconcile().drifts == []
    assert not Rollup.objects.filter(**{KINDS[kind].column: away.pk}).exists()
    before = everything()
    assert move(KINDS[kind], away.pk) == 0
    assert everything() == before


def pair_of(kind: str, organization: Organization) -> tuple[Any, Any]:
    names = {"handle": ("ben", "ann"), "slug": ("shop", "web")}[kind]
    model = KINDS[kind].model
    one, other = (model._default_manager.get(organization=organization, **{kind: name}) for name in names)
    return one, other


@pytest.mark.parametrize("kind", KINDS)
def test_sums_of_days_whose_events_are_gone_follow_too(kind: str, acme: Organization, admin: User) -> None:
    use(acme)
    delete_expired(acme.pk, NOON.date() + timedelta(days=5))
    assert 0 < UsageEvent.objects.count() < 40
    away, kept = pair(kind)
    column = KINDS[kind].column
    cube = KINDS[kind].own_cube
    both = Rollup.objects.filter(cube=cube, **{f"{column}__in": [away.pk, kept.pk]})
    requests = sum(both.values_list("requests", flat=True))
    sessions = sum(Session.objects.filter(user_id__in=[away.pk, kept.pk]).values_list("requests", flat=True))
    assert merge(away, kept, by=admin)
    assert sum(both.filter(**{column: kept.pk}).values_list("requests", flat=True)) == requests
    if kind == "handle":
        assert sum(Session.objects.filter(user_id=kept.pk).values_list("requests", flat=True)) == sessions
        assert not Session.objects.filter(user_id=away.pk).exists()
    else:
        assert not Session.objects.filter(project_ids__contains=[away.pk]).exists()
    assert reconcile().drifts == []


def test_a_preview_says_what_will_change(acme: Organization, admin: User) -> None:
    use(acme)
    away, kept = pair("handle")
    found = extent(away, kept)
    events = UsageEvent.objects.filter(user=away)
    assert found.requests == found.unpriced == events.count()
    assert found.days == len(set(events.values_list("day", flat=True)))
    assert (found.sessions, found.shared_sessions) == (2, 2)
    shop, web = pair("slug")
    of_project = extent(shop, web)
    fold_now()
    assert (extent(away, kept), extent(shop, web)) == (found, of_project), "what is in the tail counts as well"
    assert extent(shop, web).sessions == Session.objects.filter(project_ids__contains=[shop.pk]).count()


@pytest.mark.parametrize("kind", KINDS)
def test_much_is_moved_in_the_background(
    kind: str, acme: Organization, admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merges, "AT_ONCE", 5)
    use(acme)
    away, kept = pair(kind)
    before = everything()
    assert not merge(away, kept, by=admin)
    assert everything() == before
    assert still_moving(kept) == [away.display_name]
    assert len(jobs(task_name=MERGE)) == 2
    run_jobs()
    assert not UsageEvent.objects.filter(**{KINDS[kind].column: away.pk}).exists()
    assert still_moving(kept) == []
    assert reconcile().drifts == []
    assert [job.args["is_second"] for job in jobs(task_name=MERGE)] == [True]


def test_a_worker_that_is_killed_has_moved_all_or_nothing(
    acme: Organization, admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merges, "AT_ONCE", 5)
    use(acme)
    away, kept = pair("handle")
    merge(away, kept, by=admin)
    before = everything()
    with monkeypatch.context() as patched:
        patched.setattr(merges, "_move_rows", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            move(KINDS["handle"], away.pk)
    assert everything() == before
    assert move(KINDS["handle"], away.pk) > 0
    assert reconcile().drifts == []


def test_what_goes_on_being_recorded_lands_on_the_one_that_stays(acme: Organization, admin: User) -> None:
    use(acme)
    away, kept = pair("handle")
    with recording_meanwhile([acme], NOON) as written:
        for _ in range(3):  # some calls are recorded before the merge, others during it
            reconcile()
        merge(away, kept, by=admin)
        after = len(written)
        patience = time.monotonic() + 30
        while len(written) < after + 20 and time.monotonic() < patience:
            time.sleep(0.001)
    move(KINDS["handle"], away.pk)  # calls whose name was resolved before the merge
    assert UsageEvent.objects.count() == 40 + len(written)
    assert not UsageEvent.objects.filter(user=away).exists()
    assert not Session.objects.filter(user_id=away.pk).exists()
    assert reconcile().drifts == []


def test_somebody_who_is_merged_on_takes_along_all_that_came(acme: Organization, admin: User) -> None:
    use(acme)
    record([call(organization="acme", user="cid")])
    ben, ann = pair("handle")
    cid = the(User, "cid")
    merge(ben, ann, by=admin)
    merge(ann, cid, by=admin)
    ben.refresh_from_db()
    assert ben.merged_into == cid
    assert sorted(alias.name for alias in cid.aliases.all()) == ["ann", "ben"]
    record([call(organization="acme", user=name) for name in ("ANN", "Ben", "cid")])
    assert set(UsageEvent.objects.exclude(user=None).values_list("user", flat=True)) == {cid.pk}
    assert reconcile().drifts == []


def test_the_account_is_closed_and_the_trail_says_so(acme: Organization, admin: User, user: User) -> None:
    away = make_user("ann.smith", Role.ADMIN, acme)
    theirs = signed_in(away)
    merge(away, user, by=admin)
    away.refresh_from_db()
    assert (away.is_active, away.has_usable_password(), away.merged_into) == (False, False, user)
    assert theirs.get("/my-usage/").status_code == 302
    user.refresh_from_db()
    assert (user.role, user.is_active) == (Role.USER, True)
    entry = AuditRecord.objects.get(action="member.merge")
    assert (entry.subject, entry.actor, entry.organization) == ("ann.smith", admin, acme)
    assert entry.changes["merged into"] == [None, "ann"]
    assert entry.changes["active"] == ["yes", "no"]


def test_who_may_not_be_merged(acme: Organization, admin: User, user: User, outsider: User, super_admin: User) -> None:
    chief = make_user("chief", Role.SUPER_ADMIN, acme)
    refused = (
        (admin, user, admin, "yourself"),
        (user, user, admin, "same"),
        (user, outsider, super_admin, "other_organization"),
        (chief, user, admin, "not_allowed"),
        (user, chief, admin, "not_allowed"),
    )
    for away, kept, by, code in refused:
        with pytest.raises(ValidationError) as caught:
            merge(away, kept, by=by)
        assert caught.value.code == code
    set_role(super_admin, Role.USER)
    with pytest.raises(ValidationError, match="last Super Admin"):
        merge(chief, user, by=make_deputy(acme))
    assert not AuditRecord.objects.filter(action="member.merge").exists()


def test_nobody_waits_long_for_what_is_done_in_the_background(
    acme: Organization, admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merges, "LOCK_TIMEOUT", "10ms")
    use(acme)
    with connect() as job, job.transaction():
        job.execute("SELECT id FROM accounts_organization WHERE id = %s FOR NO KEY UPDATE", [acme.pk])
        with pytest.raises(ValidationError, match="Please try again in a few minutes"):
            merge(*pair("handle"), by=admin)
    assert merge(*pair("handle"), by=admin)


def test_a_page_waits_no_longer_for_whoever_changes_sums(
    acme: Organization, admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names are merged, and what was recorded follows in the background."""
    monkeypatch.setattr(merges, "LOCK_TIMEOUT", "10ms")
    use(acme)
    away, kept = pair("handle")
    before = everything()
    with connect() as other, other.transaction():
        other.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        assert not merge(away, kept, by=admin)
    assert everything() == before
    assert len(jobs(task_name=MERGE)) == 1
    assert move(KINDS["handle"], away.pk) > 0
    assert not UsageEvent.objects.filter(user=away).exists()
    assert wrong_sums() == []


def make_deputy(organization: Organization) -> User:
    """A deactivated Super Admin. The returned object still has the role, because it was read before."""
    deputy = make_user("deputy", Role.SUPER_ADMIN, organization)
    assert deputy.role is Role.SUPER_ADMIN
    User.objects.filter(pk=deputy.pk).update(is_active=False)
    return deputy


def test_a_merge_names_one_organization_for_each_table_and_no_table_of_the_coordinator(
    acme: Organization, admin: User
) -> None:
    use(acme)
    with CaptureQueriesContext(connection) as captured:
        for kind in KINDS:
            merge(*pair(kind), by=admin)
    sent = [query["sql"] for query in captured.captured_queries if any(name in query["sql"] for name in TABLES)]
    assert any("UPDATE ledger_usageevent" in sql for sql in sent)
    for sql in sent:
        if "INSERT INTO" not in sql:  # an INSERT has the organization among its VALUES
            assert named_organizations(sql) == {str(acme.pk)}, sql
        assert sql.count(COLUMN) >= sum(sql.count(f"FROM {name}") + sql.count(f"UPDATE {name}") for name in TABLES)
        assert "accounts_" not in sql
