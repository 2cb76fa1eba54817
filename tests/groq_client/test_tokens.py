"""Token estimation, against real responses, known counts and bad input; with the real vocabularies."""

import asyncio
import base64
import gzip
import json
import logging
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groq_client import tokens, vocabularies
from groq_client.images import image_tokens, size_of_data_url, tiled_tokens
from groq_client.tokens import count_text, estimate_completion, estimate_embedding_input, estimate_prompt
from groq_client.vocabularies import Library, Vocabulary, common_ranks, pieces, read_packaged, read_ranks

ROOT = Path(__file__).parents[2]
GPT = "openai/gpt-oss-120b"
QWEN = "qwen/qwen3-32b"
LLAMA3 = "llama-3.3-70b-versatile"
LLAMA4 = "meta-llama/llama-4-scout-17b-16e-instruct"
KIMI = "moonshotai/kimi-k2-instruct"
UNKNOWN = "someone/some-model"
DEEPSEEK = "deepseek-r1-distill-llama-70b"
MODELS = [GPT, QWEN, LLAMA3, "llama3-8b-8192", LLAMA4, KIMI, DEEPSEEK, UNKNOWN, ""]

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "Name of the city"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
                "days": {"type": "array", "items": {"type": "integer"}},
            },
            "required": ["city"],
        },
    },
}


def chat(*texts: str, system: str | None = None, **more: object) -> dict[str, object]:
    first = [] if system is None else [{"role": "system", "content": system}]
    roles = ["user", "assistant"] * len(texts)
    messages = [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)]
    return {"messages": first + messages, **more}


@pytest.fixture
def use_library(monkeypatch: pytest.MonkeyPatch) -> list[Library]:
    """An empty shelf: what a test puts there is what the process counts with."""
    shelf: list[Library] = []
    monkeypatch.setattr(tokens, "_loaded", shelf)
    return shelf


# Real responses


REAL = [
    (LLAMA3, "who are you?", 39),
    (GPT, "What is 2+2? Reply with just the number.", 84),
    (GPT, "What is the National Dish of India?", 79),
    (QWEN, "Hi, my name is John", 14),
    ("llama3-8b-8192", "Tell me a joke about opentelemetry", 18),
    (DEEPSEEK, "How do I cross the street?", 10),
]
CITY = {
    "additionalProperties": False,
    "properties": {"city": {"type": "string"}, "country": {"type": "string"}},
    "required": ["city", "country"],
    "type": "object",
}


def in_schema(schema: dict[str, object], **more: object) -> dict[str, object]:
    return {"type": "json_schema", "json_schema": {"name": "CityLocation", "schema": schema, "strict": True, **more}}


@pytest.mark.parametrize(("model", "prompt", "prompt_tokens"), REAL)
def test_a_prompt_counts_what_groq_really_charged(model: str, prompt: str, prompt_tokens: int) -> None:
    assert estimate_prompt(chat(prompt), model) == prompt_tokens


@pytest.mark.parametrize(
    ("model", "prompt", "more", "prompt_tokens"),
    [
        (GPT, "What is the largest city in Mexico?", {"description": "A city and its country."}, 178),
        (GPT, "What is the capital of France?", {}, 170),
        (KIMI, "What is the capital of France?", {}, 89),
        (LLAMA4, "What is the capital of France?", {}, 95),
    ],
)
def test_a_wanted_schema_counts_with_its_name_and_its_description(
    model: str, prompt: str, more: dict[str, str], prompt_tokens: int
) -> None:
    assert estimate_prompt(chat(prompt, response_format=in_schema(CITY, **more)), model) == prompt_tokens


def test_deepseeks_system_message_has_no_token_that_opens_it() -> None:
    body = chat("I want a recipe to cook Uruguayan alfajores.", system="You are a chef.")
    assert estimate_prompt(body, DEEPSEEK) == 21


def test_all_in_all_estimates_are_within_one_percent_and_seldom_beyond_five() -> None:
    errors = [abs(estimate_prompt(chat(prompt), model) - real) / real for model, prompt, real in REAL]
    assert statistics.median(errors) <= 0.01
    assert statistics.quantiles(errors, n=20, method="inclusive")[-1] <= 0.05


# Vocabularies


@pytest.mark.parametrize("name", vocabularies.PACKAGED_SHA256)
def test_shipped_vocabularies_have_the_expected_hash(name: str) -> None:
    assert len(read_packaged(vocabularies.PACKAGED, name)) > 150_000


def test_a_vocabulary_with_another_hash_is_refused(tmp_path: Path) -> None:
    (tmp_path / "qwen.tiktoken.gz").write_bytes(gzip.compress(b"IQ== 0\n", mtime=0))
    with pytest.raises(vocabularies.BrokenVocabularyError, match="SHA-256"):
        read_packaged(tmp_path, "qwen.tiktoken.gz")


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("antidisestablishmentarianism", 6),
        ("2 + 2 = 4", 7),
        ("お誕生日おめでとう", 8),
        ("tiktoken is great!", 6),
    ],
)
def test_o200k_counts_are_those_that_openai_publishes(text: str, count: int) -> None:
    assert count_text(text, GPT) == count


def test_the_common_tokens_are_as_many_as_cl100k_has_and_count_like_it() -> None:
    ranks = common_ranks(read_packaged(vocabularies.PACKAGED, "qwen.tiktoken.gz"))
    assert len(ranks) == len(set(ranks.values())) == 100_256
    common = tokens._library().common
    # "お誕生日おめでとう" is 9 tokens in cl100k, by OpenAI's cookbook; numbers go by three digits.
    assert [common.count(text) for text in ("お誕生日おめでとう", "2 + 2 = 4", "123456")] == [9, 7, 2]


def test_qwen_spells_numbers_digit_by_digit_and_reads_composed_characters() -> None:
    assert count_text("123456", QWEN) == 6
    assert count_text("cafe\u0301", QWEN) == count_text("caf\u00e9", QWEN)


def test_a_long_text_cut_into_pieces_counts_as_if_it_were_whole() -> None:
    text = "The quick brown fox jumps over the lazy dog, said the committee.\n" * 2_000
    assert count_text(text, GPT) == count_text(text[:6500], GPT) * len(text) // 6500
    assert "".join(pieces(text)) == text


def test_text_beyond_a_million_characters_is_sampled_without_going_astray() -> None:
    text = "All work and no play makes a dull recorder. " * 40_000
    once = count_text(text[:4400], GPT)
    assert count_text(text, GPT) == pytest.approx(once * len(text) / 4400, rel=0.001)


def test_a_megabyte_of_spaces_is_counted_quickly() -> None:
    tokens.warm_up()
    started = time.thread_time()  # of the processor: others may want it too
    counted = count_text(" " * 2**20, GPT)
    assert time.thread_time() - started < 1
    assert 1_000 < counted < 20_000


def test_many_threads_load_a_vocabulary_once() -> None:
    reads: list[int] = []

    def read() -> vocabularies.Ranks:
        reads.append(1)
        time.sleep(0.05)
        return {bytes([byte]): byte for byte in range(256)}

    vocabulary = Vocabulary("bytes", vocabularies.O200K_PATTERN, read)
    counted: list[int | None] = []
    threads = [threading.Thread(target=lambda: counted.append(vocabulary.count("abc"))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted == [3] * 16
    assert len(reads) == 1


def test_importing_does_not_load_tiktoken() -> None:
    code = "import sys, groq_client.tokens; sys.exit('tiktoken' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_counting_needs_no_network(monkeypatch: pytest.MonkeyPatch, use_library: list[Library]) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    tokens.warm_up()
    assert use_library
    assert count_text("tiktoken is great!", GPT) == 6


@pytest.mark.parametrize("content", [None, b"not gzip", gzip.compress(b"%%% 0\n", mtime=0)])
def test_a_broken_vocabulary_is_guessed_around_and_logged_once(
    content: bytes | None, tmp_path: Path, use_library: list[Library], caplog: pytest.LogCaptureFixture
) -> None:
    if content is not None:
        (tmp_path / "o200k_base.tiktoken.gz").write_bytes(content)
    use_library.append(Library(packaged=tmp_path))
    with caplog.at_level(logging.WARNING):
        english = [count_text("The committee will meet on Thursday. " * 20, GPT) for _ in range(3)]
        chinese = count_text("委员会将于星期四开会讨论新的预算。" * 20, GPT)
    assert english[0] == pytest.approx(141, rel=0.4)
    assert chinese == pytest.approx(220, rel=0.4)
    assert len(caplog.records) == 1


def test_a_panic_in_tiktoken_is_guessed_around(use_library: list[Library], monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicError(BaseException):
        """As pyo3's PanicException, it is no Exception."""

    def panic(text: str) -> int:
        raise PanicError

    library = Library()
    monkeypatch.setattr(library.o200k, "_count", panic)
    use_library.append(library)
    assert count_text("a" * 400, GPT) == 100


@pytest.mark.parametrize("signal", [KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError])
def test_a_cancellation_passes(
    signal: type[BaseException], use_library: list[Library], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(text: str) -> int:
        raise signal

    library = Library()
    monkeypatch.setattr(library.o200k, "_count", interrupted)
    use_library.append(library)
    with pytest.raises(signal):
        count_text("text", GPT)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_an_own_vocabulary_makes_its_model_exact(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use_library: list[Library]
) -> None:
    lines = b"".join(base64.b64encode(bytes([byte])) + b" %d\n" % byte for byte in range(256))
    (tmp_path / f"kimi.tiktoken{suffix}").write_bytes(gzip.compress(lines, mtime=0) if suffix else lines)
    monkeypatch.setenv("GROQ_VOCAB_DIR", str(tmp_path))
    assert count_text("中文 word", KIMI) == len("中文 word".encode())
    assert count_text("tiktoken is great!", LLAMA3) == 6
    assert len(use_library) == 1


def test_a_broken_own_vocabulary_falls_back_to_the_shipped_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use_library: list[Library]
) -> None:
    (tmp_path / "llama3.tiktoken").write_text("odd")
    monkeypatch.setenv("GROQ_VOCAB_DIR", str(tmp_path))
    assert estimate_prompt(chat("who are you?"), LLAMA3) == 39


def test_every_pattern_is_one_that_tiktoken_accepts() -> None:
    ranks = read_ranks(vocabularies.PACKAGED / "o200k_base.tiktoken.gz")
    for pattern in (vocabularies.KIMI_PATTERN, vocabularies.LLAMA3_PATTERN):
        assert Vocabulary("any", pattern, lambda: ranks).count("Ein Wort, 中文字 and 1234") == pytest.approx(9, abs=2)


# Scripts


@pytest.mark.parametrize(
    ("text", "llama3_over_common"),
    [
        ("Der Ausschuss trifft sich, um über den Haushalt zu sprechen.", 1.0),
        ("Комитет соберётся в четверг, чтобы обсудить новый бюджет.", 0.69),
        ("Комітет збереться у четвер, щоб обговорити її новий бюджет.", 0.555),
        ("委员会将于星期四开会讨论新的预算，所有人都被邀请参加。", 0.69),
        ("समिति नए बजट पर चर्चा करने के लिए गुरुवार को बैठक करेगी।", 0.54),
        ("Ủy ban sẽ họp vào thứ Năm để thảo luận về ngân sách mới.", 0.577),
        ("কমিটি নতুন বাজেট নিয়ে আলোচনা করতে বৃহস্পতিবার বৈঠক করবে।", 0.988),
    ],
)
def test_each_script_has_its_correction(text: str, llama3_over_common: float) -> None:
    common = tokens._library().common.count(text)
    assert common is not None
    assert count_text(text, LLAMA3) == pytest.approx(common * llama3_over_common, rel=0.06, abs=1)


def test_mixed_text_is_corrected_in_proportion() -> None:
    english, russian = "The committee will meet on Thursday. " * 8, "Комитет соберётся в четверг. " * 8
    apart = count_text(english, LLAMA3) + count_text(russian, LLAMA3)
    assert count_text(english + russian, LLAMA3) == pytest.approx(apart, rel=0.05)


# Templates


def test_a_system_message_costs_what_its_template_adds() -> None:
    plain, system = chat("Hello there"), chat("Hello there", system="Be brief.")
    text = count_text("Be brief.", GPT)
    assert estimate_prompt(system, GPT) - estimate_prompt(plain, GPT) == text + 4 + 3
    assert estimate_prompt(system, LLAMA3) - estimate_prompt(plain, LLAMA3) == text + 5 - 5
    assert estimate_prompt(system, KIMI) - estimate_prompt(plain, KIMI) == text + 4 - 9


def test_list_content_counts_like_the_same_text() -> None:
    parts = {"messages": [{"role": "user", "content": [{"type": "text", "text": "who are you?"}]}]}
    assert estimate_prompt(parts, LLAMA3) == 39


def test_qwen_strips_past_thinking_and_pays_for_turning_it_off() -> None:
    thought = chat("Hi", "<think>\nA long thought.\n</think>\n\nHello!", "Bye")
    assert estimate_prompt(thought, QWEN) == estimate_prompt(chat("Hi", "Hello!", "Bye"), QWEN)
    assert estimate_prompt(chat("Hi", reasoning_effort="none"), QWEN) == estimate_prompt(chat("Hi"), QWEN) + 4


def test_deepseek_forgets_past_thinking_and_ends_each_answer() -> None:
    thought = chat("Hi", "<think>\nA long thought.\n</think>\n\nHello!", "Bye")
    assert estimate_prompt(thought, DEEPSEEK) == estimate_prompt(chat("Hi", "\n\nHello!", "Bye"), DEEPSEEK)
    added = count_text("Hello!", DEEPSEEK) + 2 + count_text("Bye", DEEPSEEK) + 1
    assert estimate_prompt(chat("Hi", "Hello!", "Bye"), DEEPSEEK) == estimate_prompt(chat("Hi"), DEEPSEEK) + added


@pytest.mark.parametrize("model", [DEEPSEEK, QWEN])
def test_each_tag_around_raw_reasoning_is_one_token(model: str) -> None:
    whole = estimate_completion("<think>\n2 and 2\n</think>\n\nFour.", "", [], model)
    assert whole == 2 + count_text("\n2 and 2\n", model) + count_text("\n\nFour.", model) + 1


def test_tools_cost_their_rendering_and_their_frame() -> None:
    plain = estimate_prompt(chat("Hi"), LLAMA4)
    compact = count_text(json.dumps([TOOL], separators=(",", ":")), LLAMA4)
    assert estimate_prompt(chat("Hi", tools=[TOOL]), LLAMA4) == plain + 654 + compact
    assert estimate_prompt(chat("Hi", tools=[TOOL], tool_choice="required"), LLAMA4) == plain + 654 + 13 + compact
    named = {"type": "function", "function": {"name": "get_weather"}}
    assert estimate_prompt(chat("Hi", tools=[TOOL], tool_choice=named), LLAMA4) == plain + 654 + 7 + compact


def test_gpt_oss_reads_tools_as_typescript() -> None:
    typescript = """// The weather in a city.
type get_weather = (_: {
// Name of the city
city: string,
unit?: "celsius" | "fahrenheit", // default: "celsius"
days?: number[],
}) => any;"""
    expected = estimate_prompt(chat("Hi"), GPT) + 27 + count_text(typescript, GPT)
    assert estimate_prompt(chat("Hi", tools=[TOOL]), GPT) == expected


def test_json_mode_costs_its_instructions() -> None:
    plain = estimate_prompt(chat("Hi"), GPT)
    assert estimate_prompt(chat("Hi", response_format={"type": "json_object"}), GPT) == plain + 24
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema}}
    compact = f"## person\n\n{json.dumps(schema, separators=(',', ':'))}"
    assert estimate_prompt(chat("Hi", response_format=wanted), GPT) == plain + 55 + count_text(compact, GPT)
    spaced = count_text(json.dumps(schema), KIMI)
    assert estimate_prompt(chat("Hi", response_format=wanted), KIMI) == estimate_prompt(chat("Hi"), KIMI) + 23 + spaced


def test_past_tool_calls_are_part_of_the_prompt() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Oslo"}'}}
    body = chat("Weather in Oslo?")
    answered = [{"role": "assistant", "content": None, "tool_calls": [call]}, {"role": "tool", "content": "Rain"}]
    longer = {"messages": [*chat("Weather in Oslo?")["messages"], *answered]}  # type: ignore[misc]
    assert estimate_prompt(longer, LLAMA4) > estimate_prompt(body, LLAMA4) + 2 * 5 + 8


def test_a_completion_counts_text_reasoning_and_tool_calls() -> None:
    assert estimate_completion("tiktoken is great!", "", [], LLAMA3) == 7
    assert estimate_completion("tiktoken is great!", "2 + 2 = 4", [], GPT) == 6 + 7 + 10
    assert estimate_completion("", "", ["get_weather", '{"city":"Oslo"}'], QWEN) > 5


def test_nothing_delivered_is_no_completion() -> None:
    assert estimate_completion("", "", [], GPT) == 0


@pytest.mark.parametrize(
    ("given", "count"),
    [("tiktoken is great!", 6), (["tiktoken is great!"] * 2, 12), ([1, 2, 3], 3), ([[1, 2], [3]], 3), (None, 0)],
)
def test_an_embedding_input_is_text_or_texts_or_tokens(given: object, count: int) -> None:
    assert estimate_embedding_input({"input": given}, UNKNOWN) == count


# Images


def png(width: int, height: int) -> bytes:
    header = struct.pack(">4sIIBBBBB", b"IHDR", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + bytes(20)


def jpeg(width: int, height: int) -> bytes:
    exif = b"\xff\xe1" + struct.pack(">H", 2 + 9000) + bytes(9000)
    return b"\xff\xd8" + exif + b"\xff\xc2" + struct.pack(">HBHH", 17, 8, height, width) + bytes(20)


def webp_extended(width: int, height: int) -> bytes:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + bytes(4) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + size


def webp_lossy(width: int, height: int) -> bytes:
    return b"RIFF" + bytes(4) + b"WEBPVP8 " + bytes(7) + b"\x9d\x01\x2a" + struct.pack("<HH", width, height) + bytes(9)


def webp_lossless(width: int, height: int) -> bytes:
    bits = (width - 1) | (height - 1) << 14
    return b"RIFF" + bytes(4) + b"WEBPVP8L" + bytes(4) + b"\x2f" + struct.pack("<I", bits) + bytes(9)


def data_url(image: bytes) -> str:
    return "data:image/x;base64," + base64.b64encode(image).decode()


@pytest.mark.parametrize("make", [png, gif, jpeg, webp_extended, webp_lossy, webp_lossless])
def test_the_size_of_an_image_is_read_from_its_head(make: object) -> None:
    assert callable(make)
    assert size_of_data_url(data_url(make(1025, 640) + bytes(200_000))) == (1025, 640)


@pytest.mark.parametrize(
    "url", ["https://example.com/a.png", "data:image/png;base64,", "data:image/png;base64,%%%%", ""]
)
def test_an_image_of_unknown_size_costs_the_usual(url: str) -> None:
    assert image_tokens(url) == 731


@pytest.mark.parametrize(
    ("width", "height", "count"),
    [
        (336, 336, 147),  # one tile is sent only once
        (672, 672, 144 * 5 + 3 + 4),
        (672, 336, 144 * 3 + 3 + 2),
        (4000, 3000, 144 * 13 + 3 + 12),  # 4 x 3 tiles
        (10_000, 10_000, 144 * 17 + 3 + 16),
    ],
)
def test_tiles_are_counted_as_the_published_processor_does(width: int, height: int, count: int) -> None:
    assert tiled_tokens(width, height) == count


def test_an_image_adds_its_tokens_and_not_its_base64() -> None:
    parts = [
        {"type": "text", "text": "who are you?"},
        {"type": "image_url", "image_url": {"url": data_url(png(672, 672) + bytes(500_000))}},
    ]
    body = {"messages": [{"role": "user", "content": parts}]}
    assert estimate_prompt(body, LLAMA4) == estimate_prompt(chat("who are you?"), LLAMA4) + tiled_tokens(672, 672)


# Whatever it is given

ANY_TEXT = st.text(st.characters(), max_size=300)  # surrogates included
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(["messages", "content", "role", "tools", "function", "response_format", "image_url", "input"])
ODD_BODY = st.dictionaries(KEYS, st.lists(st.dictionaries(KEYS, ANY_JSON)) | ANY_JSON)
calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=100)


@calm
@given(ANY_TEXT, st.sampled_from(MODELS))
def test_no_text_makes_counting_fail(text: str, model: str) -> None:
    assert (count_text(text, model) > 0) == bool(text)
    assert estimate_completion(text, text, [text], model) >= 0


@calm
@given(ODD_BODY, st.sampled_from(MODELS))
def test_no_body_makes_an_estimate_fail(body: dict[str, object], model: str) -> None:
    assert estimate_prompt(body, model) >= 0
    assert estimate_embedding_input(body, model) >= 0


def test_what_is_not_even_a_body_is_survived() -> None:
    for odd in (None, 7, "text", [], [[]], object()):
        assert estimate_prompt(odd, GPT) >= 0  # type: ignore[arg-type]
        assert estimate_embedding_input(odd, GPT) >= 0  # type: ignore[arg-type]
        assert estimate_completion(odd, odd, odd, GPT) >= 0  # type: ignore[arg-type]
        assert count_text(odd, odd) == (count_text("text", GPT) if odd == "text" else 0)  # type: ignore[arg-type]


def test_very_deep_and_looping_bodies_are_survived() -> None:
    deep: object = "hello"
    for _ in range(100_000):
        deep = [deep]
    loop: dict[str, object] = {"type": "function"}
    loop["function"] = {"name": "loop", "parameters": {"type": "object", "properties": {"self": loop}}}
    loop["self"] = loop
    for model in MODELS:
        assert estimate_prompt({"messages": [{"role": "user", "content": deep}], "tools": deep}, model) >= 0
        assert estimate_prompt(chat("Hi", tools=[loop]), model) > 0
    while isinstance(deep, list):  # taken apart by hand: letting go of it at once would overflow the C stack
        deep = deep.pop()


def test_the_shipped_files_come_with_their_origin(tmp_path: Path) -> None:
    shutil.copy(vocabularies.PACKAGED / "README.md", tmp_path)
    readme = (tmp_path / "README.md").read_text()
    assert all(sha256 in readme for sha256 in vocabularies.PACKAGED_SHA256.values())
