"""What is known of a model: from the file, from the package, and what a Super Admin changed."""

import json
from datetime import date, timedelta
from typing import Any

import pytest
from django.test import Client

from accounts.models import AuditRecord, User
from pricing import catalogue
from pricing.catalogue import CAPABILITIES, FIELDS, LANGUAGES, OWN_FILE, UNKNOWN, Catalogue, Facts, published
from pricing.known_prices import known_prices
from pricing.models import FactsEdit
from tests.cast import signed_in

pytestmark = pytest.mark.django_db

MODEL = "openai/gpt-oss-120b"
ADDRESS = f"/pricing/facts/?model={MODEL}"


def post(client: Client, address: str = ADDRESS, **changes: Any) -> None:
    """Save the form as it is shown, with these changes."""
    assert client.get(address).status_code == 200
    present = Catalogue.load().facts("groq", address.rpartition("=")[2])
    shown: dict[str, Any] = {name: catalogue.as_json(name, present) for name in FIELDS}
    sent = {name: value for name, value in (shown | changes).items() if value not in (None, "", False, [])}
    response = client.post(address, sent)
    assert response.status_code == 302, response.content.decode()


# The file


def test_every_entry_of_the_file_is_sourced_and_says_only_known_words() -> None:
    own = json.loads(OWN_FILE.read_text())
    assert date.fromisoformat(own["as_of"]) == catalogue.as_of()
    for model, values in own["models"].items():
        facts = Facts.read(values)
        assert facts.source, model
        assert set(facts.capabilities) <= set(CAPABILITIES), model
        assert set(facts.languages) <= set(LANGUAGES), model
        assert facts.status or facts.retires_on, model
        assert not facts.replaced_by or facts.replaced_by in own["models"], model


def test_every_model_with_a_known_price_has_a_status() -> None:
    """Under each of its names, so that no retired model looks as if it could be called."""
    assert [model for model in known_prices() if published("groq", model).status_on(catalogue.as_of()) is None] == []


def test_what_the_file_lacks_comes_from_the_package() -> None:
    assert published("groq", "deepseek-r1-distill-llama-70b").context_tokens == 131_072
    assert published("groq", MODEL).name == "GPT OSS 120B"
    assert published("openai", "gpt-4o").context_tokens
    assert published("nobody", "nothing") == published("groq", "nobody/knows") == UNKNOWN


def test_a_model_is_retired_from_its_day_on() -> None:
    facts = Facts(status="current", retires_on=date(2026, 8, 16))
    assert facts.status_on(date(2026, 8, 15)) == "retiring"
    assert facts.status_on(date(2026, 8, 16)) == "retired"
    assert UNKNOWN.status_on(date(2026, 8, 16)) is None


# The edit


def test_a_super_admin_changes_a_fact_and_it_is_audited(super_admin: User) -> None:
    post(signed_in(super_admin), context_tokens=200_000, capabilities=["vision", "chat"])
    facts = Catalogue.load().facts("groq", MODEL)
    assert (facts.context_tokens, facts.capabilities) == (200_000, ("chat", "vision"))
    record = AuditRecord.objects.get()
    assert (record.action, record.subject, record.actor) == ("model_facts.change", f"groq/{MODEL}", super_admin)
    assert record.changes == {
        "capabilities": ["chat, reasoning, tools, json_schema", "chat, vision"],
        "context_tokens": ["131072", "200000"],
    }


def test_an_edit_survives_a_new_version_of_the_file(super_admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the new facts of the file arrive, where nobody has changed them."""
    post(signed_in(super_admin), context_tokens=200_000)
    newer = {MODEL: Facts(context_tokens=65_536, max_output_tokens=1_000, retires_on=date(2027, 1, 1))}
    monkeypatch.setattr(catalogue, "_own", lambda: newer)
    facts = Catalogue.load().facts("groq", MODEL)
    assert (facts.context_tokens, facts.max_output_tokens, facts.retires_on) == (200_000, 1_000, date(2027, 1, 1))


def test_a_fact_can_be_taken_away_and_everything_can_be_taken_back(super_admin: User) -> None:
    client = signed_in(super_admin)
    post(client, max_output_tokens=None, maker="")
    assert Catalogue.load().facts("groq", MODEL).max_output_tokens is None
    assert client.post(ADDRESS, {"reset": "1"}).status_code == 302
    assert Catalogue.load().facts("groq", MODEL) == published("groq", MODEL)
    assert not FactsEdit.objects.exists()
    assert AuditRecord.objects.count() == 2


def test_saving_without_a_change_keeps_no_edit(super_admin: User) -> None:
    post(signed_in(super_admin))
    assert not FactsEdit.objects.exists()
    assert not AuditRecord.objects.exists()


def test_a_model_that_the_file_does_not_list_can_be_described(super_admin: User) -> None:
    tomorrow = date.today() + timedelta(days=1)
    post(signed_in(super_admin), "/pricing/facts/?model=acme/own", name="Ours", retires_on=tomorrow.isoformat())
    assert ("groq", "acme/own") in Catalogue.load().models()
    assert Catalogue.load().facts("groq", "acme/own") == Facts(name="Ours", retires_on=tomorrow)


@pytest.mark.parametrize(
    "wrong",
    [{"context_tokens": "-1"}, {"context_tokens": "many"}, {"status": "dead"}, {"capabilities": "fly"},
     {"retires_on": "soon"}, {"name": "x" * 101}, {"source": "a\0b"}],
)  # fmt: skip
def test_a_wrong_value_is_refused_at_its_field(super_admin: User, wrong: dict[str, str]) -> None:
    response = signed_in(super_admin).post(ADDRESS, wrong)
    assert response.status_code == 200
    assert 'class="errorlist"' in response.content.decode()
    assert not FactsEdit.objects.exists()


@pytest.mark.parametrize("address", ["/pricing/facts/", "/pricing/facts/?model=", f"/pricing/facts/?model={'x' * 201}"])
def test_it_needs_a_model(super_admin: User, address: str) -> None:
    assert signed_in(super_admin).get(address).status_code == 404


def test_only_super_admins_edit(admin: User, user: User) -> None:
    for person in (admin, user):
        assert signed_in(person).get(ADDRESS).status_code == 403
        assert signed_in(person).post(ADDRESS, {"name": "x"}).status_code == 403
    assert not FactsEdit.objects.exists()
