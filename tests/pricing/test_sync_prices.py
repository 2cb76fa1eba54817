"""manage.py sync_prices: shows, asks, adds; never changes what is there."""

from datetime import timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from genai_prices.data import providers

from accounts.models import AuditRecord, Organization, User
from pricing import sync
from pricing.known_prices import BEGINNING, KnownPrice, known_prices
from pricing.models import Price
from pricing.sync import PricesChangedError
from tests.pricing.prices import make_price

MODEL = "openai/gpt-oss-20b"
TOOLS = ", $0.00 / 1k browser_find, $1.00 / 1k browser_open, $5.00 / 1k browser_search"
pytestmark = pytest.mark.django_db


def run(**options: Any) -> str:
    out = StringIO()
    call_command("sync_prices", stdout=out, **options)
    return out.getvalue()


def know(monkeypatch: pytest.MonkeyPatch, *prices: KnownPrice) -> None:
    monkeypatch.setattr(sync, "known_prices", lambda provider: {"m": list(prices)})


def known(dollars: str, **values: Any) -> KnownPrice:
    return KnownPrice("m", {"input_usd_per_1k_tokens": Decimal(dollars)}, **values)


def in_force() -> Decimal | None:
    price = Price.objects.in_force("groq", "m")
    return price.input_usd_per_1k_tokens if price else None


# What is known


def test_current_models_are_priced() -> None:
    run(yes=True)
    price = Price.objects.in_force("groq", "openai/gpt-oss-120b")
    assert price is not None
    assert price.summary == f"$0.15 / 1M input tokens, $0.075 / 1M cached, $0.6 / 1M output{TOOLS}"
    assert price.author is None
    assert "genai-prices" in price.source_note


@pytest.mark.parametrize(
    ("model", "summary"),
    [
        ("openai/gpt-oss-20b", f"$0.075 / 1M input tokens, $0.0375 / 1M cached, $0.3 / 1M output{TOOLS}"),
        ("groq/compound", "$1.00 / 1k visit_website"),
        ("qwen/qwen3.8-27b", "$0.8 / 1M input tokens, $4 / 1M output"),
        ("llama-3.3-70b-versatile", "$0.59 / 1M input tokens, $0.79 / 1M output"),
        ("moonshotai/kimi-k2-instruct-0905", "$1 / 1M input tokens, $0.5 / 1M cached, $3 / 1M output"),
        ("whisper-large-v3", "$0.111 / audio hour"),
        ("whisper-large-v3-turbo", "$0.04 / audio hour"),
        ("canopylabs/orpheus-v1-english", "$22 / 1M characters"),
        ("canopylabs/orpheus-arabic-saudi", "$40 / 1M characters"),
        ("playai-tts", "$50 / 1M characters"),
        ("qwen-qwq-32b", "$0.29 / 1M input tokens, $0.39 / 1M output"),
    ],
)
def test_models_of_every_kind_are_known(model: str, summary: str) -> None:
    assert known_prices()[model][-1].as_price(timezone.now()).summary == summary


def test_a_price_cut_is_dated() -> None:
    before, after = known_prices()["openai/gpt-oss-120b"]
    assert before.effective_from == BEGINNING
    assert str(after.effective_from) == "2025-10-16 00:00:00+00:00"
    assert before.rates["output_usd_per_1k_tokens"] == Decimal("0.00075")


def test_a_disputed_price_says_so() -> None:
    (price,) = known_prices()["openai/gpt-oss-safeguard-20b"]
    assert "disputed" in price.source_note


def test_everything_that_the_package_says_is_understood() -> None:
    notes = [price.source_note for versions in known_prices().values() for price in versions]
    assert not [note for note in notes if "Not taken over" in note]


# What is done about it


def test_a_dry_run_shows_and_does_nothing() -> None:
    shown = run(dry_run=True)
    assert "add" in shown
    assert MODEL in shown
    assert not Price.objects.exists()


@pytest.mark.parametrize(("answer", "is_added"), [("y", True), ("YES", True), ("", False), ("n", False)])
def test_it_asks_first(monkeypatch: pytest.MonkeyPatch, answer: str, is_added: bool) -> None:
    monkeypatch.setattr("builtins.input", lambda _: answer)
    run()
    assert Price.objects.exists() is is_added


def test_without_a_terminal_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_terminal(_: str) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", no_terminal)
    assert "Nothing was changed" in run()
    assert not Price.objects.exists()


def test_a_second_run_has_nothing_to_do() -> None:
    run(yes=True)
    count = Price.objects.count()
    assert "Nothing to do" in run(yes=True)
    assert Price.objects.count() == count


def test_a_new_dated_price_is_added_from_its_date(monkeypatch: pytest.MonkeyPatch) -> None:
    know(monkeypatch, known("0.1"))
    run(yes=True)
    date = BEGINNING.replace(year=2025)
    know(monkeypatch, known("0.1"), known("0.2", effective_from=date))
    run(yes=True)
    assert list(Price.objects.order_by("pk").values_list("effective_from", flat=True)) == [BEGINNING, date]
    assert "Nothing to do" in run(yes=True)


def test_a_new_price_without_a_date_holds_from_now_on(monkeypatch: pytest.MonkeyPatch) -> None:
    know(monkeypatch, known("0.1"))
    run(yes=True)
    know(monkeypatch, known("0.2"))
    before = timezone.now()
    run(yes=True)
    assert in_force() == Decimal("0.2")
    assert Price.objects.get(input_usd_per_1k_tokens=Decimal("0.2")).effective_from >= before
    assert "Nothing to do" in run(yes=True)


def test_a_price_announced_for_later_is_added_once(monkeypatch: pytest.MonkeyPatch) -> None:
    later = timezone.now() + timedelta(days=30)
    know(monkeypatch, known("0.1"), known("0.2", effective_from=later))
    run(yes=True)
    assert in_force() == Decimal("0.1")
    assert "Nothing to do" in run(yes=True)


@pytest.mark.parametrize("values", [{"input_usd_per_1k_tokens": Decimal("0.3")}, {"enabled": False}])
def test_what_a_person_entered_stands(
    monkeypatch: pytest.MonkeyPatch, super_admin: User, values: dict[str, Any]
) -> None:
    know(monkeypatch, known("0.1"))
    run(yes=True)
    make_price("m", at=timezone.now(), author=super_admin, output_usd_per_1k_tokens=None, **values)
    know(monkeypatch, known("0.2"))
    shown = run(yes=True)
    assert "edited by root" in shown
    assert Price.objects.count() == 2
    run(yes=True, force=True)
    assert in_force() == Decimal("0.2")
    assert Price.objects.count() == 3
    assert "Nothing to do" in run(yes=True, force=True)


def test_an_organizations_own_prices_are_left_alone(monkeypatch: pytest.MonkeyPatch, acme: Organization) -> None:
    make_price("m", organization=acme)
    know(monkeypatch, known("0.2"))
    run(yes=True)
    assert in_force() == Decimal("0.2")
    assert Price.objects.in_force("groq", "m", acme) == Price.objects.get(organization=acme)


def test_prices_changed_while_it_asked_stop_it(monkeypatch: pytest.MonkeyPatch, super_admin: User) -> None:
    know(monkeypatch, known("0.1"))

    def answer(_: str) -> str:
        make_price("m", author=super_admin)
        return "y"

    monkeypatch.setattr("builtins.input", answer)
    with pytest.raises(CommandError, match="in the meantime"):
        run()
    assert Price.objects.count() == 1


def test_all_or_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    know(monkeypatch, known("0.1"))
    steps = sync.plan(timezone.now())
    know(monkeypatch, known("0.5"))
    with pytest.raises(PricesChangedError):
        sync.apply(steps, timezone.now())
    assert not Price.objects.exists()


def test_what_it_adds_is_in_the_audit_trail(monkeypatch: pytest.MonkeyPatch) -> None:
    know(monkeypatch, known("0.1"))
    run(yes=True)
    know(monkeypatch, known("0.2"))
    run(yes=True)
    later, first = AuditRecord.objects.all()
    assert (later.action, later.actor, later.organization) == ("price.add", None, None)
    assert first.changes["input_usd_per_1k_tokens"] == [None, "0.1"]
    assert later.changes["input_usd_per_1k_tokens"] == ["0.1", "0.2"]


# Other providers


@pytest.mark.parametrize(("provider", "model"), [("openai", "gpt-4o"), ("anthropic", "claude-3-5-haiku-latest")])
def test_prices_of_another_provider_are_its_own(provider: str, model: str) -> None:
    run(yes=True, provider=provider)
    price = Price.objects.in_force(provider, model)
    assert price is not None
    assert price.input_usd_per_1k_tokens
    assert price.output_usd_per_1k_tokens
    assert set(Price.objects.values_list("provider", flat=True)) == {provider}
    assert "Nothing to do" in run(provider=provider)


def test_every_provider_of_the_package_can_be_planned() -> None:
    for provider in providers:
        assert all(step.additions for step in sync.plan(timezone.now(), provider=provider.id))


def test_a_price_says_what_of_it_is_not_taken_over() -> None:
    (price, *_) = known_prices("google")["gemini-2.5-pro"]
    assert "Long prompts cost more" in price.source_note


def test_an_unknown_provider_is_told_with_the_known_ones() -> None:
    with pytest.raises(CommandError, match=r"knows no provider 'opnai', only .*openai"):
        run(yes=True, provider="opnai")
