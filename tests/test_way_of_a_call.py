"""The way of a call from the official SDK over a real socket to one priced row, for every way in which it can end."""

import asyncio
import gc
import io
import os
import signal
import threading
import wave
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import pytest
from django.db.models import QuerySet

from accounts.models import Organization, User
from groq_client import AsyncGroq, Groq, flush, usage_context
from groq_client.simulator.server import SimulatorHandle, running_simulator
from ledger.models import Rollup, UsageEvent
from pricing.cost import cost
from pricing.models import Price
from tests.groq_client.memory import MESSAGES, MODEL, SLOWLY
from tests.groq_client.test_client_endings import ENOUGH, ERRORS, READINGS, WHAT_WAS_SENT, ask, ask_async
from tests.ledger.folding import fold_now
from tests.pricing.prices import make_price

pytestmark = pytest.mark.django_db(transaction=True)

SLOWER = {"x-sim-chunks": "50", "x-sim-chunk-delay-ms": "50"}
AUDIO = Path(__file__).parent / "data" / "audio"
LONG_AGO = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def sim() -> Iterator[SimulatorHandle]:
    with running_simulator() as handle:
        yield handle


@pytest.fixture(autouse=True)
def prices(default_organization: Organization) -> None:
    Price.objects.create(
        model=MODEL,
        input_usd_per_1k_tokens=Decimal("0.00015"),
        output_usd_per_1k_tokens=Decimal("0.0006"),
        cached_input_usd_per_1k_tokens=Decimal("0.000075"),
        effective_from=LONG_AGO,
    )
    Price.objects.create(model="whisper-large-v3", audio_usd_per_hour=Decimal("0.111"), effective_from=LONG_AGO)
    Price.objects.create(
        model="canopylabs/orpheus-v1-english", usd_per_1k_characters=Decimal("0.022"), effective_from=LONG_AGO
    )


class Caller:
    """Makes calls with our sync or async client; the ledger records them as in production."""

    def __init__(self, kind: str, base_url: str) -> None:
        self.kind = kind
        self.options: dict[str, Any] = {"api_key": "gsk_test", "base_url": base_url, "max_retries": 0}

    def ask(self, reading: str | None, *, options: dict[str, Any] | None = None, **request: Any) -> Any:
        """The answer or the exception of one chat call; a stream is read as ``reading`` says."""
        merged = self.options | (options or {})
        if self.kind == "sync":
            with Groq(**merged) as client:
                result = ask(client, reading, **request)
        else:

            async def run() -> Any:
                async with AsyncGroq(**merged) as client:
                    return await ask_async(client, reading, **request)

            result = asyncio.run(run())
        gc.collect()
        assert flush(10)
        return result


@pytest.fixture(params=["sync", "async"])
def caller(request: pytest.FixtureRequest, sim: SimulatorHandle) -> Caller:
    return Caller(request.param, sim.base_url)


def recorded() -> "QuerySet[UsageEvent]":
    """The rows, after everything on its way has arrived."""
    assert flush(10)
    return UsageEvent.objects.all()


def the_event() -> UsageEvent:
    """The only event. This also asserts that every cube counts it once, and that its cost is that of its tokens."""
    event = recorded().get()
    fold_now()
    assert set(Rollup.objects.values_list("requests", flat=True)) == {1}
    if event.price is not None:
        assert event.cost_usd == cost(event, event.price)
    return event


@pytest.mark.parametrize("reading", [None, "end"])
def test_success(caller: Caller, reading: str | None) -> None:
    answer = caller.ask(reading, model=MODEL)
    usage = answer.usage if reading is None else answer[-1].x_groq.usage
    event = the_event()
    assert (event.status, event.error_code, event.http_status, event.attempts) == ("success", "", 200, 1)
    assert (event.model, event.operation, event.feature) == (MODEL, "chat", "chat")
    assert event.stream is (reading is not None)
    assert (event.ttft_ms is not None) is event.stream
    assert (event.input_tokens, event.output_tokens) == (usage.prompt_tokens, usage.completion_tokens)
    assert event.total_tokens == usage.total_tokens
    assert not event.tokens_estimated
    assert event.cost_usd is not None
    assert event.cost_usd > 0
    assert event.provider_request_id.startswith("req_")
    assert event.remaining_requests is not None
    assert event.queue_ms is not None


@pytest.mark.parametrize(("fault", "reading"), [("error-400", None), ("error-429", "end"), ("error-503", None)])
def test_an_error_status(caller: Caller, fault: str, reading: str | None) -> None:
    """These are three of the error statuses. All of them are in tests/groq_client/test_client_endings.py."""
    assert isinstance(caller.ask(reading, model=f"sim/{fault}"), Exception)
    event = the_event()
    assert (event.status, event.http_status, event.total_tokens) == ("error", ERRORS[fault][0], 0)
    assert event.cost_usd == 0
    assert event.stream is (reading is not None)


@pytest.mark.parametrize("reading", READINGS)
def test_a_stream_however_it_is_left(caller: Caller, reading: str) -> None:
    caller.ask(reading, model=MODEL, extra_headers=SLOWLY)
    event = the_event()
    whole = reading in ("end", "lines")
    assert (event.status, event.error_code) == ("success", "" if whole else "abandoned")
    assert event.tokens_estimated is not whole
    assert event.input_tokens > 0
    assert event.cost_usd is not None


@pytest.mark.parametrize("fault", ["error-midstream", "error-midstream-data", "x-groq-error", "cut", "half"])
def test_a_stream_that_fails(caller: Caller, fault: str) -> None:
    caller.ask("end", model=f"sim/{fault}/{MODEL}")
    event = the_event()
    assert (event.status, event.http_status) == ("error", 200)
    assert event.error_code
    assert event.cost_usd is not None


@pytest.mark.parametrize("reading", [None, "end"])
def test_usage_that_never_came_is_estimated(caller: Caller, reading: str | None) -> None:
    caller.ask(reading, model=f"sim/no-usage/{MODEL}")
    event = the_event()
    assert event.tokens_estimated
    assert event.input_tokens > 0
    assert event.output_tokens > 0
    assert event.status == "success"


def test_usage_that_came_twice_counts_once(caller: Caller) -> None:
    chunks = caller.ask("end", model=f"sim/usage-twice/{MODEL}")
    usage = next(chunk.x_groq.usage for chunk in chunks if chunk.x_groq and chunk.x_groq.usage)
    assert the_event().total_tokens == usage.total_tokens


@pytest.mark.parametrize("reading", [None, "end"])
def test_retries_are_attempts_of_one_call(caller: Caller, reading: str | None) -> None:
    caller.ask(reading, model=f"sim/retry-then-success-2/{MODEL}", options={"max_retries": 3})
    event = the_event()
    assert (event.status, event.attempts, event.http_status) == ("success", 3, 200)


def assert_used_what_was_sent(event: UsageEvent) -> None:
    """Assert that the call has the usual estimated input and no output, since it was sent and got no answer."""
    assert (event.input_tokens, event.output_tokens) == (WHAT_WAS_SENT.input_tokens, 0)
    assert event.tokens_estimated


@pytest.mark.parametrize("reading", [None, "end"])
def test_a_time_out(caller: Caller, reading: str | None) -> None:
    caller.ask(reading, model="sim/timeout", options={"timeout": 0.2})
    event = the_event()
    assert (event.status, event.error_code) == ("error", "timeout")
    assert_used_what_was_sent(event)
    assert event.latency_ms >= 190


@pytest.mark.parametrize("reading", [None, "end"])
def test_a_server_that_is_not_there(caller: Caller, reading: str | None) -> None:
    caller.ask(reading, model=MODEL, options={"base_url": "http://127.0.0.1:9"})
    event = the_event()
    assert (event.status, event.error_code, event.http_status) == ("error", "connection_error", None)
    assert (event.total_tokens, event.tokens_estimated) == (0, False)


@pytest.mark.parametrize("fault", ["bad-json", "truncated-json", "cut"])
def test_an_answer_that_cannot_be_read(caller: Caller, fault: str) -> None:
    caller.ask(None, model=f"sim/{fault}/{MODEL}")
    assert the_event().status == "error"


def test_a_cancelled_task(sim: SimulatorHandle) -> None:
    async def run() -> None:
        async with AsyncGroq(api_key="gsk_test", base_url=sim.base_url, max_retries=0) as client:
            call = client.chat.completions.create(messages=MESSAGES, model="sim/timeout")  # type: ignore[arg-type]
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(call, 0.2)

    asyncio.run(run())
    assert flush(10)
    event = the_event()
    assert (event.status, event.error_code) == ("error", "cancelled")
    assert_used_what_was_sent(event)


def assert_cut_off_in_mid_stream(event: UsageEvent, code: str) -> None:
    """Assert that the call is recorded with the output that was delivered before, and with its cost."""
    assert (event.status, event.error_code, event.http_status, event.stream) == ("error", code, 200, True)
    assert event.tokens_estimated
    assert event.input_tokens > 60
    assert event.output_tokens > 0
    assert event.total_tokens == event.input_tokens + event.output_tokens
    assert event.ttft_ms is not None
    assert event.cost_usd is not None
    assert event.cost_usd > 0


def test_a_task_cancelled_in_mid_stream(sim: SimulatorHandle) -> None:
    seen: list[Any] = []

    async def read(client: AsyncGroq) -> None:
        stream = await client.chat.completions.create(
            messages=MESSAGES,  # type: ignore[arg-type]
            model=MODEL,
            stream=True,
            extra_headers=SLOWER,
        )
        async for chunk in stream:
            seen.append(chunk)  # noqa: PERF401 - the test reads the list while it grows

    async def run() -> None:
        async with AsyncGroq(api_key="gsk_test", base_url=sim.base_url, max_retries=0) as client:
            task = asyncio.create_task(read(client))
            while len(seen) < ENOUGH:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(run())
    assert flush(10)
    assert_cut_off_in_mid_stream(the_event(), "cancelled")


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.usefixtures("ctrl_c_interrupts")
def test_ctrl_c_during_a_call(sim: SimulatorHandle) -> None:
    timer = threading.Timer(0.5, press_ctrl_c)
    with Groq(api_key="gsk_test", base_url=sim.base_url, max_retries=0) as client:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            client.chat.completions.create(messages=MESSAGES, model="sim/timeout")  # type: ignore[arg-type]
    timer.join()
    assert flush(10)
    event = the_event()
    assert (event.status, event.error_code, event.http_status) == ("error", "interrupted", None)
    assert_used_what_was_sent(event)


@pytest.mark.usefixtures("ctrl_c_interrupts")
def test_ctrl_c_in_mid_stream(sim: SimulatorHandle) -> None:
    timer = threading.Timer(0.1, press_ctrl_c)
    with Groq(api_key="gsk_test", base_url=sim.base_url, max_retries=0) as client:
        stream = client.chat.completions.create(
            messages=MESSAGES,  # type: ignore[arg-type]
            model=MODEL,
            stream=True,
            extra_headers=SLOWER,
        )
        for _ in range(ENOUGH):
            next(stream)
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            list(stream)
    timer.join()
    assert flush(10)
    assert_cut_off_in_mid_stream(the_event(), "interrupted")


def test_a_compound_answer_is_priced_by_its_parts(caller: Caller) -> None:
    caller.ask(None, model="sim/compound/groq/compound")
    event = the_event()
    assert len(event.usage_breakdown) == 2
    priced = [part for part in event.usage_breakdown if part["cost_usd"] is not None]
    assert {part["model"] for part in priced} <= {MODEL}
    assert (event.cost_usd is None) is (len(priced) < 2)


@pytest.mark.parametrize("reading", [None, "end"])
def test_built_in_tools_are_charged_by_use(caller: Caller, reading: str | None) -> None:
    """The price version of gpt-oss has rates for tools. The compound system's has none, so its cost is incomplete."""
    price = make_price(MODEL, tool_rates={"browser_search": Decimal(5), "browser_open": Decimal(1)})
    caller.ask(reading, model=MODEL, tools=[{"type": "browser_search"}])
    event = recorded().get()
    assert event.tool_uses == {"browser_open": 1, "browser_search": 1}
    tokens = cost(event, price)
    assert tokens is not None
    assert (event.cost_usd, event.tool_price) == (tokens + Decimal("0.006"), price)
    make_price("llama-3.3-70b-versatile")
    enabled = {"tools": {"enabled_tools": ["web_search"]}}
    caller.ask(reading, model="groq/compound", compound_custom=enabled)
    compound = recorded().exclude(pk=event.pk).get()
    assert compound.tool_uses == {"web_search": 1}
    assert compound.cost_usd is not None
    assert compound.without_tool_fees


def test_usage_beyond_all_reason_is_not_believed(caller: Caller) -> None:
    caller.ask(None, model=f"sim/usage-huge/{MODEL}")
    event = the_event()
    assert event.tokens_estimated
    assert event.total_tokens < 10_000


@pytest.mark.parametrize("raw", ["with_raw_response", "with_streaming_response"])
def test_the_raw_doors(sim: SimulatorHandle, raw: str) -> None:
    with Groq(api_key="gsk_test", base_url=sim.base_url) as client:
        created = getattr(client.chat.completions, raw).create(messages=MESSAGES, model=MODEL)
        if raw == "with_streaming_response":
            with created as response:
                answer = response.parse()
        else:
            answer = created.parse()
    event = the_event()
    assert (event.status, event.total_tokens) == ("success", answer.usage.total_tokens)


def test_the_generic_post_and_with_options(sim: SimulatorHandle) -> None:
    with Groq(api_key="gsk_test", base_url=sim.base_url) as client:
        body = {"messages": MESSAGES, "model": MODEL}
        client.with_options(max_retries=0).post("/openai/v1/chat/completions", cast_to=object, body=body)
    assert the_event().status == "success"


def test_calls_that_cost_nothing_are_not_recorded(sim: SimulatorHandle) -> None:
    with Groq(api_key="gsk_test", base_url=sim.base_url) as client:
        client.models.list()
        client.files.list()
    assert not recorded().exists()


def a_wav(seconds: float) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(int(8000 * seconds) * 2))
    return file.getvalue()


def test_audio_is_billed_by_its_length(sim: SimulatorHandle) -> None:
    with Groq(api_key="gsk_test", base_url=sim.base_url) as client:
        client.audio.transcriptions.create(file=("a.wav", a_wav(36)), model="whisper-large-v3")
    event = the_event()
    assert (event.operation, event.audio_seconds) == ("transcription", Decimal("36.000"))
    assert event.cost_usd == Decimal("0.111") * 36 / 3600


def test_audio_of_unknown_length_is_unpriced(sim: SimulatorHandle) -> None:
    with Groq(api_key="gsk_test", base_url=sim.base_url) as client:
        client.audio.transcriptions.create(url="https://example.org/a.wav", model="whisper-large-v3")
    event = the_event()
    assert (event.status, event.audio_seconds, event.tokens_estimated) == ("success", 0, True)
    assert (event.cost_usd, event.price) == (None, None)


@pytest.mark.parametrize(("name", "seconds"), [("vorbis.ogg", 60), ("adts.aac", 60.16), ("opus.webm", 10)])
def test_audio_of_any_kind_is_billed_by_what_it_holds(sim: SimulatorHandle, name: str, seconds: float) -> None:
    with Groq(api_key="gsk_test", base_url=sim.base_url) as client:
        client.audio.transcriptions.create(file=AUDIO / name, model="whisper-large-v3")
    event = the_event()
    assert float(event.audio_seconds) == pytest.approx(seconds, rel=0.01)
    assert not event.tokens_estimated
    assert event.cost_usd is not None


def test_audio_whose_length_is_not_certain_is_billed_and_marked(sim: SimulatorHandle) -> None:
    joined = (AUDIO / "tone.m4a").read_bytes() * 2
    with Groq(api_key="gsk_test", base_url=sim.base_url) as client:
        client.audio.transcriptions.create(file=("joined.m4a", joined), model="whisper-large-v3")
    event = the_event()
    assert (event.status, event.audio_seconds, event.tokens_estimated) == ("success", Decimal(12), True)
    assert event.cost_usd == Decimal("0.111") * 12 / 3600


def test_short_audio_is_billed_for_ten_seconds(sim: SimulatorHandle) -> None:
    with Groq(api_key="gsk_test", base_url=sim.base_url) as client:
        client.audio.translations.create(file=("a.wav", a_wav(1.5)), model="whisper-large-v3")
    event = the_event()
    assert (event.operation, event.audio_seconds) == ("translation", Decimal("1.500"))
    assert event.cost_usd == (Decimal("0.111") * 10 / 3600).quantize(Decimal("1e-9"))


def test_speech_is_billed_by_characters(sim: SimulatorHandle) -> None:
    with Groq(api_key="gsk_test", base_url=sim.base_url) as client:
        model = "canopylabs/orpheus-v1-english"
        client.audio.speech.create(input="Hello there!", model=model, voice="tara", response_format="wav").read()
    event = the_event()
    assert (event.operation, event.characters, event.cost_usd) == ("speech", 12, Decimal("0.000264"))


def test_embeddings(sim: SimulatorHandle) -> None:
    with Groq(api_key="gsk_test", base_url=sim.base_url) as client:
        answer = client.embeddings.create(input="Hello", model="nomic-embed-text-v1_5")
    event = the_event()
    assert (event.operation, event.input_tokens) == ("embedding", answer.usage.prompt_tokens)


def test_who_a_call_is_for(sim: SimulatorHandle, acme: Organization, user: User) -> None:
    with (
        Groq(api_key="gsk_test", base_url=sim.base_url, organization=acme.slug, project="web") as client,
        usage_context(user=user.handle, expert="lawyer", template="t1", session="s1", metadata={"ticket": 7}),
    ):
        client.chat.completions.create(messages=MESSAGES, model=MODEL)  # type: ignore[arg-type]
    event = the_event()
    assert (event.organization, event.user) == (acme, user)
    assert event.project is not None
    assert (event.project.slug, event.expert_id, event.template_id) == ("web", "lawyer", "t1")
    assert (event.session_id, event.metadata) == ("s1", {"ticket": 7})


def test_an_unknown_user_becomes_a_person_who_cannot_sign_in(sim: SimulatorHandle, acme: Organization) -> None:
    with Groq(api_key="gsk_test", base_url=sim.base_url, organization=acme.slug, user="newcomer") as client:
        client.chat.completions.create(messages=MESSAGES, model=MODEL)  # type: ignore[arg-type]
    person = the_event().user
    assert person is not None
    assert (person.handle, person.organization, person.is_active) == ("newcomer", acme, False)
    assert not person.has_usable_password()


def test_no_prompt_answer_or_key_is_stored(sim: SimulatorHandle) -> None:
    secret = "the launch code is xyzzy-plugh-42"
    with Groq(api_key="gsk_very_secret_key", base_url=sim.base_url) as client:
        for model in (MODEL, "sim/error-400", "sim/error-401"):
            try:
                client.chat.completions.create(messages=[{"role": "user", "content": secret}], model=model)
            except Exception as error:
                assert "error" in str(error).lower()  # noqa: PT017 - this test is not about the caller's error
    stored = str(list(recorded().values()))
    assert recorded().count() == 3
    assert "xyzzy" not in stored
    assert "gsk_very" not in stored


def test_a_price_change_affects_new_calls_only(sim: SimulatorHandle) -> None:
    with Groq(api_key="gsk_test", base_url=sim.base_url) as client:
        client.chat.completions.create(messages=MESSAGES, model=MODEL)  # type: ignore[arg-type]
        new = Price.objects.create(model=MODEL, input_usd_per_1k_tokens=Decimal(1), output_usd_per_1k_tokens=Decimal(2))
        client.chat.completions.create(messages=MESSAGES, model=MODEL)  # type: ignore[arg-type]
    before, after = recorded().order_by("timestamp")
    assert before.price != new
    assert after.price == new
    assert before.cost_usd is not None
    assert before.cost_usd < Decimal("0.01")
    assert after.cost_usd == cost(after, new)


def test_a_wall_clock_that_steps_back_during_a_call(sim: SimulatorHandle, monkeypatch: pytest.MonkeyPatch) -> None:
    """The call begins an hour ahead and ends at the right time. Its real duration and its start time are both kept."""

    class Ahead(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + timedelta(hours=1)

    with Groq(api_key="gsk_test", base_url=sim.base_url) as client:
        with monkeypatch.context() as patch:
            patch.setattr("groq_client.call.datetime", Ahead)
            stream = client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
        assert list(stream)
    flush(5)
    event, now = UsageEvent.objects.get(), datetime.now(UTC)
    assert event.timestamp - now > timedelta(minutes=50)
    assert abs(event.received_at - now) < timedelta(minutes=1)
    assert 0 <= event.latency_ms < 30_000
