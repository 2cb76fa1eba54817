"""``manage.py groq_chat`` makes a call and shows what the ledger has of it."""

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

import groq_client
from accounts.models import Organization
from groq_client.recorder import default_recorder
from groq_client.simulator.server import SimulatorHandle, running_simulator
from ledger.models import UsageEvent
from pricing.models import Price

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass
class Shown:
    out: str
    err: str

    def value(self, name: str) -> str:
        """What stands next to ``name`` in the table of what was recorded."""
        lines = self.out.partition("Recorded")[2].splitlines()
        (line,) = (line for line in lines if line.startswith(f"  {name} "))
        return line.removeprefix(f"  {name}").strip()


@pytest.fixture
def simulator(settings: Settings) -> Iterator[SimulatorHandle]:
    with running_simulator(speed=math.inf) as simulator:
        settings.GROQ_API_KEY, settings.GROQ_BASE_URL = "test", simulator.base_url
        yield simulator


def groq_chat(*arguments: str) -> Shown:
    out, err = io.StringIO(), io.StringIO()
    call_command("groq_chat", *arguments, stdout=out, stderr=err, no_color=True)
    return Shown(out.getvalue(), err.getvalue())


@pytest.mark.usefixtures("simulator")
class TestWithServer:
    def test_shows_the_answer_and_its_row(self) -> None:
        shown = groq_chat("Hello there")
        event = UsageEvent.objects.get()
        assert shown.out.partition("Recorded")[0].strip()
        assert shown.value("model") == "openai/gpt-oss-20b"
        assert shown.value("status") == "success, HTTP 200"
        assert shown.value("tokens").startswith(f"{event.input_tokens} input (0 cached), {event.output_tokens} output")
        assert shown.value("request id") == event.request_id
        assert shown.value("Groq's id") == event.provider_request_id
        assert shown.value("attempts") == "1"
        assert "first token" not in shown.value("latency")
        assert shown.err == ""

    def test_a_stream_tells_its_first_token(self) -> None:
        shown = groq_chat("Hello there", "--stream")
        event = UsageEvent.objects.get()
        assert event.stream
        assert shown.out.partition("Recorded")[0].strip()
        assert shown.value("latency") == f"{event.latency_ms:,} ms, first token after {event.ttft_ms:,} ms"

    def test_the_call_is_booked_on_what_is_said(self) -> None:
        options = {"project": "website", "user": "zoe", "expert": "guide", "template": "faq", "session": "s-1"}
        shown = groq_chat("Hello", "--feature=playground", *(f"--{name}={value}" for name, value in options.items()))
        assert {name: shown.value(name) for name in options} == options
        assert shown.value("feature") == "playground"

    def test_an_organization_is_found(self) -> None:
        Organization.objects.create(name="Acme", slug="acme")
        assert groq_chat("Hello", "--organization=acme").value("organization") == "Acme"

    def test_an_unknown_organization_is_the_default_one(self) -> None:
        assert groq_chat("Hello", "--organization=nobody").value("organization") == "Default"

    def test_without_a_price_the_call_is_unpriced(self) -> None:
        assert groq_chat("Hello").value("cost") == "unpriced"

    def test_with_a_price_it_costs_something(self) -> None:
        Price.objects.create(
            model="openai/gpt-oss-20b",
            input_usd_per_1k_tokens=Decimal("0.000075"),
            output_usd_per_1k_tokens=Decimal("0.0003"),
        )
        shown = groq_chat("Hello")
        cost = UsageEvent.objects.get().cost_usd
        assert cost
        assert shown.value("cost") == f"${cost:.9f}"
        assert shown.value("price").startswith("groq/openai/gpt-oss-20b from")

    def test_a_forced_error_is_one_line_and_a_row(self) -> None:
        shown = groq_chat("Hello", "--force-error")
        assert UsageEvent.objects.get().status == "error"
        assert shown.err.count("\n") == 1
        assert "no-such-model" in shown.err
        assert shown.value("status").startswith("error: model_not_found, HTTP 404, The model `no-such-model`")

    @pytest.mark.parametrize("stream", [(), ("--stream",)])
    def test_a_fault_is_shown_with_its_attempts(self, stream: tuple[str, ...]) -> None:
        shown = groq_chat("Hello", "--model=sim/error-401", *stream)
        assert shown.value("status").startswith("error: invalid_api_key, HTTP 401")

    def test_a_call_that_is_not_recorded_is_a_failure(self) -> None:
        recorder = default_recorder()
        groq_client.configure(None)
        try:
            with pytest.raises(CommandError, match="was not recorded"):
                groq_chat("Hello")
        finally:
            groq_client.configure(recorder)


def test_without_a_key_a_simulator_answers(settings: Settings) -> None:
    settings.GROQ_API_KEY = settings.GROQ_BASE_URL = ""
    shown = groq_chat("Hello")
    assert "a simulator answers" in shown.err
    assert UsageEvent.objects.get().status == "success"
