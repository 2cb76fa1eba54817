"""The filters of the dashboard, over the API: each chooses the same events, at every address that takes it."""

from decimal import Decimal
from typing import Any

import pytest

from accounts.models import Organization, User
from analytics.filters.facets import FACETS, Facet
from analytics.filters.range_form import RANGES
from api.document import document
from api.parameters import FILTERS
from ledger.models import UsageEvent
from tests.analytics.test_reports import passes
from tests.api.asking import person
from tests.api.test_figures import RANGE, assert_sums, in_range

pytestmark = pytest.mark.django_db(transaction=True)


def test_there_is_one_declaration() -> None:
    names = {parameter.name: parameter.schema for parameter in FILTERS}
    assert set(names) == {"range", "from", "to"} | {facet.name for facet in FACETS}
    assert names["range"]["enum"] == [*RANGES]


@pytest.mark.parametrize("facet", [facet for facet in FACETS if facet.has_menu], ids=lambda facet: facet.name)
def test_a_filter_chooses_the_same_events_everywhere(ledger: list[UsageEvent], super_admin: User, facet: Facet) -> None:
    """Among its values are requests that name none, and two values at once."""
    asker = person(super_admin)
    hits = [event for event in ledger if in_range(event)]
    values = sorted({value for event in hits for value in passes(event, facet.dimension)}, key=str)
    for chosen in (values[:1], values[-2:]):
        query = {**RANGE, f"{facet.name}_": [facet.text(value) for value in chosen]}
        wanted = [event for event in hits if not passes(event, facet.dimension).isdisjoint(chosen)]
        assert_sums(asker.ask("usage", **query), wanted, with_cost=True)
        points = asker.ask("costs", **query, group_by="week")["points"]
        assert sum(point["requests"] for point in points) == len(wanted)
        told = asker.ask("events", **query, limit=500)["events"]
        assert {event["request_id"] for event in told} == {event.request_id for event in wanted}


def test_every_summary_compares_if_asked(ledger: list[UsageEvent], admin: User, acme: Organization) -> None:
    asker, ann = person(admin), User.objects.get(organization=acme, handle="ann")
    before = [e for e in ledger if e.organization_id == acme.pk and "2026-10-12" <= e.day.isoformat() <= "2026-10-23"]
    for path, sees in (
        ("organizations/acme/usage", lambda event: True),
        (f"users/{ann.pk}", lambda event: event.user_id == ann.pk),
        ("models/priced/a", lambda event: event.model == "priced/a"),
        ("providers/groq", lambda event: True),
    ):
        told = asker.ask(path, **RANGE, compare="previous")["previous"]
        assert_sums(told["totals"], [event for event in before if sees(event)], with_cost=True)
        assert (told["first_day"], told["last_day"]) == ("2026-10-12", "2026-10-23")
        assert "previous" not in asker.ask(path, **RANGE)


def test_beside_every_cost_of_several_requests_are_those_without_one() -> None:
    shapes = document()["components"]["schemas"]
    sums = [shape["properties"] for shape in shapes.values() if {"requests", "cost_usd"} <= shape["properties"].keys()]
    assert len(sums) >= 10
    assert all("unpriced" in properties for properties in sums)


def test_the_unpriced_add_up(ledger: list[UsageEvent], super_admin: User) -> None:
    asker = person(super_admin)
    usage = asker.ask("usage", **RANGE)
    assert usage["unpriced"]
    many = {**RANGE, "limit": 1_000}
    for path, rows, query in (
        ("costs", "points", RANGE),
        ("popular-models", "rows", many),
        ("top-users", "rows", many),
        ("breakdown", "rows", many),
        ("admin/usage", "daily", RANGE),
    ):
        told: list[dict[str, Any]] = asker.ask(path, **query)[rows]
        assert sum(row["unpriced"] for row in told) == usage["unpriced"]
        assert sum(Decimal(row["cost_usd"]) for row in told) == Decimal(usage["cost_usd"])
