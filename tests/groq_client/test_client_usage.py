"""What is read from an answer: tokens, audio, characters, times, errors; and what is never kept."""

import io
import json
import math
import wave
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import groq
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groq_client import AsyncGroq, CallRefused, Groq, tokens
from groq_client.answer import MAX_KEPT_EVENTS, Answer
from groq_client.asked import asked_of, operation_of
from groq_client.audio import Length, length_of
from groq_client.call import MAX_COUNT, Usage, UsagePart
from groq_client.errors import code_of, message_of, message_of_body, safe_message
from groq_client.recorder import failures
from groq_client.simulator.server import SimulatorHandle
from groq_client.usage import as_count, as_milliseconds, consistent, read_parts, read_rate_limit, read_usage
from tests.groq_client.memory import MESSAGES, MODEL, Memory

REQUEST = httpx.Request("POST", "https://api.groq.com/openai/v1/chat/completions")


def wav(seconds: float, rate: int = 8000) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, rate, 0, "NONE", ""))
        writer.writeframes(b"\0\0" * int(seconds * rate))
    return file.getvalue()


@pytest.fixture
def client(sim: SimulatorHandle, memory: Memory) -> Groq:
    return Groq(api_key="gsk_test", base_url=sim.base_url, recorder=memory, max_retries=0)


# Audio


@pytest.mark.parametrize("form", ["json", "verbose_json", "text"])
@pytest.mark.parametrize("operation", ["transcription", "translation"])
def test_audio_is_counted_in_seconds(client: Groq, memory: Memory, operation: str, form: Any) -> None:
    resource: Any = client.audio.transcriptions if operation == "transcription" else client.audio.translations
    resource.create(model="whisper-large-v3", file=("a.wav", wav(3.25)), response_format=form)
    call = memory.only
    assert (call.operation, call.status, call.model) == (operation, "success", "whisper-large-v3")
    assert (call.usage.audio_seconds, call.usage.estimated) == (Decimal("3.250"), False)
    assert call.usage.total_tokens == 0
    assert call.provider_request_id.startswith("req_")


def test_a_file_is_left_where_it_stood(client: Groq, memory: Memory, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav(2))
    with path.open("rb") as file:
        client.audio.transcriptions.create(model="whisper-large-v3", file=file)
    client.audio.transcriptions.create(model="whisper-large-v3", file=path)
    client.audio.transcriptions.create(model="whisper-large-v3", file=wav(2))
    assert [call.usage.audio_seconds for call in memory.calls] == [Decimal(2)] * 3
    buffer = io.BytesIO(wav(2))
    buffer.seek(17)
    assert length_of(buffer) == Length(Decimal(2), is_certain=True)
    assert buffer.tell() == 17


async def test_an_async_transcription_of_an_open_file(sim: SimulatorHandle, memory: Memory, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(wav(2))
    async with AsyncGroq(api_key="gsk_test", base_url=sim.base_url, recorder=memory) as client:
        with (tmp_path / "a.wav").open("rb") as file:
            async with client.audio.transcriptions.with_streaming_response.create(
                model="whisper-large-v3", file=file
            ) as response:
                file.close()
                await response.read()
    assert memory.only.usage.audio_seconds == 2


def test_a_file_that_cannot_be_measured_is_sent_all_the_same(client: Groq, memory: Memory, tmp_path: Path) -> None:
    class Odd(io.FileIO):
        def tell(self) -> int:
            raise LookupError("a position, of all things")

    (tmp_path / "a.wav").write_bytes(wav(2))
    before = failures()
    with Odd(tmp_path / "a.wav") as file:
        assert client.audio.transcriptions.create(model="whisper-large-v3", file=file).text
    assert failures() > before
    assert (memory.only.status, memory.only.usage.estimated) == ("success", True)


def test_audio_behind_an_address_is_unknown_unless_groq_tells(client: Groq, memory: Memory) -> None:
    address = "https://example.org/a.wav"
    client.audio.transcriptions.create(model="whisper-large-v3", url=address)
    client.audio.transcriptions.create(model="whisper-large-v3", url=address, response_format="verbose_json")
    unknown, told = memory.calls
    assert (unknown.usage.audio_seconds, unknown.usage.estimated) == (0, True)
    assert (told.usage.audio_seconds, told.usage.estimated) == (10, False)


def test_failed_audio_uses_nothing(client: Groq, memory: Memory) -> None:
    with pytest.raises(groq.InternalServerError):
        client.audio.transcriptions.create(model="sim/error-500", file=wav(3))
    assert (memory.only.usage.audio_seconds, memory.only.usage.estimated) == (0, False)


def test_speech_is_counted_in_characters(client: Groq, memory: Memory) -> None:
    text = "Grüße aus 東京 🗼"
    answer = client.audio.speech.create(model="canopylabs/orpheus-v1-english", voice="hannah", input=text)
    assert answer.read()
    call = memory.only
    assert (call.operation, call.usage.characters, call.usage.estimated) == ("speech", len(text), False)


def test_streamed_speech_is_recorded_when_it_has_been_read(client: Groq, memory: Memory, tmp_path: Path) -> None:
    with client.audio.speech.with_streaming_response.create(
        model="canopylabs/orpheus-v1-english", voice="hannah", input="hello"
    ) as response:
        response.stream_to_file(tmp_path / "a.wav")  # type: ignore[attr-defined]
    assert (memory.only.usage.characters, memory.only.error_code) == (5, "")


def test_embeddings_have_no_output(client: Groq, memory: Memory) -> None:
    answer = client.embeddings.create(model="nomic-embed-text-v1_5", input=["one", "two"])
    call = memory.only
    assert call.operation == "embedding"
    assert (call.usage.input_tokens, call.usage.output_tokens) == (answer.usage.prompt_tokens, 0)
    assert not call.usage.estimated


# Tokens


def test_what_groq_reports_is_kept() -> None:
    reported = read_usage(
        {
            "prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
            "prompt_tokens_details": {"cached_tokens": 64}, "completion_tokens_details": {"reasoning_tokens": 20},
            "queue_time": 0.0125, "prompt_time": 0.002, "completion_time": 1.5, "total_time": 1.502,
        }
    )  # fmt: skip
    assert reported is not None
    usage = reported.usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (100, 50, 150)
    assert (usage.cached_tokens, usage.reasoning_tokens) == (64, 20)
    assert (usage.queue_ms, usage.prompt_ms, usage.completion_ms) == (12.5, 2.0, 1500.0)


def test_subsets_stay_subsets() -> None:
    reported = read_usage(
        {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 99},
         "completion_tokens_details": {"reasoning_tokens": 99}}
    )  # fmt: skip
    assert reported is not None
    assert (reported.usage.cached_tokens, reported.usage.reasoning_tokens, reported.usage.estimated) == (10, 5, True)


def test_the_responses_api_names_its_tokens_otherwise() -> None:
    reported = read_usage({"input_tokens": 7, "output_tokens": 3, "input_tokens_details": {"cached_tokens": 2}})
    assert reported is not None
    assert (reported.input_tokens, reported.output_tokens, reported.usage.cached_tokens) == (7, 3, 2)
    assert operation_of("POST", "https://api.groq.com/openai/v1/responses?x=1") == "chat"


@pytest.mark.parametrize(
    "bad", [-1, MAX_COUNT + 1, 2**63, 1.5, -2.0, 1e300, "7", None, True, math.nan, math.inf, [], {}]
)
def test_an_impossible_count_is_no_count(bad: Any) -> None:
    assert as_count(bad) is None
    reported = read_usage({"prompt_tokens": bad, "completion_tokens": 3})
    assert reported is not None
    assert (reported.input_tokens, reported.output_tokens, reported.is_whole) == (None, 3, False)


def test_a_whole_number_is_a_count_however_it_is_written() -> None:
    assert (as_count(12.0), as_count(0.0), as_count(float(MAX_COUNT))) == (12, 0, MAX_COUNT)
    reported = read_usage({"prompt_tokens": 12.0, "completion_tokens": 3.0, "total_tokens": 15.0})
    assert reported is not None
    usage = reported.usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens, usage.estimated) == (12, 3, 15, False)


@pytest.mark.parametrize("empty", [None, "", 0, -1, 0.0])
def test_counts_stand_under_either_name(empty: Any) -> None:
    raw = {"prompt_tokens": empty, "completion_tokens": empty, "input_tokens": 7, "output_tokens": 3}
    details = {"prompt_tokens_details": {"cached_tokens": empty}, "input_tokens_details": {"cached_tokens": 2}}
    reported = read_usage(raw | details)
    assert reported is not None
    assert (reported.input_tokens, reported.output_tokens, reported.usage.cached_tokens) == (7, 3, 2)
    only_output = read_usage({"output_tokens": 3})
    assert only_output is not None
    assert (only_output.input_tokens, only_output.output_tokens) == (None, 3)


@pytest.mark.parametrize(
    ("usage", "mended"),
    [
        (Usage(100, 50, 150, 64, 20), Usage(100, 50, 150, 64, 20)),
        (Usage(100, 50), Usage(100, 50, 150)),  # no total was said
        (Usage(100, 50, 999), Usage(100, 50, 150, estimated=True)),
        (Usage(100, 50, 150, cached_tokens=900), Usage(100, 50, 150, cached_tokens=100, estimated=True)),
        (Usage(100, 50, 150, reasoning_tokens=51), Usage(100, 50, 150, reasoning_tokens=50, estimated=True)),
        (
            Usage(9, 9, 18, parts=(UsagePart("a", Usage(9, 9, 18, cached_tokens=10)),)),
            Usage(9, 9, 18, estimated=True, parts=(UsagePart("a", Usage(9, 9, 18, 9, estimated=True)),)),
        ),
        (Usage(audio_seconds=Decimal(3)), Usage(audio_seconds=Decimal(3))),
    ],
)
def test_what_contradicts_is_mended_and_marked(usage: Usage, mended: Usage) -> None:
    assert consistent(usage) == mended
    assert consistent(mended) == mended


@pytest.mark.parametrize("reading", ["document", "events"])
def test_counts_that_contradict_come_through_the_sdk(client: Groq, memory: Memory, reading: str) -> None:
    answer = client.chat.completions.create(
        model=f"sim/usage-contradicts/{MODEL}", messages=MESSAGES, stream=reading == "events"
    )
    if reading == "events":
        list(answer)
    usage = memory.only.usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (80, 7, 87)
    assert (usage.cached_tokens, usage.reasoning_tokens, usage.estimated) == (80, 7, True)


NAMES = [
    "prompt_tokens",
    "completion_tokens",
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cached_tokens",
    "prompt_tokens_details",
    "queue_time",
    "models",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(NAMES), inner),
)


@given(JSON)
def test_reading_usage_never_raises(raw: Any) -> None:
    if (reported := read_usage(raw)) is not None:
        usage = reported.usage
        assert 0 <= usage.cached_tokens <= usage.input_tokens <= MAX_COUNT
        assert 0 <= usage.reasoning_tokens <= usage.output_tokens <= MAX_COUNT
        assert usage.total_tokens == usage.input_tokens + usage.output_tokens


@pytest.mark.parametrize("bad", [math.nan, math.inf, -0.1, "1", None, True])
def test_an_impossible_time_is_no_time(bad: Any) -> None:
    assert as_milliseconds(bad) is None


def test_rate_limits_are_read_and_nonsense_is_not() -> None:
    limit = read_rate_limit({"x-ratelimit-limit-requests": "14400", "x-ratelimit-remaining-tokens": "-3",
                             "x-ratelimit-limit-tokens": "9" * 30, "x-ratelimit-remaining-requests": "٣"})  # fmt: skip
    assert (limit.limit_requests, limit.remaining_tokens, limit.limit_tokens) == (14400, None, None)
    assert limit.remaining_requests is None
    assert read_rate_limit({"x-ratelimit-limit-tokens": "9" * 18}).limit_tokens == 10**18 - 1
    assert read_rate_limit({"x-ratelimit-limit-tokens": "9" * 19}).limit_tokens is None


def test_estimates_are_near_to_what_groq_would_have_said(client: Groq, memory: Memory) -> None:
    for fault in ("ok", "no-usage"):
        list(client.chat.completions.create(model=f"sim/{fault}/{MODEL}", messages=MESSAGES, stream=True))
    reported, estimated = (call.usage for call in memory.calls)
    assert (reported.estimated, estimated.estimated) == (False, True)
    assert estimated.input_tokens == pytest.approx(reported.input_tokens, abs=3)
    assert estimated.output_tokens == pytest.approx(reported.output_tokens, rel=0.15)


def test_usage_that_comes_twice_is_counted_once(client: Groq, memory: Memory) -> None:
    list(client.chat.completions.create(model=f"sim/usage-twice/{MODEL}", messages=MESSAGES, stream=True))
    list(client.chat.completions.create(model=f"sim/ok/{MODEL}", messages=MESSAGES, stream=True))
    twice, once = memory.calls
    assert twice.usage == once.usage


def test_zeros_never_replace_counts(client: Groq, memory: Memory) -> None:
    for fault in ("ok", "usage-then-zero"):
        list(client.chat.completions.create(model=f"sim/{fault}/{MODEL}", messages=MESSAGES, stream=True))
    once, then_zero = memory.calls
    assert once.usage.input_tokens > 0
    assert then_zero.usage == once.usage


def test_zeros_beside_text_are_not_believed(client: Groq, memory: Memory) -> None:
    for stream in (False, True):
        answer: Any = client.chat.completions.create(model=f"sim/usage-zero/{MODEL}", messages=MESSAGES, stream=stream)
        if stream:
            list(answer)
    for call in memory.calls:
        assert call.usage.estimated
        assert min(call.usage.input_tokens, call.usage.output_tokens) > 5


ZEROS = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


@pytest.mark.parametrize(
    ("message", "counts", "believed"),
    [
        ({"content": ""}, (0, 0), (0, 0)),  # nothing came
        ({"content": ""}, (9, 0), (9, 0)),
        ({"content": "Four."}, (0, 0), (None, None)),
        ({"content": "Four."}, (9, 0), (9, None)),
        ({"content": None, "tool_calls": [{"function": {"name": "get", "arguments": "{}"}}]}, (9, 0), (9, None)),
        ({"content": ""}, (0, 5), (None, 5)),  # hidden reasoning is written, and paid, for some prompt
    ],
)
def test_a_zero_is_believed_only_where_nothing_came(message: Any, counts: Any, believed: Any) -> None:
    for kind, key in (("application/json", "message"), ("text/event-stream", "delta")):
        answer = Answer("chat", kind)
        usage = {"prompt_tokens": counts[0], "completion_tokens": counts[1]}
        events = event(model="m", choices=[{key: message}]) + event(model="m", choices=[], x_groq={"usage": usage})
        if key == "message":
            answer.take_document(json.dumps({"choices": [{key: message}], "usage": usage}).encode())
        else:
            answer.feed(events)
        reported = answer.believed()
        assert reported is not None
        assert (reported.input_tokens, reported.output_tokens) == believed


def test_text_after_an_early_zero_is_kept_for_an_estimate() -> None:
    answer = Answer("chat", "text/event-stream")
    answer.feed(event(model="m", choices=[], usage={"prompt_tokens": 9, "completion_tokens": 0}))
    answer.feed(chunk("one ") + chunk("two"))
    assert answer.texts()[0].content == ["one ", "two"]


def test_later_counts_replace_earlier_ones_and_later_zeros_do_not() -> None:
    answer = Answer("chat", "text/event-stream")
    first = {"prompt_tokens": 100, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 64}}
    answer.feed(event(model="m", choices=[], usage=first) + event(usage={"prompt_tokens": 0, "completion_tokens": 50}))
    answer.feed(event(x_groq={"usage": {"prompt_tokens": None, "completion_tokens": 0, "total_tokens": 0}}))
    assert answer.reported is not None
    usage = answer.reported.usage
    assert (answer.reported.input_tokens, answer.reported.output_tokens) == (100, 50)
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens, usage.cached_tokens) == (100, 50, 150, 64)
    assert not usage.estimated


def test_an_embedding_of_no_tokens_is_not_believed() -> None:
    answer = Answer("embedding", "application/json")
    answer.take_document(b'{"data": [{}], "usage": {"prompt_tokens": 0, "total_tokens": 0}}')
    reported = answer.believed()
    assert reported is not None
    assert (reported.input_tokens, reported.output_tokens) == (None, 0)


# The parts of a compound call


def breakdown(*usages: Any) -> Any:
    return {"models": [{"model": f"m{number}", "usage": usage} for number, usage in enumerate(usages)]}


def test_later_zeros_never_replace_the_counts_of_parts() -> None:
    answer = Answer("chat", "text/event-stream")
    one, other = {"prompt_tokens": 10, "completion_tokens": 2}, {"prompt_tokens": 30.0, "completion_tokens": 4}
    answer.feed(event(model="m", choices=[], x_groq={"usage_breakdown": breakdown(one, other)}))
    for later in (breakdown(ZEROS, ZEROS), breakdown(ZEROS, other), breakdown(ZEROS), None):
        answer.feed(event(model="m", choices=[], usage_breakdown=later))
        assert [part.usage.total_tokens for part in answer.parts] == [12, 34]


def test_the_parts_tell_what_the_whole_does_not() -> None:
    for usage in (None, ZEROS):
        answer = Answer("chat", "text/event-stream")
        one = {"prompt_tokens": 10, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}
        answer.feed(chunk("text") + event(model="m", usage=usage, usage_breakdown=breakdown(one, one)))
        reported = answer.believed()
        assert reported is not None
        assert (reported.input_tokens, reported.output_tokens) == (20, 4)
        assert (reported.usage.cached_tokens, reported.usage.estimated) == (8, False)


@pytest.mark.parametrize("bad", [None, {}, {"prompt_tokens": -1, "completion_tokens": 2}, {"prompt_tokens": 5}])
def test_a_breakdown_with_a_hole_is_none(bad: Any) -> None:
    """Its cost would be a part of the cost that looks like the whole; without it the call is unpriced."""
    assert read_parts(breakdown({"prompt_tokens": 10, "completion_tokens": 2}, bad)) == ()
    assert read_parts(breakdown(ZEROS, ZEROS)) == ()


def test_cached_tokens_of_an_answer_by_kind_of_memory() -> None:
    answer = Answer("chat", "application/json")
    answer.take_document(
        b'{"usage": {"prompt_tokens": 50, "completion_tokens": 1},'
        b' "x_groq": {"id": "req_1", "usage": {"dram_cached_tokens": 30, "sram_cached_tokens": 2}}}'
    )
    assert answer.reported is not None
    assert answer.reported.usage.cached_tokens == 32


# Bytes


def event(**data: Any) -> bytes:
    return b"data: " + json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode() + b"\n\n"


def chunk(text: str) -> bytes:
    return event(model="m", choices=[{"index": 0, "delta": {"content": text}}])


STREAM = (
    event(model="m", choices=[{"delta": {"role": "assistant", "content": ""}}], x_groq={"id": "req_1"})
    + chunk("A river’s \u2028 name\u0085 🏞 says \"usage\" and \"error\": data: ")
    + chunk("東京")
    + b": a comment\n\n"
    + event(model="m", choices=[], x_groq={"id": "req_1", "usage": {"prompt_tokens": 9, "completion_tokens": 8}})
    + b"data: [DONE]\n\n"
)  # fmt: skip


@given(st.lists(st.integers(0, len(STREAM)), max_size=30), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_a_stream_reads_the_same_however_it_is_cut(cuts: list[int], newline: bytes) -> None:
    body = STREAM.replace(b"\n", newline)
    answer = Answer("chat", "text/event-stream; charset=utf-8")
    edges = sorted({0, len(body), *cuts})
    for start, end in pairwise(edges):
        assert not answer.feed(body[start:end])
    answer.end()
    assert (answer.model, answer.groq_id, answer.is_complete, answer.is_broken) == ("m", "req_1", True, False)
    assert answer.reported is not None
    assert (answer.reported.input_tokens, answer.reported.output_tokens) == (9, 8)
    assert answer.first_content_ns is not None


def test_text_without_usage_is_kept_for_an_estimate() -> None:
    answer = Answer("chat", "text/event-stream")
    for text in ("", "one ", "two ", "three"):
        answer.feed(chunk(text))
    answer.feed(
        event(model="m", choices=[{"delta": {"reasoning": "hm", "tool_calls": [
            {"index": 0, "function": {"name": "get", "arguments": "{"}}]}}])
        + event(model="m", choices=[{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]}}])
    )  # fmt: skip
    texts, scale = answer.texts()
    assert ("".join(texts.content), "".join(texts.reasoning)) == ("one two three", "hm")
    assert (texts.tool_calls(), scale) == (["get{}"], 1.0)


def test_memory_is_bounded_and_the_estimate_scales() -> None:
    answer = Answer("chat", "text/event-stream")
    events = chunk("word ") * 100
    for _ in range(3 * MAX_KEPT_EVENTS // len(events)):
        answer.feed(events)
    assert sum(map(len, answer._kept)) <= MAX_KEPT_EVENTS + len(events)
    texts, scale = answer.texts()
    assert len(texts.content) * scale == pytest.approx(100 * (3 * MAX_KEPT_EVENTS // len(events)), rel=0.01)


@given(st.binary(max_size=400), st.booleans())
def test_reading_bytes_never_raises(noise: bytes, is_event: bool) -> None:
    for kind in ("text/event-stream", "application/json", ""):
        answer = Answer("chat", kind)
        answer.feed(b"data: " + noise + b"\n\n" if is_event else noise)
        answer.end()
        answer.texts()


def test_requests_are_read_in_every_form() -> None:
    assert asked_of("chat", json_data={"model": "a"}, extra_json={"model": "b"}).model == "b"
    assert asked_of("chat", content=b'{"model": "a", "stream": true}').streams
    assert asked_of("chat", content=iter([b"x"])).model == ""
    assert asked_of("chat", content=b"[" * 100_000).model == ""
    assert asked_of("chat", json_data={"model": 7}).model == ""


# Errors


def status_error(body: Any, status: int = 400) -> groq.APIStatusError:
    response = httpx.Response(status, request=REQUEST, json=body)
    return groq.APIStatusError(f"Error code: {status} - {body}", response=response, body=body)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (status_error({"error": {"message": "m", "type": "t", "code": "c"}}), "c"),
        (status_error({"error": {"message": "m", "type": "t"}}), "t"),
        (status_error({"error": {"message": "m", "code": "a b\n<c>"}}), "a_b_c_"),
        (status_error("<html>", 502), "http_502"),
        (status_error({"error": "text"}, 500), "http_500"),
        (groq.APITimeoutError(REQUEST), "timeout"),
        (groq.APIConnectionError(request=REQUEST), "connection_error"),
        (httpx.ReadTimeout("x"), "timeout"),
        (httpx.RemoteProtocolError("x"), "connection_error"),
        (groq.APIError("x", REQUEST, body={"message": "x"}), "stream_error"),
        (groq.APIError("x", REQUEST, body={"message": "x", "type": "server_error"}), "server_error"),
        (json.JSONDecodeError("x", "y", 0), "invalid_response"),
        (CallRefused("x"), "refused"),
        (TypeError("x"), "client_error"),
        (KeyboardInterrupt(), "interrupted"),
        (SystemExit(), "interrupted"),
    ],
)
def test_errors_have_names(error: BaseException, code: str) -> None:
    assert code_of(error) == code


SECRET = "my sister's secret diagnosis is not for anybody's eyes"


@pytest.mark.parametrize(
    "message",
    [
        f"Invalid content: {SECRET}",
        f"Invalid content: {SECRET[5:40]}…",
        f"Invalid content: {SECRET.upper()}",
        "Invalid content: my sister\\'s secret\\n diagnosis\\u0020is not for",
        "unexpected 'pw: 1234!' in input",
    ],
)
def test_a_message_that_quotes_the_request_is_dropped(message: str) -> None:
    request = {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": SECRET}]},
                                          {"role": "user", "content": "pw: 1234!"}]}  # fmt: skip
    body = {"error": {"message": message, "type": "invalid_request_error"}}
    assert message_of_body(body, request) == "invalid_request_error"


def test_a_message_that_names_the_model_is_kept() -> None:
    error = status_error({"error": {"message": "The model `llama-9-gigantic-instruct` does not exist", "code": "c"}})
    request = {"model": "llama-9-gigantic-instruct", "messages": MESSAGES}
    assert message_of(error, request) == "The model `llama-9-gigantic-instruct` does not exist"


def test_a_failed_generation_is_never_kept() -> None:
    body = {"error": {"message": f"Bad call: {SECRET}", "code": "tool_use_failed", "failed_generation": f"<f>{SECRET}"}}
    assert message_of_body(body, {}) == "tool_use_failed"


@pytest.mark.parametrize(
    "key",
    [
        "gsk_abcDEF1234567890xyz",
        "gul_abcDEF1234567890xyz",
        "Bearer abc.def-ghi",
        "sk-proj-abcdefgh12345678",
        "my own strange key",
    ],
)
def test_a_key_is_never_kept(key: str) -> None:
    kept = safe_message(f"Wrong key {key} given", (), "my own strange key")
    assert kept == "Wrong key [key] given"


def test_messages_are_short_and_on_one_line() -> None:
    kept = safe_message("a\n\x00b\ud800 " + "x" * 5000, ())
    assert len(kept) == 300
    assert kept.startswith("a b x")


def test_nothing_private_is_anywhere_in_the_call(client: Groq, memory: Memory) -> None:
    messages: Any = [{"role": "user", "content": SECRET}]
    for fault in ("ok", "error-400-tool_use_failed", "error-401", "truncated-json", "no-usage"):
        for stream in (False, True):
            try:
                answer: Any = client.chat.completions.create(
                    model=f"sim/{fault}/{MODEL}", messages=messages, stream=stream
                )
                list(answer)
            except Exception:
                pass
    assert len(memory.calls) == 10
    for call in memory.calls:
        assert SECRET[:20] not in repr(call)
        assert "gsk_test" not in repr(call)


def test_an_estimate_that_fails_leaves_the_call(client: Groq, memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(tokens, "estimate_completion", broken)
    client.chat.completions.create(model=f"sim/no-usage/{MODEL}", messages=MESSAGES)
    assert (memory.only.status, memory.only.usage.estimated) == ("success", True)
