"""One model that is called by several names."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from django.core.management import call_command

from accounts.models import AuditRecord, Organization, User
from ledger.models import Rollup, UsageEvent
from ledger.recording.record import record
from pricing.book import PriceBook, current
from pricing.model_names import canonical
from pricing.models import ModelAlias, Price
from tests.cast import signed_in
from tests.ledger.calls import MODEL, NOON, call
from tests.ledger.folding import fold_now
from tests.pricing.prices import make_price

Connection = psycopg.Connection[tuple[object, ...]]
PATH = "/pricing/aliases/"
PRICED = {"openai/gpt-oss-120b", "llama-3.3-70b-versatile", "groq/own"}
ALIASES = {("groq", "fast"): "openai/gpt-oss-20b", ("groq", "groq/compound-mini"): "mini", ("other", "x"): "y"}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("groq/openai/gpt-oss-120b", "openai/gpt-oss-120b"),
        ("groq/never/heard-of", "never/heard-of"),
        ("groq/llama-3.3-70b-versatile", "llama-3.3-70b-versatile"),
        ("groq/compound", "groq/compound"),
        ("groq/own", "groq/own"),
        ("groq/compound-mini", "mini"),
        ("groq/fast", "openai/gpt-oss-20b"),
        ("fast", "openai/gpt-oss-20b"),
        ("groq/", "groq/"),
        ("x", "x"),
        ("", ""),
    ],
)
def test_which_model_a_name_means(name: str, meant: str) -> None:
    assert canonical("groq", name, ALIASES, PRICED.__contains__) == meant
    assert canonical("groq", meant, ALIASES, PRICED.__contains__) == meant


def test_the_prefix_means_nothing_to_another_provider() -> None:
    assert canonical("other", "groq/openai/gpt-oss-120b", ALIASES, PRICED.__contains__) == "groq/openai/gpt-oss-120b"
    assert canonical("other", "x", ALIASES, PRICED.__contains__) == "y"


@pytest.mark.django_db(transaction=True)
def test_calls_by_any_name_are_charged_and_summed_up_as_the_model(acme: Organization) -> None:
    price = make_price(MODEL, at=NOON - timedelta(days=1))
    ModelAlias.objects.create(alias="big", model=MODEL)
    for name in (MODEL, f"groq/{MODEL}", "big", "groq/big"):
        record([call(name, organization="acme")])
    fold_now()
    events = UsageEvent.objects.order_by("pk")
    assert {(event.model, event.price_id) for event in events} == {(MODEL, price.pk)}
    assert [event.model_requested for event in events] == [MODEL, f"groq/{MODEL}", "big", "groq/big"]
    assert len({event.cost_usd for event in events}) == 1
    fold_now()
    assert set(Rollup.objects.exclude(model="").values_list("model", flat=True)) == {MODEL}


@pytest.mark.django_db(transaction=True)
def test_a_book_notices_an_alias_that_came_or_went(connection: Connection) -> None:
    make_price(MODEL, at=NOON)
    book = current(connection)
    assert current(connection) is book
    first, second = (ModelAlias.objects.create(alias=alias, model=MODEL) for alias in ("one", "two"))
    for alias, gone in ((second, second), (first, first)):
        assert current(connection).in_force("groq", alias.alias, None, NOON) is not None
        gone.delete()
        assert current(connection).in_force("groq", alias.alias, None, NOON) is None


@pytest.mark.django_db(transaction=True)
def test_a_file_with_an_alias_can_be_imported_again(acme: Organization, tmp_path: Path) -> None:
    file = tmp_path / "calls.csv"
    file.write_text(
        "organization,request_id,timestamp,model,input_tokens,output_tokens\nacme,r1,2026-11-02T12:00:00Z,big,1,1\n"
    )
    call_command("import_events", str(file))
    ModelAlias.objects.create(alias="big", model=MODEL)
    call_command("import_events", str(file))
    assert UsageEvent.objects.get().model == "big"  # what is recorded stays; new events follow


@pytest.mark.django_db
def test_a_super_admin_sets_and_removes_an_alias(super_admin: User) -> None:
    client = signed_in(super_admin)
    said = client.post(PATH, {"alias": "big", "model": MODEL}, follow=True).content.decode()
    assert f"New requests that name big are charged and listed as {MODEL}." in said
    alias = ModelAlias.objects.get()
    assert alias.author == super_admin
    assert client.post(PATH, {"remove": alias.pk}).status_code == 302
    assert client.post(PATH, {"remove": alias.pk}).status_code == 302
    assert not ModelAlias.objects.exists()
    trail = [(entry.action, entry.subject, entry.changes) for entry in AuditRecord.objects.all()]
    assert trail == [
        ("model_alias.remove", "groq/big", {"stands for": [MODEL, None]}),
        ("model_alias.add", "groq/big", {"stands for": [None, MODEL]}),
    ]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("alias", "model", "error"),
    [
        ("big", "other", "This alias is there already."),
        ("large", "big", "This is an alias itself."),
        (MODEL, "x", "Another alias stands for this model."),
        ("x", "x", "A model needs no alias of its own name."),
        ("x", "", "This field is required."),
    ],
)
def test_an_alias_leads_to_a_model_at_once(super_admin: User, alias: str, model: str, error: str) -> None:
    ModelAlias.objects.create(alias="big", model=MODEL)
    response = signed_in(super_admin).post(PATH, {"alias": alias, "model": model})
    assert error in response.content.decode()
    assert ModelAlias.objects.count() == 1


@pytest.mark.django_db
def test_nobody_else_does(admin: User) -> None:
    assert signed_in(admin).post(PATH, {"alias": "big", "model": MODEL}).status_code == 403
    assert not ModelAlias.objects.exists()


def test_an_alias_is_never_changed() -> None:
    price = Price(pk=1, model="m", effective_from=datetime(2026, 1, 1, tzinfo=UTC), created_at=NOON)
    price.input_usd_per_1k_tokens = Decimal(1)
    assert PriceBook([price]).in_force("groq", "groq/m", None, NOON) is price
    alias = ModelAlias(pk=1, alias="a", model="m")
    alias._state.adding = False
    with pytest.raises(TypeError, match="never changed"):
        alias.save()
