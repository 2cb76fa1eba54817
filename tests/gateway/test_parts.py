"""The small parts of the gateway: addresses, headers, the window of a minute, given request ids, forms."""

import io
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Refusal
from gateway.forms import Form
from gateway.headers import answer_headers, read_headers
from gateway.request_ids import GivenIds
from gateway.routes import rest_of, route_to
from gateway.windows import SLOTS, SharedWindows, Window
from groq_client.asked import Asked
from groq_client.audio import length_of
from groq_client.call import Attribution

AUDIO = Path(__file__).parent.parent / "data" / "audio" / "pcm.wav"


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("POST", "/openai/v1/chat/completions", "chat"),
        ("POST", "/v1/responses", "chat"),
        ("POST", "/v1/embeddings", "embedding"),
        ("POST", "/v1/audio/transcriptions", "transcription"),
        ("POST", "/v1/audio/translations", "translation"),
        ("POST", "/v1/audio/speech", "speech"),
        ("GET", "/v1/models", None),
        ("GET", "/v1/models/openai/gpt-oss-20b", None),
        ("POST", "/v1/batches/batch_01/cancel", None),
        ("GET", "/v1/files/file_01/content", None),
        ("DELETE", "/v1/files/file_01", None),
    ],
)
def test_addresses(method: str, path: str, operation: str | None) -> None:
    route = route_to(method, rest_of(path) or "")
    assert route.path.startswith("/openai/v1/")
    assert route.operation == operation


@pytest.mark.parametrize(
    ("method", "rest", "status"),
    [
        ("GET", "chat/completions", 405),
        ("PUT", "files/file_01", 405),
        ("GET", "models/../../admin", 404),
        ("GET", "models/.hidden", 404),
        ("GET", "files/a/b/c", 404),
        ("GET", "files/%2e%2e", 404),
        ("POST", "chat/completions/", 404),
        ("GET", "models/" + "a" * 1_000, 404),
        ("GET", "models/a\n", 404),
        ("GET", "", 404),
    ],
)
def test_addresses_that_are_not_there(method: str, rest: str, status: int) -> None:
    with pytest.raises(Refusal) as refusal:
        route_to(method, rest)
    assert refusal.value.status == status


def test_pages_are_not_the_gateways() -> None:
    assert rest_of("/analytics/") is None
    assert rest_of("/v1") is None
    assert rest_of("/openai/v2/chat/completions") is None


def test_what_goes_to_groq() -> None:
    headers = read_headers(
        [
            (b"host", b"gateway"),
            (b"authorization", b"Bearer gul_x"),
            (b"cookie", b"sessionid=1"),
            (b"x-forwarded-for", b"10.0.0.1"),
            (b"connection", b"keep-alive"),
            (b"accept", b"*/*"),
            (b"user-agent", "Zoë".encode()),
            (b"x-stainless-retry-count", b"2"),
            (b"groq-model-version", b"latest"),
            (b"x-usage-user", "Zoë".encode()),
            (b"content-length", b"12"),
        ]
    )
    assert [name for name, _ in headers.forwarded] == ["accept", "x-stainless-retry-count", "groq-model-version"]
    assert headers.attribution == {"x-usage-user": "Zoë"}
    assert (headers.retries, headers.content_length, headers.authorization) == (2, 12, "Bearer gul_x")


def test_what_comes_back() -> None:
    raw = [
        (b"Content-Type", b"text/event-stream"),
        (b"Transfer-Encoding", b"chunked"),
        (b"X-Hop", b"1"),
        (b"Connection", b"keep-alive, X-Hop"),
        (b"Set-Cookie", b"__cf_bm=1"),
        (b"Content-Encoding", b"gzip"),
        (b"x-ratelimit-limit-tokens", b"1"),
    ]
    names = [name for name, _ in answer_headers(raw)]
    assert names == [b"Content-Type", b"Content-Encoding", b"x-ratelimit-limit-tokens"]


@given(st.lists(st.tuples(st.floats(0, 90), st.integers(1, 30)), max_size=60), st.integers(1, 100))
def test_a_window_never_lets_more_through_and_says_when_to_come_back(uses: list[tuple[float, int]], limit: int) -> None:
    now, window = 0.0, Window(0.0)
    for pause, amount in uses:
        now += pause
        wait = window.wait(limit, now)
        assert 0 <= wait <= 120
        if wait:
            assert window.wait(limit, now + wait + 0.001) == 0
            now += wait + 0.001
        window.add(amount, now)


def test_a_window_holds_a_burst() -> None:
    window, let_in = Window(0.0), 0
    for tenth in range(1200):
        now = tenth / 10
        if not window.wait(10, now):
            window.add(1, now)
            let_in += 1
    assert let_in <= 21  # in two minutes


def test_windows_are_shared_by_processes_and_kept_apart(tmp_path: Path) -> None:
    one, other = SharedWindows(tmp_path / "limits"), SharedWindows(tmp_path / "limits")
    for owner in (5, 5 + SLOTS, 5 + 2 * SLOTS):
        for shared in (one, other):
            with shared.of(owner, 100.0) as window:
                window.add(owner, 100.0)
    for owner in (5, 5 + SLOTS, 5 + 2 * SLOTS):
        with other.of(owner, 100.0) as window:
            assert window.latest == 2 * owner


def test_threads_count_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page threads and the event loop count in one process, where a lock on a file keeps nobody out."""
    shared = SharedWindows(tmp_path / "limits")
    find = shared._find

    def find_slowly(owner: int, now: float) -> tuple[int, Window]:
        found = find(owner, now)
        time.sleep(0.001)
        return found

    monkeypatch.setattr(shared, "_find", find_slowly)

    def count(_: int) -> None:
        with shared.of(1, 100.0) as window:
            window.add(1, 100.0)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(count, range(80)))
    with shared.of(1, 100.0) as window:
        assert window.latest == 80


def test_more_owners_than_places_take_those_of_the_longest_gone(tmp_path: Path) -> None:
    shared = SharedWindows(tmp_path / "limits")
    for number in range(20):
        with shared.of(1 + number * SLOTS, float(number)) as window:
            window.add(1, float(number))
    with shared.of(1 + 19 * SLOTS, 19.0) as window:
        assert window.latest == 1


def test_a_window_of_before_the_machine_was_started_begins_anew() -> None:
    window = Window(1_000_000.0, 50, 50)
    assert window.wait(1, 5.0) == 0


def test_a_request_id_that_comes_again_gets_an_end_of_its_own() -> None:
    ids, said = GivenIds(), Attribution("acme", request_id="mine")
    assert ids.unique(said, 0) == "mine"
    assert ids.unique(said, 1) == "mine~1"
    third, fourth = ids.unique(said, 0), ids.unique(said, 0)
    assert third.startswith("mine~")
    assert len({"mine", "mine~1", third, fourth}) == 4
    assert ids.unique(Attribution("globex", request_id="mine"), 0) == "mine"


def form_of(*parts: tuple[str, bytes]) -> bytes:
    pieces = [f"--b\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + content for head, content in parts]
    return b"\r\n".join([*pieces, b"--b--\r\n"])


@pytest.mark.parametrize("size", [1, 7, 1000, 10**9])
def test_a_form_in_pieces(size: int) -> None:
    audio = AUDIO.read_bytes()
    body = form_of(
        ('name="model"', b"whisper-large-v3"),
        ('name="timestamp_granularities[]"', b"word"),
        ('name="file"; filename="a.wav"', audio),
        ('name="other"; filename="b.wav"', b"RIFF"),
        ('name="stream"', b"true"),
    )
    asked = Asked("transcription")
    form = Form("multipart/form-data; boundary=b", asked)
    for at in range(0, len(body), size):
        form.feed(body[at : at + size])
    form.end()
    assert asked.model == "whisper-large-v3"
    assert set(asked.body) == {"model", "timestamp_granularities", "stream"}
    assert asked.streams
    assert asked.audio is not None
    assert length_of(asked.audio) == length_of(io.BytesIO(audio))


@given(st.binary(max_size=300), st.integers(1, 50))
def test_no_form_is_too_odd(content: bytes, size: int) -> None:
    body = form_of(('name="model"', b"m"))[:-6] + content
    asked = Asked("transcription")
    form = Form("multipart/form-data; boundary=b", asked)
    for at in range(0, len(body), size):
        form.feed(body[at : at + size])
    form.end()
    assert asked.model in ("m", "") or asked.model.startswith("m")
