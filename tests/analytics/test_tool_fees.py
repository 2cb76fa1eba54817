"""A cost without the fees of built-in tools says so wherever it is shown, and is found where unpriced ones are."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import unescape

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse

from accounts.models import Organization, User
from analytics.display.cost_badge import badge
from analytics.display.missing_cost import counted, missing
from analytics.reports import Totals
from groq_client.call import Call, ToolUse
from ledger.models import UsageEvent
from ledger.recording.record import record
from tests.cast import signed_in
from tests.ledger.calls import call, usage
from tests.pricing.prices import make_price

pytestmark = pytest.mark.django_db(transaction=True)

AT = datetime.now(UTC) - timedelta(hours=1)
SEARCHED = (ToolUse("browser_open", 3), ToolUse("browser_search", 2))
RATES = {"browser_open": Decimal(1), "browser_search": Decimal(5)}


def used(model: str, *tools: ToolUse) -> Call:
    return call(model, organization="acme", user="ann", session_id="s", at=AT, usage=usage(tools=tools))


@pytest.fixture
def ledger(acme: Organization, user: User) -> None:
    """One message with all fees, one whose fees have no rate; each $0.14 for tokens."""
    make_price("whole/a", tool_rates=RATES)
    make_price("part/b")
    record([used("whole/a", *SEARCHED), used("part/b", *SEARCHED)])


def shown(person: User, path: str) -> str:
    """The text of a page, what its titles say among it."""
    response = signed_in(person).get(path)
    assert response.status_code == 200
    html = re.sub(r'title="([^"]*)"[^>]*>', r">\1 ", response.content.decode())
    return unescape(" ".join(re.sub(r"<[^>]*>", " ", html).split()))


def address(event: UsageEvent) -> str:
    return reverse("request-detail", args=(event.organization_id, event.pk))


def the_event(model: str) -> UsageEvent:
    return UsageEvent.objects.get(model=model)


def test_the_badge_of_a_message(ledger: None) -> None:
    whole, part = badge(the_event("whole/a")), badge(the_event("part/b"))
    assert whole.text == "$0.153"
    assert whole.explanation.endswith(
        "cached 0 ($0.00 saved), tools browser_open 3, browser_search 2 ($0.013), total $0.153"
    )
    assert part.text == "≥ $0.14"
    assert part.explanation.endswith("tools browser_open 3, browser_search 2, total $0.14, without tool fees")


def test_the_detail_explains_the_fee(ledger: None, admin: User) -> None:
    event = the_event("whole/a")
    said = shown(admin, address(event))
    for line in (
        "Cost $0.153",
        "Input tokens 100 $1.00 per 1,000 $0.10",
        "Output tokens 20 $2.00 per 1,000 $0.04",
        "Tool browser_open 3 $1.00 per 1,000 $0.003",
        "Tool browser_search 2 $5.00 per 1,000 $0.01",
        "Built-in tools browser_open 3, browser_search 2",
    ):
        assert line in said


def test_the_detail_says_what_is_missing(ledger: None, admin: User) -> None:
    event = the_event("part/b")
    said = shown(admin, address(event))
    assert "Cost ≥ $0.14, without tool fees" in said
    assert "Tool browser_search 2 no price –" in said
    assert "its fee is not in it" in said


def test_fees_of_another_version_have_a_table_of_their_own(acme: Organization, admin: User) -> None:
    first = make_price("m")
    record([used("m", *SEARCHED)])
    UsageEvent.objects.update(tool_price=make_price("m", tool_rates=RATES), cost_usd=Decimal("0.153"))
    event = the_event("m")
    said = shown(admin, address(event))
    assert f"m: version {first.pk}, since" in said
    assert f"m: version {event.tool_price_id}, since" in said
    assert badge(event).explanation.endswith("($0.013), total $0.153, without tool fees")


def test_the_list_finds_them_among_the_unpriced(ledger: None, admin: User) -> None:
    found = shown(admin, "/requests/?range=7d&unpriced=1")
    assert "≥ $0.14" in found
    assert "part/b" in found.partition("Only unpriced")[2]
    assert "$0.153" not in found


def test_the_banner_says_it(ledger: None, admin: User, super_admin: User) -> None:
    assert (
        "1 request without tool fees. Only what its tokens cost is in the figures, built-in tools have no price:"
        " part/b (1)" in shown(admin, "/?range=7d")
    )
    html = signed_in(super_admin).get("/?range=7d").content.decode()
    assert 'href="/pricing/edit/?add=part%2Fb"' in html
    record([used("nobody/c")])
    assert "1 request without a price, 1 without tool fees. Their cost is not in the figures, or only" in shown(
        admin, "/?range=7d"
    )


def test_cards_and_tables_say_it(ledger: None, admin: User) -> None:
    said = shown(admin, "/?range=7d")
    assert "Without tool fees 1" in said
    assert "of it for built-in tools $0.013" in said
    assert "Requests without tool fees 1" in said
    assert "Average ≥ $0.146" in said  # of both, that have some cost
    assert "$0.14, without the tool fees of 1 request" in said


def test_sessions_say_it(ledger: None, admin: User) -> None:
    said = shown(admin, "/sessions/?range=7d")
    assert "1 without tool fees" in said
    assert "≥ $0.29" in said


def test_models_say_it(ledger: None, admin: User) -> None:
    said = shown(admin, "/models/?range=7d&left=part/b&right=whole/a")
    assert "Cost of priced requests ≥ $0.14 without tool fees $0.15" in said


def test_ones_own_usage_says_it(ledger: None, user: User, acme: Organization) -> None:
    acme.show_user_cost = True
    acme.save()
    said = shown(user, "/my-usage/")
    assert "of it without tool fees 1" in said
    assert "without the tool fees of 1 request ≥" in said


def test_what_if_has_the_fees_on_both_sides(ledger: None, admin: User) -> None:
    said = shown(admin, "/models/?range=7d&cost_input=1&cost_output=2&cost_per=1k").partition("What would it")[2]
    assert "no difference" in said
    assert "Fees for built-in tools, $0.013, do not depend on the model: they are on both sides." in said
    assert "The tool fees of 1 request are not known, and missing on both sides." in said
    assert "had no price" not in said


def test_exports_have_it_and_hide_it_with_the_cost(ledger: None, admin: User, user: User) -> None:
    for person in (admin, user):
        person.user_permissions.add(Permission.objects.get(codename="export_usageevent"))

    def rows(person: User) -> list[dict[str, str]]:
        response = signed_in(person).get("/export.csv?range=7d")
        text = b"".join(response).decode("utf-8-sig")  # type: ignore[arg-type]
        return sorted(csv.DictReader(io.StringIO(text, newline="")), key=lambda row: row["model"])

    part, whole = rows(admin)
    assert (part["without_tool_fees"], part["cost_usd"], part["tool_cost_usd"]) == (
        "true",
        "0.140000000",
        "0.000000000",
    )
    assert (whole["without_tool_fees"], whole["tool_cost_usd"]) == ("false", "0.013000000")
    assert part["tools"] == '{"browser_open": 3, "browser_search": 2}'
    hidden = rows(user)[0]
    assert "tools" in hidden
    assert not {"without_tool_fees", "tool_cost_usd", "tool_price_version"} & hidden.keys()


def test_whoever_sees_no_cost_is_not_told(ledger: None, user: User) -> None:
    event = the_event("part/b")
    for path in ("/?range=7d", "/requests/?range=7d", "/sessions/?range=7d", "/my-usage/", "/models/?range=7d"):
        assert "tool fees" not in shown(user, path), path
    own = shown(user, address(event))
    assert "tool fees" not in own
    assert "Built-in tools browser_open 3, browser_search 2" in own


@pytest.mark.parametrize(
    ("unpriced", "without_fees", "sentence", "number"),
    [
        (0, 0, "", ""),
        (1, 0, "without 1 unpriced request", "1 unpriced"),
        (2, 2, "without the tool fees of 2 requests", "2 without tool fees"),
        (3, 1, "without 2 unpriced requests and the tool fees of 1 request", "2 unpriced, 1 without tool fees"),
    ],
)
def test_what_is_missing_in_words(unpriced: int, without_fees: int, sentence: str, number: str) -> None:
    totals = Totals(unpriced=unpriced, without_tool_fees=without_fees)
    assert (missing(totals), counted(totals)) == (sentence, number)
