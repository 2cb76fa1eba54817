"""The pages say where detail ends, and no figure is silently of less than it says."""

from datetime import date, timedelta

import pytest

from accounts.models import Organization, User
from accounts.viewer import Viewer
from analytics.reports import Log, LogCursor, Report, models_used
from analytics.reports.selection import Selection
from ledger.recording.record import record
from ledger.upkeep.retention import delete_expired
from tests.cast import signed_in
from tests.ledger.calls import NOON, call

pytestmark = pytest.mark.django_db(transaction=True)

END = date(2026, 11, 2)
BEFORE = f"range=custom&from={END - timedelta(days=9)}&to={END}"
SAID = "before 2 Nov 2026"
RANGE = Selection(END - timedelta(days=9), END)


@pytest.fixture
def shortened(acme: Organization, globex: Organization, user: User) -> Organization:
    """Two models and projects; what is before the last day is kept as sums only. Another organization keeps all."""
    who = {"organization": acme.slug, "user": "ann", "session_id": "s"}
    for ago, count in ((0, 2), (3, 4), (5, 60)):
        at = NOON - timedelta(days=ago)
        record([call("a", at=at + timedelta(seconds=n), project="web", **who) for n in range(count)])
    record([call("old", at=NOON - timedelta(days=3), project="web", **who)])
    record([call("a", at=NOON - timedelta(days=3), organization=globex.slug)])
    delete_expired(acme.pk, END)
    return acme


def page(person: User, path: str) -> str:
    response = signed_in(person).get(path)
    assert response.status_code == 200
    return str(response.content.decode())


@pytest.mark.parametrize("path", ["/requests/", "/sessions/"])
def test_lists_of_requests_say_where_they_end(shortened: Organization, admin: User, path: str) -> None:
    assert f"Requests {SAID} are kept as sums only." in page(admin, f"{path}?{BEFORE}")
    assert SAID not in page(admin, f"{path}?range=custom&from={END}&to={END}")


def test_one_who_sees_all_organizations_is_told_whose(
    shortened: Organization, globex: Organization, super_admin: User
) -> None:
    assert f"Requests of Acme {SAID} are kept as sums only." in page(super_admin, f"/requests/?{BEFORE}")
    assert SAID not in page(super_admin, f"/requests/?{BEFORE}&organization={globex.pk}")
    Organization.objects.filter(pk=globex.pk).update(retained_from=END - timedelta(days=1))
    said = f"Requests of Acme {SAID} and of Globex before 1 Nov 2026 are kept as sums only."
    assert said in page(super_admin, f"/requests/?{BEFORE}")


def test_others_are_told_nothing_of_it(shortened: Organization, outsider: User) -> None:
    assert SAID not in page(outsider, f"/requests/?{BEFORE}")


def test_a_request_that_is_not_found_may_be_gone(shortened: Organization, admin: User) -> None:
    assert SAID in page(admin, "/requests/?q=nothing")


@pytest.mark.parametrize("path", ["/", "/models/", "/charts/"])
def test_figures_from_sums_are_whole_and_say_nothing(shortened: Organization, admin: User, path: str) -> None:
    assert SAID not in page(admin, f"{path}?{BEFORE}&grain=day")


@pytest.mark.parametrize("path", ["/", "/models/"])
def test_figures_from_requests_say_what_they_leave_out(shortened: Organization, admin: User, path: str) -> None:
    """No cube knows sessions."""
    one = "grain=day&session=s"
    assert f"{SAID} are kept as sums only. With these filters" in page(admin, f"{path}?{BEFORE}&{one}")
    assert SAID not in page(admin, f"{path}?range=custom&from={END}&to={END}&{one}")


def test_some_figures_may_leave_out_what_the_totals_have(shortened: Organization, user: User) -> None:
    """A cube knows which models one person used; only requests tell how long they took."""
    overview = signed_in(user).get(f"/?{BEFORE}&grain=day")
    assert SAID not in overview.content.decode()
    assert overview.context["totals"].requests == 67
    assert (overview.context["top_model"]["totals"].requests, overview.context["top_model"]["share"]) == (66, 66 / 67)
    assert "Charts that can only be told from requests" in page(user, f"/charts/?{BEFORE}&grain=day")
    assert f"{SAID} are kept as sums only. Some figures" in page(user, f"/models/?{BEFORE}")
    mine = signed_in(user).get("/my-usage/")
    assert SAID not in mine.content.decode()
    assert [period.totals.requests for period in mine.context["periods"]][-1] == 67


def test_percentiles_are_never_those_of_the_rest(shortened: Organization, admin: User) -> None:
    """Few requests are counted one by one elsewhere; here the histogram knows them all."""
    report = Report(Viewer.of(admin), RANGE)
    assert report.totals().requests == 67
    assert report.latency_percentiles() is not None
    assert not report.leaves_out
    gone = Report(Viewer.of(admin), Selection(RANGE.first_day, END - timedelta(days=1), {"project_id": (_web(),)}))
    assert gone.totals().requests == 65
    assert gone.latency_percentiles() is None


def _web() -> int:
    from accounts.models import Project

    return int(Project.objects.get(slug="web").pk)


def test_a_model_without_requests_has_no_percentiles(shortened: Organization, admin: User) -> None:
    report = Report(Viewer.of(admin), Selection(RANGE.first_day, END, {"project_id": (_web(),)}))
    used = {usage.model: (usage.totals.requests, usage.p50) for usage in models_used(report)}
    assert used == {"a": (66, 250.0), "old": (1, None)}
    assert report.leaves_out == "some"
    assert "Some figures" in page(admin, f"/models/?{BEFORE}&project={_web()}")


def test_nothing_is_compared_with_a_period_that_is_gone(shortened: Organization, admin: User) -> None:
    viewer, day = Viewer.of(admin), Selection(END, END, {"model": ("a",)})
    previous = Report(viewer, day).previous_totals()
    assert previous is not None, "sums know it"
    session = Selection(END, END, {"session_id": ("s",)})
    assert Report(viewer, session).previous_totals() is None


def test_the_log_finds_what_is_newer_than_what_is_gone(shortened: Organization, admin: User) -> None:
    """Sixty requests are known to have been on one day, none of which is there."""
    record([call(organization=shortened.slug, at=NOON + timedelta(seconds=n)) for n in range(100, 170)])
    log = Log(Viewer.of(admin), RANGE)
    page = log.after(LogCursor(NOON - timedelta(days=9), 0))
    assert page.events[-1].timestamp == NOON
    assert len(page.events) == 50


def test_the_log_finds_what_is_older_in_another_organization(
    shortened: Organization, globex: Organization, super_admin: User
) -> None:
    record([call(organization=globex.slug, at=NOON - timedelta(days=20, seconds=n)) for n in range(60)])
    page = Log(Viewer.of(super_admin), Selection(END - timedelta(days=30), END)).first()
    assert len(page.events) == 50


def test_a_request_tells_how_long_it_is_kept(shortened: Organization, admin: User) -> None:
    event = Log(Viewer.of(admin), RANGE).first().events[0]
    path = f"/requests/{event.organization_id}-{event.pk}/"
    assert "Kept in detail until" not in page(admin, path)
    Organization.objects.filter(pk=shortened.pk).update(retention_days=30)
    assert "2 Dec 2026" in page(admin, path)
