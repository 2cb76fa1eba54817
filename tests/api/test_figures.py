"""Every figure of the API is that of a plain sum over the events that the caller may see."""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import Organization, Project, User
from api import figures
from ledger.models import UsageEvent
from ledger.upkeep.merges import merge
from tests.api.asking import Asker, key, member, person
from tests.ledger.calls import summed

pytestmark = pytest.mark.django_db(transaction=True)

RANGE = {"from_": "2026-10-24", "to": "2026-11-04"}
Sees = Callable[[UsageEvent], bool]


def in_range(event: UsageEvent) -> bool:
    return "2026-10-24" <= event.day.isoformat() <= "2026-11-04"


def assert_sums(told: Any, events: Iterable[UsageEvent], *, with_cost: bool) -> None:
    """The members of an answer that are sums."""
    sums = summed(list(events), with_cost=with_cost)
    assert told["requests"] == sums.requests
    assert told["errors"] == sums.errors
    assert told["timeouts"] == sums.timeouts
    assert told["successes"] == sums.requests - sums.errors
    assert told["total_tokens"] == sums.total_tokens
    assert told["avg_latency_ms"] == sums.avg_latency_ms
    if with_cost:
        assert Decimal(told["cost_usd"]) == sums.cost_usd
        assert told["unpriced"] == sums.unpriced
    else:
        assert not {"cost_usd", "unpriced", "tool_cost_usd"} & told.keys()
    if "input_tokens" in told:
        names = ("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens", "characters", "estimated")
        assert [told[name] for name in names] == [getattr(sums, name) for name in names]
        assert Decimal(told["audio_seconds"]) == sums.audio_seconds
        assert (told["latency_ms_min"], told["latency_ms_max"]) == (sums.latency_ms_min, sums.latency_ms_max)


def assert_rows(rows: Any, events: list[UsageEvent], value_of: Callable[[UsageEvent], Any], *, with_cost: bool) -> None:
    assert {row["value"] for row in rows} == {value_of(event) for event in events}
    for row in rows:
        assert_sums(row, (e for e in events if value_of(e) == row["value"]), with_cost=with_cost)


def assert_every_figure(asker: Asker, ledger: list[UsageEvent], sees: Sees, *, with_cost: bool = True) -> None:
    hits = [event for event in ledger if in_range(event) and sees(event)]
    assert hits
    usage = asker.ask("usage", **RANGE, compare="previous")
    assert_sums(usage, hits, with_cost=with_cost)
    earlier = [e for e in ledger if sees(e) and "2026-10-12" <= e.day.isoformat() <= "2026-10-23"]
    assert_sums(usage["previous"]["totals"], earlier, with_cost=with_cost)
    assert_rows(usage["by_provider"], hits, lambda e: e.provider, with_cost=with_cost)
    assert_rows(usage["popular_models"], hits, lambda e: e.model, with_cost=with_cost)
    assert len(usage["trend"]) == 12
    for day in usage["trend"]:
        assert_sums(day, (e for e in hits if e.day.isoformat() == day["day"]), with_cost=with_cost)
    for period in ("hour", "day", "week", "month"):
        costs = asker.ask("costs", **RANGE, group_by=period)
        assert sum(point["requests"] for point in costs["points"]) == len(hits)
        if with_cost:
            assert sum(Decimal(point["cost_usd"]) for point in costs["points"]) == Decimal(usage["cost_usd"])
    weeks = asker.ask("costs", **RANGE, group_by="week")["points"]
    assert [week["period"] for week in weeks] == ["2026-10-19", "2026-10-26", "2026-11-02"]
    assert_rows(asker.ask("popular-models", **RANGE)["rows"], hits, lambda e: e.model, with_cost=with_cost)
    people = asker.ask("top-users", **RANGE, by="tokens", limit=1_000)["rows"]
    assert_rows(people, hits, lambda e: e.user_id or 0, with_cost=with_cost)
    assert [row["total_tokens"] for row in people] == sorted((row["total_tokens"] for row in people), reverse=True)
    found = asker.ask("breakdown", **RANGE, by="model", then="feature", limit=1_000)
    pairs = {tuple(part["value"] for part in row["key"]): row for row in found["rows"]}
    assert set(pairs) == {(e.model, e.feature) for e in hits}
    assert found["number"] == len(pairs)
    for pair, row in pairs.items():
        assert_sums(row, (e for e in hits if (e.model, e.feature) == pair), with_cost=with_cost)
    series = asker.ask("series", **RANGE, by="model")
    for line in series["series"]:
        assert sum(point["requests"] for point in line["points"]) == sum(e.model == line["value"] for e in hits)
    assert sum(point["requests"] for point in series["total"]) == len(hits)
    performance = asker.ask("performance", **RANGE)
    assert_sums(performance, hits, with_cost=with_cost)
    for model in performance["models"]:
        assert_sums(model, (e for e in hits if e.model == model["model"]), with_cost=with_cost)
    assert_sums(asker.ask("providers/groq", **RANGE), hits, with_cost=with_cost)


def test_a_super_admin_reads_everything(ledger: list[UsageEvent], super_admin: User) -> None:
    assert_every_figure(person(super_admin), ledger, lambda event: True)


def test_an_admin_reads_the_organization(ledger: list[UsageEvent], admin: User, globex: Organization) -> None:
    assert_every_figure(person(admin), ledger, lambda event: event.organization_id == admin.organization_id)
    assert_sums(
        person(admin).ask("organizations/acme/usage", **RANGE),
        (e for e in ledger if in_range(e) and e.organization_id == admin.organization_id),
        with_cost=True,
    )
    person(admin).ask("organizations/globex/usage", 404, **RANGE)


def test_a_user_reads_the_own_share_and_no_cost(ledger: list[UsageEvent], acme: Organization) -> None:
    ann = member(acme, "ann")
    assert_every_figure(person(ann), ledger, lambda event: event.user_id == ann.pk, with_cost=False)
    refused = person(ann).ask("top-users", 400, by="cost")
    assert refused["parameter"] == "by"
    person(ann).ask("admin/usage", 403)


def test_a_key_reads_its_organization(ledger: list[UsageEvent], globex: Organization) -> None:
    assert_every_figure(key(globex), ledger, lambda event: event.organization_id == globex.pk)


def test_a_key_of_a_project_reads_the_project(ledger: list[UsageEvent], acme: Organization) -> None:
    project = Project.objects.get(organization=acme, slug="rag")
    asker = key(acme, project=project)
    assert_every_figure(asker, ledger, lambda event: event.project_id == project.pk)
    assert asker.ask("usage", 400, project=project.pk)["parameter"] == "project"


def test_a_key_of_a_person_reads_what_the_person_sees(ledger: list[UsageEvent], acme: Organization) -> None:
    ann = member(acme, "ann")
    assert_every_figure(key(acme, user=ann), ledger, lambda event: event.user_id == ann.pk, with_cost=False)


def test_one_person(ledger: list[UsageEvent], admin: User, acme: Organization, globex: Organization) -> None:
    ann, eve = (User.objects.get(organization=where, handle="ann") for where in (acme, globex))
    found = person(admin).ask(f"users/{ann.pk}", **RANGE)
    assert_sums(found, (e for e in ledger if in_range(e) and e.user_id == ann.pk), with_cost=True)
    person(admin).ask(f"users/{eve.pk}", 404)


def test_somebody_who_was_merged_is_the_one_who_has_the_calls(
    ledger: list[UsageEvent], admin: User, super_admin: User, acme: Organization
) -> None:
    ann, ben = (User.objects.get(organization=acme, handle=name) for name in ("ann", "ben"))
    merge(ann, ben, by=super_admin)
    found = person(admin).ask(f"users/{ann.pk}", **RANGE)
    assert_sums(found, (e for e in ledger if in_range(e) and e.user_id in (ann.pk, ben.pk)), with_cost=True)


def test_lines_have_a_limit_of_points(ledger: list[UsageEvent], admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    models = len({e.model for e in ledger if in_range(e) and e.organization_id == admin.organization_id})
    monkeypatch.setattr(figures, "MOST_POINTS", 12 * models)
    assert len(person(admin).ask("series", **RANGE, limit=50)["series"]) == models
    monkeypatch.setattr(figures, "MOST_POINTS", 12 * models - 1)
    assert person(admin).ask("series", 400, **RANGE, limit=50)["parameter"] == "limit"
    person(admin).ask("series", **RANGE, limit=models - 1)


def test_an_admin_compares_periods(ledger: list[UsageEvent], admin: User) -> None:
    found = person(admin).ask("admin/usage", **RANGE)
    hits = [e for e in ledger if in_range(e) and e.organization_id == admin.organization_id]
    assert_sums(found["totals"], hits, with_cost=True)
    assert_rows(found["by_type"], hits, lambda e: e.feature, with_cost=True)
    assert_rows(found["by_user"], hits, lambda e: e.user_id or 0, with_cost=True)
    assert len(found["daily"]) == 12
