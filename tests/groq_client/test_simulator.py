"""The simulator as the official SDK sees it, over a real socket."""

import asyncio
import io
import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
import wave
from collections.abc import Iterator
from typing import Any

import groq
import httpx
import pytest
from groq.types.chat import ChatCompletion, ChatCompletionChunk

from groq_client import tokens
from groq_client.simulator.catalogue import CATALOGUE
from groq_client.simulator.command import fault_list, main
from groq_client.simulator.faults import FAULTS, Fault, UnknownFaultError, parse_fault, split_model
from groq_client.simulator.limits import go_duration
from groq_client.simulator.server import CannotListenError, SimulatorHandle, running_simulator
from tests.running_demo import wait_until

PLAIN = "llama-3.1-8b-instant"
THINKER = "openai/gpt-oss-120b"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["celsius"]}},
        },
    },
}


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorHandle]:
    with running_simulator() as handle:
        yield handle


@pytest.fixture(autouse=True)
def _forget(simulator: SimulatorHandle) -> None:
    simulator.requests.clear()


@pytest.fixture
def client(simulator: SimulatorHandle) -> Iterator[groq.Groq]:
    with groq.Groq(api_key="gsk_test", base_url=simulator.base_url, max_retries=0) as client:
        yield client


def ask(
    client: groq.Groq, model: str = PLAIN, prompt: str = "What should we do next?", **options: Any
) -> ChatCompletion:
    headers = {f"x-sim-{name}": str(value) for name, value in options.pop("sim", {}).items()}
    messages: Any = [{"role": "user", "content": prompt}]
    answer: ChatCompletion = client.chat.completions.create(
        model=model, messages=messages, extra_headers=headers, **options
    )
    return answer


def stream(client: groq.Groq, model: str = PLAIN, **options: Any) -> Iterator[ChatCompletionChunk]:
    answer: Any = ask(client, model, stream=True, **options)
    return iter(answer)


def text_of(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def collect(chunks: Iterator[ChatCompletionChunk]) -> tuple[list[ChatCompletionChunk], Exception | None]:
    """The chunks that came before an error, and the error."""
    seen: list[ChatCompletionChunk] = []
    try:
        for chunk in chunks:
            seen.append(chunk)  # noqa: PERF402 - extend would lose what came before the error
    except Exception as error:
        return seen, error
    return seen, None


def completion_count(text: str) -> int:
    return tokens.estimate_completion(text, "", [], PLAIN)


def usages_of(chunks: list[ChatCompletionChunk]) -> list[object]:
    reported = [chunk.usage for chunk in chunks] + [chunk.x_groq and chunk.x_groq.usage for chunk in chunks]
    return [usage for usage in reported if usage]


# A plain answer


def test_answer_has_ids_usage_and_times(client: groq.Groq) -> None:
    answer = ask(client, service_tier="flex")
    assert answer.id.startswith("chatcmpl-")
    assert answer.x_groq is not None
    assert answer.x_groq.id.startswith("req_")
    assert (answer.model, answer.service_tier, answer.system_fingerprint) == (PLAIN, "flex", "fp_simulator01")
    usage = answer.usage
    assert usage is not None
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert usage.total_time == pytest.approx((usage.prompt_time or 0) + (usage.completion_time or 0))
    assert usage.queue_time


def test_tokens_are_counted_with_the_real_vocabulary(client: groq.Groq) -> None:
    answer = ask(client)
    assert answer.usage is not None
    assert answer.usage.completion_tokens == completion_count(answer.choices[0].message.content or "")
    body = {"model": PLAIN, "messages": [{"role": "user", "content": "What should we do next?"}]}
    assert answer.usage.prompt_tokens == tokens.estimate_prompt(body, PLAIN)


def test_same_prompt_gets_the_same_words(client: groq.Groq) -> None:
    first, second, other = ask(client), ask(client), ask(client, prompt="Something else")
    assert first.choices[0].message.content == second.choices[0].message.content
    assert first.choices[0].message.content != other.choices[0].message.content
    assert first.id != second.id


def test_prompt_decides_the_length(client: groq.Groq) -> None:
    short, usual, long = (
        len(ask(client, prompt=prompt).choices[0].message.content or "")
        for prompt in ("A short answer, please", "An answer, please", "A long answer, please")
    )
    assert short < usual < long


def test_stream_says_the_same_as_the_whole_answer(client: groq.Groq) -> None:
    chunks = list(stream(client))
    whole = ask(client)
    assert text_of(chunks) == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert len({chunk.id for chunk in chunks}) == 1


def test_stream_reports_usage_once_in_its_last_chunk(client: groq.Groq) -> None:
    chunks = list(stream(client))
    assert chunks[0].x_groq is not None
    assert chunks[-1].x_groq is not None
    assert chunks[0].x_groq.id == chunks[-1].x_groq.id
    assert usages_of(chunks) == [chunks[-1].x_groq.usage]


def test_stream_reports_usage_again_when_asked(client: groq.Groq) -> None:
    chunks = list(stream(client, extra_body={"stream_options": {"include_usage": True}}))
    assert chunks[-1].choices == []
    assert len(usages_of(chunks)) == 2


def test_reasoning_is_sent_and_counted(client: groq.Groq) -> None:
    answer = ask(client, THINKER)
    assert answer.choices[0].message.reasoning
    assert answer.usage is not None
    assert answer.usage.completion_tokens_details is not None
    assert 0 < answer.usage.completion_tokens_details.reasoning_tokens < answer.usage.completion_tokens
    streamed = [chunk.choices[0].delta.reasoning or "" for chunk in stream(client, THINKER)]
    assert "".join(streamed) == answer.choices[0].message.reasoning


def test_hidden_reasoning_is_counted_all_the_same(client: groq.Groq) -> None:
    answer = ask(client, THINKER, include_reasoning=False)
    assert answer.choices[0].message.reasoning is None
    assert answer.usage is not None
    assert answer.usage.completion_tokens_details is not None


def test_raw_reasoning_comes_inside_the_text(client: groq.Groq) -> None:
    message = ask(client, "qwen/qwen3.8-27b", reasoning_format="raw").choices[0].message
    assert (message.content or "").startswith("<think>")
    assert message.reasoning is None


def test_tools_are_called_until_their_result_is_there(client: groq.Groq) -> None:
    answer = ask(client, tools=[WEATHER])
    (call,) = answer.choices[0].message.tool_calls or []
    assert answer.choices[0].finish_reason == "tool_calls"
    assert call.function.name == "get_weather"
    assert set(json.loads(call.function.arguments)) == {"city", "unit"}
    conversation: Any = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "tool_calls": [call.model_dump()]},
        {"role": "tool", "tool_call_id": call.id, "content": "rain"},
    ]
    after: Any = client.chat.completions.create(model=PLAIN, messages=conversation, tools=[WEATHER])  # type: ignore[list-item]
    assert after.choices[0].finish_reason == "stop"
    assert after.choices[0].message.content


def test_tool_arguments_are_streamed_in_fragments(client: groq.Groq) -> None:
    chunks = list(stream(client, tools=[WEATHER]))
    fragments = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
    assert len(fragments) > 2
    joined = "".join(part.function.arguments or "" for part in fragments if part.function)
    assert json.loads(joined)["unit"] == "celsius"
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_limit_of_tokens_cuts_the_answer(client: groq.Groq, name: str) -> None:
    limit: dict[str, Any] = {name: 10}
    answer = ask(client, prompt="A long answer", **limit)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 10
    assert tokens.count_text(answer.choices[0].message.content or "", PLAIN) <= 10


def test_json_mode_answers_json(client: groq.Groq) -> None:
    answer = ask(client, response_format={"type": "json_object"})
    assert "answer" in json.loads(answer.choices[0].message.content or "")


def test_json_schema_is_followed(client: groq.Groq) -> None:
    schema = {"type": "object", "properties": {"count": {"type": "integer"}, "tags": {"type": "array", "items": {}}}}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    answer = json.loads(ask(client, response_format=form).choices[0].message.content or "")
    assert isinstance(answer["count"], int)
    assert isinstance(answer["tags"], list)


def test_n_answers_are_all_counted(client: groq.Groq) -> None:
    answer = ask(client, n=3)
    said = [choice.message.content or "" for choice in answer.choices]
    assert len(set(said)) == 3
    assert answer.usage is not None
    assert answer.usage.completion_tokens == sum(map(completion_count, said))


def test_later_turns_read_the_earlier_ones_from_the_cache(client: groq.Groq) -> None:
    conversation: Any = [
        {"role": "system", "content": "You are careful. " * 100},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "And now?"},
    ]
    usage = client.chat.completions.create(model=THINKER, messages=conversation).usage
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    assert 0 < usage.prompt_tokens_details.cached_tokens < usage.prompt_tokens
    assert usage.prompt_tokens_details.cached_tokens % 128 == 0


def test_cached_tokens_can_be_asked_for(client: groq.Groq) -> None:
    usage = ask(client, sim={"cached-tokens": 5}).usage
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    assert usage.prompt_tokens_details.cached_tokens == 5


def test_compound_shares_its_usage_between_two_models(client: groq.Groq) -> None:
    answer = ask(client, "groq/compound")
    assert answer.usage is not None
    assert answer.usage_breakdown is not None
    parts = answer.usage_breakdown.models
    assert [part.model for part in parts] == ["openai/gpt-oss-120b", "llama-3.3-70b-versatile"]
    assert sum(part.usage.total_tokens for part in parts) == answer.usage.total_tokens
    last = list(stream(client, "groq/compound-mini"))[-1]
    assert last.x_groq is not None
    assert last.x_groq.usage_breakdown is not None


def test_async_client_is_served_as_well(simulator: SimulatorHandle) -> None:
    async def collect() -> list[ChatCompletionChunk]:
        async with groq.AsyncGroq(api_key="gsk_test", base_url=simulator.base_url) as client:
            chunks = await client.chat.completions.create(
                model=PLAIN, messages=[{"role": "user", "content": "Hi"}], stream=True
            )
            return [chunk async for chunk in chunks]

    assert text_of(asyncio.run(collect()))


# Pace


def test_chunks_can_be_counted_out(client: groq.Groq) -> None:
    chunks = list(stream(client, sim={"chunks": 5000}))
    assert len([chunk for chunk in chunks if chunk.choices[0].delta.content]) == 5000


def test_chunks_keep_the_delay_that_was_asked_for(client: groq.Groq) -> None:
    began = time.monotonic()
    chunks = list(stream(client, sim={"chunks": 10, "chunk-delay-ms": 20}))
    passed = time.monotonic() - began
    assert passed >= 0.2
    assert chunks[-1].x_groq is not None
    assert chunks[-1].x_groq.usage is not None
    assert chunks[-1].x_groq.usage.completion_time == pytest.approx(0.2)


@pytest.mark.parametrize("streamed", [False, True])
def test_reported_times_are_the_times_that_passed(streamed: bool) -> None:
    with running_simulator(speed=2) as handle, groq.Groq(api_key="gsk_test", base_url=handle.base_url) as client:
        ask(client, prompt="warm")
        began = time.monotonic()
        usage: Any
        if streamed:
            (usage,) = usages_of(list(stream(client)))
        else:
            usage = ask(client).usage
        passed = time.monotonic() - began
    assert passed * 0.5 < usage.queue_time + usage.total_time <= passed


# Other endpoints


def wav(seconds: float) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"\0\0" * int(8000 * seconds))
    return out.getvalue()


def test_transcription_says_neither_usage_nor_duration(client: groq.Groq, simulator: SimulatorHandle) -> None:
    answer = client.audio.transcriptions.create(model="whisper-large-v3", file=("talk.wav", wav(3)))
    assert answer.text
    assert set(answer.model_dump()) == {"text", "x_groq"}
    received = simulator.requests[-1]
    assert received.fields["model"] == "whisper-large-v3"
    assert received.files == {"file": ("talk.wav", len(wav(3)))}


def test_verbose_transcription_says_the_length_of_the_file(client: groq.Groq) -> None:
    answer: Any = client.audio.transcriptions.create(
        model="whisper-large-v3-turbo", file=("talk.wav", wav(12.5)), response_format="verbose_json"
    )
    assert answer.duration == pytest.approx(12.5)


def test_transcription_as_text_is_plain_text(client: groq.Groq) -> None:
    answer = client.audio.transcriptions.with_raw_response.create(
        model="whisper-large-v3", file=("talk.wav", wav(1)), response_format="text"
    )
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text()


def test_unreadable_audio_gets_an_answer(client: groq.Groq) -> None:
    assert client.audio.translations.create(model="whisper-large-v3", file=("noise.mp3", b"noise" * 100)).text


def test_transcription_needs_a_file(client: groq.Groq) -> None:
    with pytest.raises(groq.BadRequestError, match="file"):
        client.post("/openai/v1/audio/transcriptions", body={"model": "whisper-large-v3"}, cast_to=object)


def test_speech_is_a_real_sound_file(client: groq.Groq) -> None:
    sound = client.audio.speech.create(
        model="canopylabs/orpheus-v1-english", input="Good morning", voice="hannah", sample_rate=16000
    )
    with wave.open(io.BytesIO(sound.read())) as file:
        assert file.getframerate() == 16000
        assert file.getnframes() > 0


def test_embeddings_are_the_same_for_the_same_text(client: groq.Groq) -> None:
    answer = client.embeddings.create(model="nomic-embed-text-v1_5", input=["one", "two", "one"])
    first, second, third = (item.embedding for item in answer.data)
    assert first == third != second
    assert len(first) == 768
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 0


def test_models_are_listed_and_shown(client: groq.Groq) -> None:
    assert {model.id for model in client.models.list().data} == set(CATALOGUE)
    assert client.models.retrieve(THINKER).owned_by == "OpenAI"
    with pytest.raises(groq.NotFoundError, match="does not exist"):
        client.models.retrieve("nobody/nothing")


def test_files_and_batches_start_empty() -> None:
    with running_simulator() as fresh, groq.Groq(api_key="gsk_test", base_url=fresh.base_url) as client:
        assert client.files.list().data == []
        assert client.batches.list().data == []


def test_batch_answers_every_line(client: groq.Groq) -> None:
    def line(number: int, model: str) -> str:
        body = {"model": model, "messages": [{"role": "user", "content": f"Question {number}"}]}
        return json.dumps({"custom_id": f"q{number}", "method": "POST", "url": "/v1/chat/completions", "body": body})

    lines = "\n".join([line(1, PLAIN), line(2, "nobody/nothing"), "{broken"])
    file = client.files.create(file=("in.jsonl", lines.encode()), purpose="batch")
    batch = client.batches.create(completion_window="24h", endpoint="/v1/chat/completions", input_file_id=file.id or "")
    batch_again = client.batches.retrieve(batch.id)
    assert (batch_again.status, batch_again.output_file_id) == ("completed", batch.output_file_id)
    assert batch.request_counts is not None
    assert (batch.request_counts.completed, batch.request_counts.failed) == (1, 2)
    content = client.files.content(batch.output_file_id or "").read()
    first, second, _ = map(json.loads, content.splitlines())
    assert first["custom_id"] == "q1"
    assert first["response"]["body"]["usage"]["total_tokens"] > 0
    assert second["response"]["status_code"] == 404
    client.files.delete(file.id or "")
    with pytest.raises(groq.NotFoundError):
        client.files.info(file.id or "")


# Headers and refusals


def test_rate_limits_count_down_on_answers_and_errors(simulator: SimulatorHandle, client: groq.Groq) -> None:
    with running_simulator() as fresh, groq.Groq(api_key="gsk_test", base_url=fresh.base_url, max_retries=0) as client:
        messages: Any = [{"role": "user", "content": "Hi"}]
        answer = client.chat.completions.with_raw_response.create(model="llama-3.3-70b-versatile", messages=messages)
        with pytest.raises(groq.InternalServerError) as caught:
            ask(client, "sim/error-500/llama-3.3-70b-versatile")
    first, second = answer.headers, caught.value.response.headers
    assert first["x-request-id"].startswith("req_")
    assert first["x-ratelimit-limit-requests"] == "1000"
    assert (first["x-ratelimit-remaining-requests"], second["x-ratelimit-remaining-requests"]) == ("999", "998")
    assert first["x-ratelimit-reset-requests"] == "1m26.4s"
    assert int(first["x-ratelimit-remaining-tokens"]) < int(first["x-ratelimit-limit-tokens"])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0ms"), (0.12, "120ms"), (6, "6s"), (1.57, "1.57s"), (86.4, "1m26.4s"), (7203, "2h0m3s"), (59.9999, "1m0s")],
)
def test_durations_read_like_groqs(seconds: float, text: str) -> None:
    assert go_duration(seconds) == text


def test_missing_key_is_refused(simulator: SimulatorHandle) -> None:
    for path in ("chat/completions", "models"):
        answer = httpx.request(
            "GET" if path == "models" else "POST", f"{simulator.base_url}/openai/v1/{path}", json={"model": PLAIN}
        )
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "invalid_api_key"


def test_unknown_model_is_not_found(client: groq.Groq) -> None:
    with pytest.raises(groq.NotFoundError) as caught:
        ask(client, "nobody/nothing")
    assert body_of(caught.value)["code"] == "model_not_found"


def test_model_with_a_lone_surrogate_is_no_internal_error(simulator: SimulatorHandle) -> None:
    body = b'{"model": "%s", "messages": [{"role": "user", "content": "x"}], "stream": true}'
    assert post(simulator, body % b"\\ud800").status_code == 404
    assert post(simulator, body % b"unpriced/\\ud800").status_code == 200


def test_chunks_asked_for_do_not_turn_a_tool_call_into_text(client: groq.Groq) -> None:
    assert text_of(list(stream(client, tools=[WEATHER], sim={"chunks": 10}))) == ""


@pytest.mark.parametrize(
    "fault", sorted(set(FAULTS) - {"timeout", "never-done", "slow-first-byte", "retry-then-success"})
)
@pytest.mark.parametrize("streamed", ["true", "false"])
def test_no_fault_breaks_the_simulator_itself(simulator: SimulatorHandle, fault: str, streamed: str) -> None:
    body = '{"model": "sim/%s/%s", "messages": [{"role": "user", "content": ""}], "max_tokens": 1, "stream": %s}'
    try:
        answer = post(simulator, (body % (fault, PLAIN, streamed)).encode())
    except httpx.RemoteProtocolError:
        assert fault == "cut"
    else:
        assert "Internal Server Error" not in answer.text or fault == "error-500"


def test_limit_shortens_a_stream_of_many_chunks(client: groq.Groq) -> None:
    chunks = list(stream(client, max_tokens=10, sim={"chunks": 100}))
    assert tokens.count_text(text_of(chunks), PLAIN) <= 10


def test_unpriced_models_answer(client: groq.Groq) -> None:
    assert ask(client, "unpriced/novel-1").model == "unpriced/novel-1"


def test_speech_model_does_not_chat(client: groq.Groq) -> None:
    with pytest.raises(groq.BadRequestError, match="does not support"):
        ask(client, "whisper-large-v3")


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"\xff\xfe",
        b"[" * 200_000,
        b'{"model": 5}',
        b'{"model": "llama-3.1-8b-instant"}',
        b'{"model": "llama-3.1-8b-instant", "messages": ["x"]}',
        b'{"model": "llama-3.1-8b-instant", "messages": [{"role": "user", "content": "x"}], "max_tokens": -1}',
        b'{"model": "sim/no-such-fault", "messages": [{"role": "user", "content": "x"}]}',
    ],
)
def test_nonsense_is_a_400(simulator: SimulatorHandle, body: bytes) -> None:
    answer = post(simulator, body)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x" * 1_000_000,
        b"--b\r\nfoo",
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\ncut',
        b'--b\r\nContent-Disposition: form-data; name="m"\r\n\r\n\xff\r\n--b--\r\n',
        b'--b\r\nContent-Disposition: form-data; name="m"\r\nContent-Transfer-Encoding: zip\r\n\r\nm\r\n--b--\r\n',
        b'--b\r\nContent-Disposition: form-data; name="m"\r\nContent-Type: text/plain; charset=x\r\n\r\nm\r\n--b--\r\n',
    ],
    ids=["nothing", "no boundary", "no header", "cut", "not UTF-8", "unknown transfer coding", "unknown charset"],
)
def test_a_broken_form_is_a_400(simulator: SimulatorHandle, body: bytes) -> None:
    headers = {"authorization": "Bearer x", "content-type": "multipart/form-data; boundary=b"}
    url = f"{simulator.base_url}/openai/v1/audio/transcriptions"
    assert httpx.post(url, headers=headers, content=body).status_code == 400


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data; boundary=b"])
def test_a_body_that_is_not_compressed_as_it_says_is_a_400(simulator: SimulatorHandle, content_type: str) -> None:
    headers = {"content-encoding": "gzip", "content-type": content_type}
    assert post(simulator, b"--b\r\nno gzip", **headers).status_code == 400


@pytest.mark.parametrize("content", ["\ud800", "\x00", None, 5, [{"type": "text", "text": "Hi"}], [{"type": "x"}], {}])
def test_odd_content_is_not_an_internal_error(simulator: SimulatorHandle, content: object) -> None:
    body = {"model": PLAIN, "messages": [{"role": "user", "content": content}]}
    assert post(simulator, json.dumps(body).encode()).status_code in (200, 400)


def test_unknown_paths_are_not_found(client: groq.Groq) -> None:
    with pytest.raises(groq.NotFoundError, match="Unknown request URL"):
        client.get("/openai/v1/nowhere", cast_to=object)


def post(simulator: SimulatorHandle, body: bytes, **headers: str) -> httpx.Response:
    return httpx.post(
        f"{simulator.base_url}/openai/v1/chat/completions",
        content=body,
        headers={"authorization": "Bearer gsk_test", "content-type": "application/json", **headers},
    )


def body_of(error: groq.APIError) -> dict[str, Any]:
    """The inner error, wherever the SDK left it."""
    body: Any = error.body
    return body.get("error", body) if isinstance(body, dict) else {}


# Faults


@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        ("error-400", groq.BadRequestError, None),
        ("error-400-tool_use_failed", groq.BadRequestError, "tool_use_failed"),
        ("error-400-blocked_api_access", groq.BadRequestError, "blocked_api_access"),
        ("error-401", groq.AuthenticationError, "invalid_api_key"),
        ("error-403", groq.PermissionDeniedError, "model_permission_blocked_project"),
        ("error-404", groq.NotFoundError, "model_not_found"),
        ("error-413", groq.APIStatusError, "rate_limit_exceeded"),
        ("error-422", groq.UnprocessableEntityError, "unprocessable"),
        ("error-424", groq.APIStatusError, "failed_dependency"),
        ("error-429", groq.RateLimitError, "rate_limit_exceeded"),
        ("error-498", groq.APIStatusError, "capacity_exceeded"),
        ("error-499", groq.APIStatusError, "request_cancelled"),
        ("error-500", groq.InternalServerError, None),
        ("error-502", groq.InternalServerError, None),
        ("error-503", groq.InternalServerError, "over_capacity"),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_scripted_status(
    client: groq.Groq, fault: str, kind: type[groq.APIStatusError], code: str | None, streamed: bool
) -> None:
    with pytest.raises(kind) as caught:
        ask(client, f"sim/{fault}", stream=streamed)
    error = caught.value
    assert type(error) is kind
    assert error.status_code == int(fault.split("-")[1])
    assert body_of(error).get("code") == code
    assert ("retry-after" in error.response.headers) == (error.status_code in (429, 503))
    assert ("failed_generation" in body_of(error)) == (code == "tool_use_failed")


def test_every_scripted_status_is_tested() -> None:
    parameters = test_scripted_status.pytestmark[1].args[1]  # type: ignore[attr-defined]
    scripted = {name for name in FAULTS if name.startswith("error-") and "midstream" not in name}
    assert {row[0] for row in parameters} == scripted


def test_fault_by_header_leaves_the_model_alone(client: groq.Groq, simulator: SimulatorHandle) -> None:
    with pytest.raises(groq.RateLimitError):
        ask(client, sim={"fault": "error-429"})
    assert simulator.requests[-1].body is not None
    assert simulator.requests[-1].body["model"] == PLAIN


def test_retries_succeed_and_can_be_counted(client: groq.Groq, simulator: SimulatorHandle) -> None:
    answer = ask(client.with_options(max_retries=2), f"sim/retry-then-success-2/{PLAIN}")
    assert answer.model == PLAIN
    assert [request.attempt for request in simulator.requests] == [1, 2, 3]


def test_retries_give_up_when_there_are_too_few(client: groq.Groq, simulator: SimulatorHandle) -> None:
    with pytest.raises(groq.RateLimitError):
        ask(client.with_options(max_retries=1), "sim/retry-then-success-2")
    assert len(simulator.requests) == 2


def test_timeout_is_a_timeout(client: groq.Groq, simulator: SimulatorHandle) -> None:
    with pytest.raises(groq.APITimeoutError):
        ask(client.with_options(timeout=0.1), "sim/timeout")
    assert not simulator.requests[-1].completed


def test_timeout_can_end(client: groq.Groq) -> None:
    began = time.monotonic()
    ask(client, "sim/timeout", sim={"delay-ms": 80})
    assert time.monotonic() - began >= 0.08


def test_slow_first_byte(client: groq.Groq) -> None:
    began = time.monotonic()
    next(stream(client, "sim/slow-first-byte", sim={"delay-ms": 80}))
    assert time.monotonic() - began >= 0.08


def test_slow_chunks(client: groq.Groq) -> None:
    chunks = stream(client, "sim/slow-chunks")
    next(chunks)
    began = time.monotonic()
    next(chunks)
    assert time.monotonic() - began >= 0.15


@pytest.mark.parametrize("fault", ["error-midstream", "error-midstream-data"])
def test_error_in_mid_stream_is_a_bare_error_after_some_text(client: groq.Groq, fault: str) -> None:
    chunks, error = collect(stream(client, f"sim/{fault}"))
    assert text_of(chunks)
    assert type(error) is groq.APIError
    assert not hasattr(error, "status_code")
    with pytest.raises(groq.InternalServerError):
        ask(client, f"sim/{fault}")


def test_x_groq_error_is_in_the_last_chunk(client: groq.Groq) -> None:
    *before, last = stream(client, "sim/x-groq-error")
    assert last.x_groq is not None
    assert "over_capacity" in (last.x_groq.error or "")
    assert last.x_groq.usage is not None
    assert text_of(before)


def test_cut_in_mid_stream(client: groq.Groq) -> None:
    chunks, error = collect(stream(client, "sim/cut"))
    assert text_of(chunks)
    assert isinstance(error, httpx.RemoteProtocolError)


def test_cut_in_mid_body(client: groq.Groq) -> None:
    with pytest.raises(groq.APIConnectionError):
        ask(client, "sim/cut")


def test_no_usage(client: groq.Groq) -> None:
    assert ask(client, "sim/no-usage").usage is None
    chunks = list(stream(client, "sim/no-usage", extra_body={"stream_options": {"include_usage": True}}))
    assert usages_of(chunks) == []


def test_usage_twice(client: groq.Groq) -> None:
    chunks = list(stream(client, "sim/usage-twice"))
    first, second = usages_of(chunks)
    assert first == second
    assert chunks[-1].choices == []


@pytest.mark.parametrize(("fault", "count"), [("usage-negative", -5), ("usage-huge", 2**63)])
def test_impossible_usage(client: groq.Groq, fault: str, count: int) -> None:
    usage = ask(client, f"sim/{fault}").usage
    assert usage is not None
    assert usage.prompt_tokens == count
    last = list(stream(client, f"sim/{fault}"))[-1]
    assert last.x_groq is not None
    assert last.x_groq.usage is not None
    assert last.x_groq.usage.prompt_tokens == count


def test_times_that_are_not_numbers(client: groq.Groq) -> None:
    usage = ask(client, "sim/usage-nan").usage
    assert usage is not None
    assert math.isnan(usage.queue_time or 0)
    assert math.isinf(usage.completion_time or 0)


def test_characters_are_split_between_packets(client: groq.Groq, simulator: SimulatorHandle) -> None:
    assert {"🚀", "\u2028", "\u0085", "東"} <= set(text_of(list(stream(client, "sim/split-utf8"))))
    body = {"model": "sim/split-utf8", "messages": [{"role": "user", "content": "x"}], "stream": True}
    headers = {"authorization": "Bearer gsk_test"}
    url = f"{simulator.base_url}/openai/v1/chat/completions"
    with httpx.stream("POST", url, json=body, headers=headers) as response:
        packets = list(response.iter_raw())
    assert sum(not decodes(packet) for packet in packets) > 3
    assert decodes(b"".join(packets))


def decodes(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_stream_without_done(client: groq.Groq, simulator: SimulatorHandle) -> None:
    assert list(stream(client, "sim/no-done"))[-1].choices[0].finish_reason == "stop"
    body = b'{"model": "%s", "messages": [{"role": "user", "content": "x"}], "stream": true}'
    assert b"[DONE]" not in post(simulator, body % b"sim/no-done").content
    assert post(simulator, body % b"sim/ok").content.endswith(b"data: [DONE]\n\n")


def test_a_stream_that_ends_half_way(client: groq.Groq) -> None:
    chunks = list(stream(client, "sim/half"))
    assert chunks[-1].choices[0].finish_reason is None
    assert text_of(chunks)


def test_a_stream_that_is_never_done(client: groq.Groq) -> None:
    chunks, error = collect(stream(client.with_options(timeout=1), "sim/never-done"))
    assert isinstance(error, httpx.ReadTimeout)
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_empty_choices(client: groq.Groq) -> None:
    chunks = list(stream(client, "sim/empty-choices"))
    assert sum(not chunk.choices for chunk in chunks) == 2
    assert text_of(chunks)
    assert ask(client, "sim/empty-choices").choices == []


def test_compound_by_fault(client: groq.Groq) -> None:
    answer = ask(client, f"sim/compound/{PLAIN}")
    assert answer.usage_breakdown is not None
    assert len(answer.usage_breakdown.models) == 2


def test_bad_json_is_a_page(simulator: SimulatorHandle, client: groq.Groq) -> None:
    answer: Any = ask(client, "sim/bad-json")
    assert answer.startswith("<!DOCTYPE html>")
    assert list(stream(client, "sim/bad-json")) == []


def test_truncated_json(client: groq.Groq) -> None:
    with pytest.raises(json.JSONDecodeError):
        ask(client, "sim/truncated-json")
    with pytest.raises(json.JSONDecodeError):
        list(stream(client, "sim/truncated-json"))


def test_another_model_answers(client: groq.Groq) -> None:
    assert ask(client, f"sim/unknown-model-answer/{PLAIN}").model not in (PLAIN, *CATALOGUE)


def test_faults_work_for_audio(client: groq.Groq) -> None:
    with pytest.raises(groq.RateLimitError):
        client.audio.transcriptions.create(model="sim/error-429/whisper-large-v3", file=("talk.wav", wav(1)))
    with pytest.raises(groq.APIConnectionError):
        client.audio.speech.create(
            model="canopylabs/orpheus-v1-english", input="Hi", voice="x", extra_headers={"x-sim-fault": "cut"}
        ).read()


@pytest.mark.parametrize(
    ("model", "fault", "answered"),
    [
        ("sim/cut", Fault("cut"), "sim/cut"),
        ("sim/cut/openai/gpt-oss-20b", Fault("cut"), "openai/gpt-oss-20b"),
        ("sim/retry-then-success-12/x", Fault("retry-then-success", 12), "x"),
        ("openai/gpt-oss-20b", Fault("ok"), "openai/gpt-oss-20b"),
    ],
)
def test_model_names_carry_faults(model: str, fault: Fault, answered: str) -> None:
    assert split_model(model) == (fault, answered)


def test_slip_in_a_fault_is_told() -> None:
    with pytest.raises(UnknownFaultError, match="no fault"):
        parse_fault("error-418")


# Running it


def test_abandoned_stream_is_seen(client: groq.Groq, simulator: SimulatorHandle) -> None:
    answer: Any = ask(client, stream=True, sim={"chunks": 200, "chunk-delay-ms": 50})
    next(answer)
    answer.close()
    time.sleep(0.2)
    assert not simulator.requests[-1].completed


def test_received_requests_are_kept_for_assertions(client: groq.Groq, simulator: SimulatorHandle) -> None:
    ask(client)
    (request,) = simulator.requests
    assert (request.method, request.path) == ("POST", "/openai/v1/chat/completions")
    assert request.headers["authorization"] == "Bearer gsk_test"
    assert request.body is not None
    assert request.body["messages"][0]["content"] == "What should we do next?"
    wait_until(lambda: request.completed, 5)  # which the simulator notes after the last byte


def test_taken_port_is_told_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CannotListenError), running_simulator(port):
            pass
        assert main(["--port", str(port)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"Cannot listen on 127.0.0.1:{port}" in error


def test_faults_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list-faults"]) == 0
    assert capsys.readouterr().out.strip() == fault_list()
    assert all(name in fault_list() for name in FAULTS)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to send")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_process_serves_without_django_and_ends_on_a_signal(number: signal.Signals) -> None:
    script = "import sys, runpy; sys.argv[1:] = ['--port', '0', '--speed', 'inf']\n"
    script += "try: runpy.run_module('groq_client.simulator', run_name='__main__')\n"
    script += "finally: print('django' in sys.modules)"
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    address = process.stdout.readline().split()[5]
    with groq.Groq(api_key="gsk_test", base_url=address) as client:
        assert ask(client).choices
        waiting: Any = ask(client, stream=True, sim={"chunks": 100, "chunk-delay-ms": 1000})
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
        waiting.close()
    assert (process.returncode, out.strip(), err) == (0, "False", "")
