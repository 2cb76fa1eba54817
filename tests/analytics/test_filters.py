"""Menus and tables of many values: what they offer, how they are searched, and who sees what in them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Organization, User
from analytics.filters import menus
from analytics.reports import Report
from ledger.recording.record import record
from tests.cast import signed_in
from tests.ledger.calls import call

pytestmark = pytest.mark.django_db(transaction=True)

AT = datetime.now(UTC) - timedelta(days=2)
MANY = 130


@pytest.fixture
def many(acme: Organization, globex: Organization, user: User, admin: User, super_admin: User) -> None:
    """Acme has 130 people and as many templates, the first the busiest; Globex one of each."""
    acme_call: dict[str, Any] = {"organization": "acme", "at": AT, "project": "web"}
    record(call(**acme_call, user=f"p{n:03}", template_id=f"Template {n:03}") for n in range(MANY))
    record(call(**acme_call, user="p000", template_id="Template 000") for _ in range(2))
    record(
        [call(**acme_call, user="ann", model="llama"), call(**acme_call | {"at": AT - timedelta(days=60)}, user="old")]
    )
    record([call(**acme_call | {"organization": "globex"}, user="eve", template_id="secret", latency_ms=9)])
    User.objects.filter(handle="p007").update(first_name="Zoë", last_name="van Dam")


def choices(client: Client, facet: str, query: str = "") -> list[str]:
    """What a menu offers, chosen values with a mark."""
    response = client.get(f"/choices/{facet}/{query}")
    assert response.status_code == 200
    return options(response.content.decode())


def options(html: str) -> list[str]:
    found = re.findall(
        r'<input type="checkbox" id="[^"]*" name="[^"]*" value="[^"]*"( checked)?[^>]*>\s*<span>([^<]*)<', html
    )
    return [("✓ " if checked else "") + label for checked, label in found]


def menu_of(html: str, facet: str) -> str:
    found = re.search(rf'<div id="choices-{facet}"[^>]*>.*?</div>\s*<p[^>]*>[^<]*</p>', html, re.DOTALL)
    assert found
    return found[0]


def page(client: Client, query: str = "") -> str:
    response = client.get(f"/{query}")
    assert response.status_code == 200
    return response.content.decode()


def rows(html: str, table: str) -> list[str]:
    body = re.search(rf'table-{table}-title">.*?<tbody[^>]*>(.*?)</tbody>', html, re.DOTALL)
    assert body
    return re.findall(r'<span class="name">([^<]*)</span>', body[1])


# Menus


def test_a_menu_offers_the_most_used_and_says_how_many_there_are(many: None, admin: User) -> None:
    html = menu_of(page(signed_in(admin)), "user")
    assert options(html)[0] == "p000"
    assert len(options(html)) == menus.OPTIONS
    assert f"The {menus.OPTIONS} most used of {MANY + 1}." in html


def test_the_server_searches_all_values(many: None, admin: User) -> None:
    client = signed_in(admin)
    assert choices(client, "user", "?q-user=P12") == [f"p{n}" for n in range(120, 130)]
    assert choices(client, "user", "?q-user=zoë") == choices(client, "user", "?q-user=p007") == ["Zoë van Dam"]
    assert choices(client, "user", "?q-user=dam+zo") == ["Zoë van Dam"]
    assert choices(client, "template", "?q-template=template+129") == ["Template 129"]
    assert choices(client, "template", "?q-template=(none") == ["(none)"]
    assert choices(client, "user", "?q-user=100%25") == choices(client, "user", "?q-user=_") == []


def test_what_is_chosen_stays_in_the_menu(many: None, admin: User) -> None:
    last = User.objects.get(handle="p129").pk
    client = signed_in(admin)
    assert choices(client, "user", f"?user={last}&q-user=p001") == ["✓ p129", "p001"]
    assert choices(client, "user", f"?user={last}")[0] == "✓ p129"
    response = client.get(f"/choices/user/?user={last}&q-user=nobody").content.decode()
    assert options(response) == ["✓ p129"]
    assert "Nothing else in this range matches “nobody”." in response


def test_a_menu_offers_what_occurs_in_the_range_under_the_other_filters(many: None, admin: User) -> None:
    client = signed_in(admin)
    assert choices(client, "user", "?q-user=old") == []
    assert choices(client, "user", "?range=all&q-user=old") == ["old"]
    assert choices(client, "user", "?model=llama") == ["ann"]


def test_a_menu_offers_only_what_its_reader_may_see(many: None, admin: User, user: User, super_admin: User) -> None:
    eve = User.objects.get(handle="eve").pk
    assert choices(signed_in(admin), "user", "?q-user=eve") == []
    assert choices(signed_in(admin), "user", f"?user={eve}&q-user=x") == [f"✓ {eve}"]  # no name, no count
    assert choices(signed_in(admin), "template", "?q-template=secret") == []
    assert choices(signed_in(super_admin), "user", "?q-user=globex") == ["eve · Globex"]
    assert choices(signed_in(user), "template") == ["(none)"]
    for person, facet in ((user, "user"), (admin, "organization"), (admin, "session"), (admin, "nothing")):
        assert signed_in(person).get(f"/choices/{facet}/").status_code == 404


def test_a_visitor_is_asked_to_sign_in(client: Client) -> None:
    assert client.get("/choices/user/").status_code == 302
    assert client.post("/choices/user/").status_code in (302, 405)


def test_a_search_without_javascript_opens_its_menu(many: None, admin: User) -> None:
    html = page(signed_in(admin), "?q-user=p129&model=llama")
    menu = re.search(r"<details[^>]*?(open)>\s*<summary>([^<]*)", html)
    assert menu
    assert menu[2].strip() == "User"
    assert "q-user=" not in html  # a search is in no link


def test_a_failure_keeps_what_is_chosen(many: None, admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object, **__: object) -> None:
        raise OperationalError("canceling statement due to statement timeout")

    monkeypatch.setattr(Report, "choices", gone)
    response = signed_in(admin).get("/choices/user/")
    assert (response.status_code, response["HX-Retarget"]) == (503, "#hint-user")
    assert "<input" not in response.content.decode()


# Tables


def test_a_table_of_several_pages_can_be_searched(many: None, admin: User) -> None:
    client = signed_in(admin)
    html = page(client, "?find-user=p12&find-template=Template+00")
    assert rows(html, "user") == [f"p{n}" for n in range(120, 130)]
    assert rows(html, "template") == [f"Template {n:03}" for n in range(10)]
    assert 'name="find-user" value="p12"' in html
    assert 'name="find-model"' not in html  # one page is searched by looking
    assert rows(page(client, "?find-user=zo%C3%AB"), "user") == ["Zoë van Dam"]
    nothing = page(client, "?find-user=nobody")
    assert rows(nothing, "user") == []
    assert "Nothing matches “nobody” in this range." in nothing
    assert 'name="find-user"' in nothing


def test_a_search_keeps_the_order_and_starts_again_from_the_first_page(many: None, admin: User) -> None:
    client = signed_in(admin)
    assert rows(page(client, "?find-user=p&sort=user:-name"), "user")[:2] == ["Zoë van Dam", "p129"]
    html = page(client, "?find-user=p&page=user:13")
    assert "121–130 of 130" in html
    links = [link.replace("&amp;", "&") for link in re.findall(r'href="(\?[^"]*)"', html)]
    assert "?page=user%3A12&find-user=p" in links or "?find-user=p&page=user%3A12" in links
    assert not any("find-user" in link for link in re.findall(r'href="(/export[^"]*)"', html))


def test_a_share_is_of_the_whole_whatever_is_searched(many: None, admin: User) -> None:
    html = page(signed_in(admin), "?find-user=p000")
    assert f'title="{3 / (MANY + 3):.1%} of requests"' in html


def test_there_is_a_table_by_feature(many: None, admin: User) -> None:
    record([call(organization="acme", at=AT, feature="rag")])
    assert "rag" in rows(page(signed_in(admin)), "feature")


def test_another_organization_is_found_by_nobody_else(many: None, admin: User) -> None:
    html = page(signed_in(admin), "?find-user=eve&find-template=secret")
    assert rows(html, "user") == rows(html, "template") == []
    assert "Globex" not in html


def test_names_are_read_only_for_what_is_shown(many: None, admin: User) -> None:
    with CaptureQueriesContext(connection) as queries:
        page(signed_in(admin))
    asked = [query["sql"] for query in queries if "accounts_user" in query["sql"] and " IN (" in query["sql"]]
    assert asked
    assert max(sql.count(",") for sql in asked) < menus.OPTIONS + 20


def test_a_menu_that_is_costly_waits_for_being_opened(many: None, admin: User) -> None:
    """No cube knows sessions: the page passes over the events for its figures and for those before."""
    client = signed_in(admin)
    said = [
        call(organization="acme", at=AT, session_id="s", template_id="Template 000", expert_id=f"expert {n}")
        for n in range(3)
    ]
    record(said)
    query = "?session=s&expert=expert+1"
    with CaptureQueriesContext(connection) as asked:
        html = page(client, query)
    assert sum('FROM "ledger_usageevent"' in question["sql"] for question in asked) == 2
    assert options(menu_of(html, "expert")) == ["✓ expert 1"]
    assert "Search for the others." in menu_of(html, "expert")
    opened = client.get(f"/{query}", headers={"X-Open-Menu": "expert"}).content.decode()
    assert options(menu_of(opened, "expert")) == ["✓ expert 1", "expert 0", "expert 2"]
    assert options(menu_of(opened, "template")) == ["Template 000"]
    assert choices(client, "expert", query) == ["✓ expert 1", "expert 0", "expert 2"]
