"""Clients that know nothing of us, with the base URL and the key changed: the SDKs of Groq and of OpenAI for Python and
for JavaScript, Vercel's AI SDK, and curl."""

import asyncio
import io
import json
import subprocess
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import groq
import openai
import pytest

from accounts.models import Organization
from groq_client import Groq as Recorded
from ledger.models import UsageEvent
from tests.gateway.answers import check_event, text_of
from tests.gateway.doors import CALL, Door, question
from tests.gateway.programs import run
from tests.gateway.relay import relay
from tests.gateway.tap import Tap, unchanged
from tests.gateway.test_faults import facts_of_call, facts_of_event
from tests.gateway.wiretap import wiretap
from tests.groq_client.memory import MESSAGES, MODEL, Memory
from tests.pricing.prices import make_price

pytestmark = pytest.mark.django_db(transaction=True)

AUDIO = Path(__file__).parent.parent / "data" / "audio" / "pcm.wav"
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]
Use = Callable[[Any], Any]


def whole(client: Any) -> Any:
    return client.chat.completions.create(model=MODEL, messages=MESSAGES)


def tools(client: Any) -> Any:
    return client.chat.completions.create(model=MODEL, messages=MESSAGES, tools=TOOLS, tool_choice="required")


def stream(client: Any) -> Any:
    return list(client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))


def raw(client: Any) -> Any:
    return client.chat.completions.with_raw_response.create(model=MODEL, messages=MESSAGES).parse()


def raw_stream(client: Any) -> Any:
    asked: Any = {"model": MODEL, "messages": MESSAGES, "stream": True}
    with client.chat.completions.with_streaming_response.create(**asked) as response:
        return b"".join(response.iter_bytes())


def streamed_tools(client: Any) -> Any:
    asked: Any = {"model": MODEL, "messages": MESSAGES, "stream": True}
    return list(client.chat.completions.create(**asked, tools=TOOLS, tool_choice="required"))


def embeddings(client: Any) -> Any:
    return client.embeddings.create(model="nomic-embed-text-v1_5", input=["one", "two"])


def transcription(client: Any) -> Any:
    return client.audio.transcriptions.create(model="whisper-large-v3", file=AUDIO, language="en")


def translation(client: Any) -> Any:
    return client.audio.translations.create(model="whisper-large-v3", file=("a.wav", AUDIO.read_bytes()))


def speech(client: Any) -> Any:
    return client.audio.speech.create(
        model="canopylabs/orpheus-v1-english", voice="autumn", input="Hello there.", response_format="wav"
    ).read()


USES: list[Use] = [
    whole,
    tools,
    stream,
    streamed_tools,
    raw,
    raw_stream,
    embeddings,
    transcription,
    translation,
    speech,
]


@pytest.fixture(params=["groq", "openai", "openai /v1"])
def client(tap: Tap, request: pytest.FixtureRequest) -> Any:
    if request.param == "groq":
        return groq.Groq(api_key=CALL, base_url=tap.address, max_retries=0)
    path = "/v1" if request.param.endswith("/v1") else "/openai/v1"
    return openai.OpenAI(api_key=CALL, base_url=tap.address + path, max_retries=0)


def test_each_call_of_an_sdk_leaves_the_event_of_our_own_client(door: Door, tap: Tap, client: Any) -> None:
    memory = Memory()
    with Recorded(api_key="gsk", base_url=door.groq.base_url, recorder=memory, max_retries=0) as ours:
        for use in USES:
            use(ours)
    with unchanged(tap):
        for use in USES:
            with wiretap() as wrote:
                answered = use(client)
            if use in (whole, tools, raw):
                told = json.loads(b"".join(wrote))
                assert answered.usage.total_tokens == told["usage"]["total_tokens"]
                assert answered.id == told["id"]
            elif use in (speech, raw_stream):
                assert answered == b"".join(wrote)
    events = door.all(len(USES))
    assert len(memory.calls) == len(USES)
    by_the_sdk = [without_figures(facts_of_call(call)) for call in memory.started]
    assert [without_figures(facts_of_event(event)) for event in events] == by_the_sdk
    for event, call in zip(events, memory.started, strict=True):
        assert event.audio_seconds == call.usage.audio_seconds
        assert event.characters == call.usage.characters


def without_figures(facts: dict[str, Any]) -> dict[str, Any]:
    """The simulator's answers differ in length from one call to the next."""
    return {name: value for name, value in facts.items() if name not in ("output_tokens", "total_tokens")}


@pytest.mark.parametrize("sdk", [groq.AsyncGroq, openai.AsyncOpenAI])
def test_asynchronous_clients(door: Door, tap: Tap, sdk: Any) -> None:
    async def run() -> None:
        base_url = tap.address if sdk is groq.AsyncGroq else f"{tap.address}/v1"
        async with sdk(api_key=CALL, base_url=base_url) as client:
            await asyncio.gather(*(one(client) for _ in range(5)))

    async def one(client: Any) -> None:
        answer = await client.chat.completions.create(model=MODEL, messages=MESSAGES)
        assert answer.usage.total_tokens > 0
        asked: Any = {"model": MODEL, "messages": MESSAGES, "tools": TOOLS, "tool_choice": "required"}
        assert (await client.chat.completions.create(**asked)).choices[0].message.tool_calls
        chunks = [
            chunk async for chunk in await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
        ]
        assert chunks[-1].x_groq if sdk is groq.AsyncGroq else chunks
        with io.BytesIO(AUDIO.read_bytes()) as file:
            assert (await client.audio.transcriptions.create(model="whisper-large-v3", file=("a.wav", file))).text

    with unchanged(tap):
        asyncio.run(run())
    events = door.all(20)
    assert {event.status for event in events} == {"success"}
    assert len({event.request_id for event in events}) == 20


@pytest.mark.parametrize("streamed", [False, True])
def test_the_responses_api(door: Door, tap: Tap, streamed: bool) -> None:
    client = openai.OpenAI(api_key=CALL, base_url=f"{tap.address}/v1", max_retries=0)
    asked: Any = {"model": MODEL, "input": "Name three rivers of Asia, please.", "instructions": "Be brief."}
    with unchanged(tap):
        if streamed:
            events = list(client.responses.create(**asked, stream=True))
            answer: Any = events[-1].response
            assert "".join(event.delta for event in events if event.type.endswith("text.delta")) == answer.output_text
        else:
            answer = client.responses.create(**asked)
    event = door.only()
    assert (event.input_tokens, event.output_tokens) == (answer.usage.input_tokens, answer.usage.output_tokens)
    assert (event.status, event.operation, event.stream) == ("success", "chat", streamed)
    assert not event.tokens_estimated


def test_the_figures_after_a_stream(door: Door) -> None:
    """For those who ask for them, in a comment that every client of event streams ignores."""
    response = door.ask(stream=True, headers={"x-usage-comment": "1"})
    last = response.text.rstrip().splitlines()[-1]
    told = json.loads(last.removeprefix(": x-usage "))
    event = door.only()
    assert told["request_id"] == event.request_id
    assert told["tokens"] == str(event.total_tokens)


def test_the_cost_in_front_of_an_answer(door: Door, groq_prices: None) -> None:
    """Each process knows the prices from its first recorded call on."""
    for _ in range(50):
        response = door.ask()
        if "x-usage-cost" in response.headers:
            break
        door.event()
    assert Decimal(response.headers["x-usage-cost"]) == door.event().cost_usd


@pytest.fixture
def groq_prices(acme: Organization) -> None:
    make_price(MODEL)


def test_the_models_cost_nothing(door: Door) -> None:
    client = openai.OpenAI(api_key=CALL, base_url=f"{door.address}/v1")
    assert MODEL in [model.id for model in client.models.list()]
    assert client.models.retrieve(MODEL).id == MODEL


def test_the_results_of_a_batch_are_recorded_once(door: Door) -> None:
    client = groq.Groq(api_key=CALL, base_url=door.address, max_retries=0)
    asked = [
        {"custom_id": f"c{number}", "method": "POST", "url": "/v1/chat/completions", "body": question()}
        for number in range(3)
    ]
    asked.append({**asked[0], "custom_id": "bad", "body": question(model="sim/error-400")})
    lines = "\n".join(map(json.dumps, asked))
    file = client.files.create(file=("in.jsonl", lines.encode()), purpose="batch")
    batch = client.batches.create(completion_window="24h", endpoint="/v1/chat/completions", input_file_id=file.id or "")
    client.files.content(file.id or "").read()
    with wiretap() as wrote:
        results = client.files.content(batch.output_file_id or "").read()
    assert results == b"".join(wrote)
    client.files.content(batch.output_file_id or "").read()
    bodies = [json.loads(line)["response"]["body"] for line in results.splitlines()]
    events = door.all(len(bodies))
    assert {event.operation for event in events} == {"batch"}
    assert {event.organization.slug for event in events} == {"acme"}
    assert sum(event.total_tokens for event in events) == sum(body["usage"]["total_tokens"] for body in bodies)
    client.files.delete(file.id or "")


def test_retries_are_calls_of_their_own(door: Door) -> None:
    """Here every attempt is a request of its own, so that the ledger counts what Groq counts."""
    client = groq.Groq(api_key=CALL, base_url=door.address, max_retries=2)
    client.chat.completions.create(
        model=f"sim/retry-then-success-1/{MODEL}", messages=MESSAGES, extra_headers={"x-usage-request-id": "mine"}
    )
    first, second = door.all(2)
    assert (first.request_id, first.status, first.http_status) == ("mine", "error", 429)
    assert (second.request_id, second.status) == ("mine~1", "success")


def test_one_request_id_at_two_workers_is_a_call_each(door: Door) -> None:
    """Each worker knows only the ids that it was given itself; the ledger tells the others apart."""
    for _ in range(12):
        door.ask(headers={"x-usage-request-id": "always the same"})  # on a connection of its own
    events = door.all(12)
    assert {event.request_id.partition("~")[0] for event in events} == {"always the same"}


CHAT, TRANSCRIPTION = "chat/completions", "audio/transcriptions"
AS_JSON = ["-H", "Content-Type: application/json", "-d"]
CURL = {
    "whole": [CHAT, *AS_JSON, json.dumps(question())],
    "stream": [CHAT, *AS_JSON, json.dumps(question(stream=True))],
    "tools": [CHAT, *AS_JSON, json.dumps(question(tools=TOOLS, tool_choice="required"))],
    "transcription": [TRANSCRIPTION, "-F", f"file=@{AUDIO}", "-F", "model=whisper-large-v3"],
    "error": [CHAT, *AS_JSON, json.dumps(question(model="no-such-model"))],
}


@pytest.mark.parametrize("use", CURL)
def test_curl(door: Door, use: str) -> None:
    path, *options = CURL[use]
    with relay(door.address) as (address, passed), wiretap() as wrote:
        command = ["curl", "-sS", f"{address}/openai/v1/{path}", "-H", f"Authorization: Bearer {CALL}", *options]
        printed = subprocess.run(command, check=True, capture_output=True).stdout
    (answer,) = passed
    assert printed == answer.body == b"".join(wrote)
    check_event(door.event(answer.request_id), use, answer)
    assert UsageEvent.objects.count() == 1


def test_an_upload_in_chunks_with_the_model_last(door: Door) -> None:
    command = ["curl", "-sS", "--fail-with-body", f"{door.address}/openai/v1/audio/transcriptions"]
    command += ["-H", f"Authorization: Bearer {CALL}", "-H", "Transfer-Encoding: chunked", "-H", "Expect:"]
    command += ["-F", f"file=@{AUDIO}", "-F", "model=whisper-large-v3"]
    subprocess.run(command, check=True, capture_output=True)
    event = door.only()
    assert (event.model, event.operation, event.tokens_estimated) == ("whisper-large-v3", "transcription", False)
    assert event.audio_seconds > 0


JAVASCRIPT = Path(__file__).parent / "javascript" / "calls.mjs"
USED = ("whole", "stream", "tools", "transcription", "error")
OF_JAVASCRIPT = [(client, use) for client in ("groq-sdk", "openai", "@ai-sdk/groq") for use in USED]
OF_JAVASCRIPT += [("openai", "responses"), ("openai", "responses stream")]


def test_clients_for_javascript(door: Door, tmp_path: Path) -> None:
    """One process makes all calls, one after the other, so that the answers are in the order of the calls."""
    with relay(door.address) as (address, passed), wiretap() as wrote:
        environment = {"ADDRESS": address, "KEY": CALL, "MODEL": MODEL, "AUDIO": str(AUDIO)}
        printed = run("calls.mjs", JAVASCRIPT.read_text(), tmp_path, **environment)
    said = [json.loads(line) for line in printed.splitlines()]
    assert sorted((one["client"], one["use"]) for one in said) == sorted(OF_JAVASCRIPT)
    assert b"".join(answer.body for answer in passed) == b"".join(wrote)
    assert len(said) == len(passed)
    for told, answer in zip(said, passed, strict=True):
        assert told["status"] == answer.status, told
        text = text_of(answer)
        assert told["text"] == text if answer.status == 200 else text in told["text"], told
        check_event(door.event(answer.request_id), told["use"], answer)
    assert UsageEvent.objects.count() == len(said)
