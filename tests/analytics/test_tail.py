"""Reports are exact whatever part of the events is folded: no figure changes with a fold, not even in its middle."""

import random
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import Organization, User
from accounts.viewer import Viewer
from analytics import reports
from analytics.pages.overview.questions import OVERVIEW_QUESTIONS, deferred_questions
from analytics.reports import Log, Report, Sessions, models_used, report, session_averages, session_of, snapshot
from analytics.reports.direction import NEWER, OLDER
from analytics.reports.log_days import Passage, counts_that_fill
from analytics.reports.selection import Dimension, Selection
from analytics.reports.session_order import sorts_of
from groq_client.call import Call
from ledger.models import Rollup, Session, Tail, UsageEvent
from ledger.recording.pool import ledger_connection
from ledger.recording.record import record
from ledger.rollups import fold
from ledger.upkeep.hold import hold_sums, holding
from pricing.models import Price
from tests.analytics.test_reports import DIMENSIONS, EVERYTHING, RANGE, START, mixed_calls, value_of
from tests.cast import signed_in
from tests.ledger.calls import call, summary, summed
from tests.ledger.folding import fold_now

pytestmark = pytest.mark.django_db(transaction=True)

WHOLE = Selection(START.date() - timedelta(days=3), START.date() + timedelta(days=30))
FEW_DAYS = Selection(date(2026, 10, 25), date(2026, 10, 27))


@pytest.fixture
def everybody(acme: Organization, globex: Organization, admin: User, user: User) -> list[Viewer]:
    """A Super Admin, an Admin and a User, all of whom have calls."""
    Price.objects.create(
        model="priced/a", input_usd_per_1k_tokens=Decimal("0.00015"), output_usd_per_1k_tokens=Decimal("0.0006"),
        effective_from=START - timedelta(days=1),
    )  # fmt: skip
    return [EVERYTHING, Viewer.of(admin), Viewer.of(user)]


def calls(count: int, seed: int) -> list[Call]:
    """Calls of both organizations. Half of them belong to one of forty conversations, most with several people."""
    dice = random.Random(seed)
    made = mixed_calls(count, ["acme", "globex"], seed)
    names = (dice.choice(["", f"s{dice.randrange(40)}"]) for _ in made)
    return [
        replace(one, attribution=replace(one.attribution, session_id=name))
        for one, name in zip(made, names, strict=True)
    ]


def selections(viewer: Viewer) -> Iterator[Selection]:
    """Ranges with and without filters, such as cubes of all organizations, of each one, and only the events have."""
    yield from (WHOLE, RANGE, FEW_DAYS)
    chosen: list[dict[Dimension, tuple[Any, ...]]] = [
        {"model": ("priced/a", "unpriced/c")}, {"project_id": (0,)}, {"feature": ("chat",)}, {"status": ("error",)},
        {"expert_id": ("", "nurse")}, {"template_id": ("t1",), "feature": ("tools",)}, {"session_id": ("s1", "s2")},
        {"provider": ("nobody",)},
    ]  # fmt: skip
    if viewer.user_ids is None:
        ann = User.objects.get(handle="ann", organization__slug="acme")
        chosen += [{"user_id": (ann.pk, 0)}, {"user_id": (ann.pk,), "model": ("priced/a",)}]
    if viewer.organization_ids is None:
        chosen += [{"organization_id": (Organization.objects.get(slug="globex").pk,)}]
    for one in chosen:
        yield Selection(RANGE.first_day, RANGE.last_day, one)


def figures(viewer: Viewer) -> dict[str, Any]:
    """All that reports say to a viewer, by the name of the question."""
    found: dict[str, Any] = {
        "first day": reports.first_day(viewer),
        "number": reports.number_recorded(viewer),
        "averages": session_averages(viewer),
        "sessions of events": [_values(session_of(viewer, event)) for event in _events(viewer, WHOLE)],
    }
    for number, selection in enumerate(selections(viewer)):
        found |= {f"{number} {name}": answer for name, answer in _of_report(viewer, selection).items()}
        found |= {f"{number} {name}": answer for name, answer in _of_lists(viewer, selection).items()}
    return found


def _events(viewer: Viewer, selection: Selection) -> list[UsageEvent]:
    return list(Report(viewer, selection).events().order_by("pk"))


def _values(session: Any) -> Any:
    return session and {field.attname: getattr(session, field.attname) for field in Session._meta.concrete_fields}


def _of_report(viewer: Viewer, selection: Selection) -> dict[str, Any]:
    one = Report(viewer, selection, (*OVERVIEW_QUESTIONS, *deferred_questions("hour")), compares=True)
    return {
        "totals": one.totals(),
        "previous": one.previous_totals(),
        "days": one.series("day"),
        "hours": one.series("hour"),
        "week": one.by_weekday_and_hour(),
        "percentiles": one.latency_percentiles(),
        "latency": one.latency_series("day"),
        "models": models_used(Report(viewer, selection)),
        "first totals": Report(viewer, selection).totals(),
        **{f"by {dimension}": one.breakdown(dimension) for dimension in DIMENSIONS},
        **{f"choices of {dimension}": one.choices(dimension) for dimension in DIMENSIONS},
    }


def _of_lists(viewer: Viewer, selection: Selection) -> dict[str, Any]:
    start = START + timedelta(days=9)
    passages = [Passage(viewer, selection, moment, way) for moment in (None, start) for way in (OLDER, NEWER)]
    limits: list[dict[str, Any]] = [{}]
    if viewer.sees_cost:
        limits.append({"cost_min": Decimal("0.001"), "cost_max": Decimal("0.003")})
    return {
        "log": [event.pk for event in _all_pages(Log(viewer, selection))],
        "days of the log": [counts_that_fill(60, "requests", passage) for passage in passages],
        **{
            f"sessions by {sort.key} {limit}": _all_sessions(Sessions(viewer, selection, sort, **limit))
            for sort in sorts_of(viewer)
            for limit in limits
        },
    }


def _all_pages(log: Log) -> Iterator[UsageEvent]:
    page = log.first()
    yield from page.events
    while page.older:
        page = log.before(page.older)
        yield from page.events


def _all_sessions(sessions: Sessions) -> list[Any]:
    page = sessions.page()
    found = [*page.conversations]
    while page.next:
        page = sessions.page(page.next)
        found += page.conversations
    return found


def fold_one_organization() -> None:
    acme = Organization.objects.get(slug="acme").pk
    with holding(acme):
        hold_sums(acme)


def fold_a_hundred(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched, ledger_connection() as connection:
        patched.setattr(fold, "AT_ONCE", 100)
        assert fold.fold_some(connection) == 100


def test_no_figure_changes_with_a_fold(everybody: list[Viewer], monkeypatch: pytest.MonkeyPatch) -> None:
    """All events in the tail; a hundred of them folded, so that conversations are in both; then one organization; then
    all. The histogram answers for percentiles, as it does for many requests."""
    monkeypatch.setattr(report, "EXACT_PERCENTILES_UP_TO", 0)
    record(calls(300, seed=1))
    expected = [figures(viewer) for viewer in everybody]
    fold_a_hundred(monkeypatch)
    assert [figures(viewer) for viewer in everybody] == expected
    fold_one_organization()
    assert 0 < Tail.objects.count() < 200
    assert [figures(viewer) for viewer in everybody] == expected
    fold_now()
    assert not Tail.objects.exists()
    assert [figures(viewer) for viewer in everybody] == expected


def test_figures_of_a_mixed_ledger_are_those_of_its_events(everybody: list[Viewer]) -> None:
    record(calls(250, seed=1))
    fold_now()
    record(calls(250, seed=2))
    for viewer in everybody:
        for selection in selections(viewer):
            events, one = _events(viewer, selection), Report(viewer, selection)
            assert one.totals() == summed(events, with_cost=viewer.sees_cost)
            for dimension in DIMENSIONS:
                values = {value_of(event, dimension) for event in events}
                assert one.sums_by(dimension) == {
                    value: summary(
                        (event for event in events if value_of(event, dimension) == value), with_cost=viewer.sees_cost
                    )
                    for value in values
                }


def test_a_fold_in_the_middle_of_a_page_changes_no_figure(everybody: list[Viewer]) -> None:
    """The fold commits after the page's first question and before its others."""
    for number, viewer in enumerate(everybody):
        record(calls(60, seed=number))
        expected = figures(viewer)
        with snapshot():
            Report(viewer, WHOLE).totals()
            assert fold_now() == 60
            assert figures(viewer) == expected


def test_an_open_page_refreshes_for_a_new_event_and_not_for_a_fold(acme: Organization, admin: User) -> None:
    refresh = {"HX-Request": "true", "HX-Request-Type": "partial", "HX-Target": "div#results"}
    record([call(organization="acme")])
    client = signed_in(admin)

    def seen() -> str:
        text = client.get("/", headers=refresh).content.decode().replace("&quot;", '"')
        (found,) = re.findall(r'"X-Seen": "([^"]+)"', text)
        return str(found)

    before = seen()
    assert fold_now() == 1
    assert client.get("/", headers=refresh | {"X-Seen": before}).status_code == 204
    record([call(organization="globex")])
    assert client.get("/", headers=refresh | {"X-Seen": before}).status_code == 204
    record([call(organization="acme")])
    assert client.get("/", headers=refresh | {"X-Seen": before}).status_code == 200


def test_a_super_admin_reads_the_sums_of_all_organizations(everybody: list[Viewer]) -> None:
    """The sums of single organizations are not even looked at."""
    record(calls(50, seed=1))
    fold_now()
    expected = Report(EVERYTHING, WHOLE).totals(), Report(EVERYTHING, WHOLE).breakdown("model")
    Rollup.objects.exclude(organization_id=0).delete()
    assert (Report(EVERYTHING, WHOLE).totals(), Report(EVERYTHING, WHOLE).breakdown("model")) == expected
    assert reports.number_recorded(EVERYTHING) == 50
    assert reports.first_day(EVERYTHING) is not None
