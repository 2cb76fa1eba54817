"""The demonstration's history: believable, always the same, resumed where it stopped, priced but for what is meant."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import call_command

from accounts.models import Organization, Role, User
from ledger.models import UsageEvent
from tests.cast import make_groups, make_user
from usage_dashboard.demo import history
from usage_dashboard.demo.people import ACME, GLOBEX, NotADemoError, create_people
from usage_dashboard.demo.scenarios import CUSTOM_MODEL

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 11, 18, 15, 0, tzinfo=UTC)  # a Wednesday
DAYS, EVENTS = 10, 2_000


class InterruptedLoadError(Exception):
    pass


def quiet(done: int, total: int) -> None:
    pass


@pytest.fixture
def people(default_organization: Organization) -> None:
    make_groups()
    create_people()
    Organization.objects.update(created_at=NOW)


def load(now: datetime = NOW) -> int:
    return history.load(DAYS, EVENTS, now, quiet)


def test_it_is_as_large_as_asked_and_looks_like_work(people: None) -> None:
    call_command("sync_prices", yes=True, stdout=StringIO())
    added = load()
    events = list(UsageEvent.objects.select_related("organization"))
    assert len(events) == added
    assert EVENTS * 0.93 < added <= EVENTS
    assert all(event.timestamp < NOW for event in events)
    by_company = Counter(event.organization.slug for event in events)
    assert by_company[ACME.slug] > by_company[GLOBEX.slug] > by_company["default"] > 0

    acme = [event for event in events if event.organization.slug == ACME.slug]
    days = Counter(event.day.weekday() for event in acme)
    assert days[5] + days[6] < days[0]
    assert sum(9 <= event.hour < 18 for event in acme) > len(acme) / 2

    errors = [event for event in events if event.status == "error"]
    assert 0.01 < len(errors) / added < 0.06
    assert all(event.error_code and event.cost_usd == 0 for event in errors)
    assert {event.operation for event in events} == {"chat", "transcription", "speech"}
    assert {"chat", "rag", "tools", "playground", "experiment"} <= {event.feature for event in events}
    assert any(event.cached_tokens for event in events)
    assert any(event.usage_breakdown for event in events)
    assert all(event.ttft_ms is not None for event in events if event.stream and event.status == "success")
    assert {event.model for event in events if event.cost_usd is None} <= {CUSTOM_MODEL}


def test_a_second_load_adds_nothing(people: None) -> None:
    assert load() > 0
    assert load() == 0
    assert load(NOW + timedelta(hours=1)) == 0


def test_it_is_extended_by_the_days_since(people: None) -> None:
    load()
    before = UsageEvent.objects.count()
    last = UsageEvent.objects.latest("id").pk
    later = NOW + timedelta(days=2)
    added = load(later)
    newest = UsageEvent.objects.latest("timestamp").timestamp
    assert UsageEvent.objects.count() == before + added
    assert EVENTS / DAYS < added < 5 * EVENTS / DAYS
    assert later - newest < history.RECENT
    new = UsageEvent.objects.filter(id__gt=last)
    assert not new.filter(timestamp__lt=NOW - timedelta(hours=1)).exists()


def test_an_interrupted_load_is_finished_by_the_next(people: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "BATCH_SIZE", 150)

    def stop_soon(done: int, total: int) -> None:
        if done > 600:
            raise InterruptedLoadError

    with pytest.raises(InterruptedLoadError):
        history.load(DAYS, EVENTS, NOW, stop_soon)
    first = UsageEvent.objects.count()
    second = load()
    assert 0 < first < first + second
    sources = list(history._sources())
    straight = history.Window(NOW, DAYS, EVENTS)
    expected = {
        (source.organization.pk, call.request_id)
        for source in sources
        for part in [history._Missing(history.Source(source.slug, source.organization, ""), straight, NOW)]
        for day in part.days
        for call in part.calls(day)
    }
    assert set(UsageEvent.objects.values_list("organization_id", "request_id")) == expected


def test_people_are_made_once_with_their_roles(people: None) -> None:
    create_people()
    assert User.objects.get(username="sara").role is Role.SUPER_ADMIN
    for company in (ACME, GLOBEX):
        organization = Organization.objects.get(slug=company.slug)
        assert [user.role for user in organization.users.all()].count(Role.ADMIN) == 1
        assert organization.users.count() == len(company.people)
        assert organization.projects.count() == len(company.projects)


def test_only_printed_logins_can_sign_in(people: None) -> None:
    able = {user.username for user in User.objects.all() if user.has_usable_password()}
    assert able == {login.username for login in create_people()}


def test_a_changed_password_stays(people: None) -> None:
    user = User.objects.get(username="sara")
    user.set_password("my own")
    user.save()
    create_people()
    user.refresh_from_db()
    assert user.check_password("my own")


def test_a_database_with_other_people_is_left_alone(default_organization: Organization) -> None:
    make_user("somebody", Role.SUPER_ADMIN)
    with pytest.raises(NotADemoError):
        create_people()
    assert User.objects.count() == 1
