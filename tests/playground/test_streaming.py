"""Answers over the server that runs in production: they come in pieces, and a reader who goes away ends the call."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from accounts.models import User
from groq_client.simulator.server import SimulatorHandle
from ledger.models import UsageEvent
from tests.cast import signed_in
from tests.playground.asking import ANSWERS, PAGE, question
from tests.running_demo import wait_until
from tests.served import served

pytestmark = pytest.mark.django_db(transaction=True)

SLOW = {"model": "sim/slow-chunks"}
"""A fifth of a second between the chunks."""
NEVER = {"model": "sim/timeout"}
CSRF = "x" * 32

Lines = Iterator[dict[str, Any]]
Stream = Callable[..., Any]


@pytest.fixture(scope="module")
def address(django_db_setup: None, django_db_blocker: Any, simulator: SimulatorHandle) -> Iterator[str]:
    """gunicorn as in ``make demo``, with the simulator as its Groq."""
    groq = {"GROQ_API_KEY": "gsk_test", "GROQ_BASE_URL": simulator.base_url}
    limits = {"DATABASE_POOL_SIZE": "2", "PLAYGROUND_ASKS_PER_PERSON": "8"}
    with django_db_blocker.unblock(), served(**groq, **limits) as address:
        yield address


@pytest.fixture
def stream(address: str, user: User) -> Iterator[Stream]:
    """``with stream(…) as lines`` asks; leaving it closes the connection.

    The test ends when all that was asked is recorded: it is another process that records it, which would otherwise do
    so in the middle of the next test.
    """
    session = signed_in(user).cookies["sessionid"].value
    asked: list[str] = []

    def read(line: str) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(line)
        asked.extend([said["request_id"]] if "request_id" in said else [])
        return said

    @contextmanager
    def ask(message: str = "Hello", **more: Any) -> Iterator[Lines]:
        cookies = {"sessionid": session, "csrftoken": CSRF}
        with (
            httpx.Client(base_url=address, cookies=cookies, headers={"X-CSRFToken": CSRF}, timeout=60) as client,
            client.stream("POST", ANSWERS, data=question(message, **more)) as response,
        ):
            assert response.status_code == 200
            assert "Content-Encoding" not in response.headers
            yield (read(line) for line in response.iter_lines())

    yield ask
    for request_id in asked:
        event_of(request_id)


def event_of(request_id: str) -> UsageEvent:
    wait_until(lambda: UsageEvent.objects.filter(request_id=request_id).exists(), 60)
    return UsageEvent.objects.get(request_id=request_id)


def test_pieces_arrive_as_they_come(stream: Stream, user: User) -> None:
    with stream("Answer in one word, briefly.", **SLOW) as lines:
        request_id = next(lines)["request_id"]
        arrived = [time.monotonic() for line in lines if "text" in line]
    assert len(arrived) > 4
    assert arrived[-1] - arrived[0] > 0.15 * (len(arrived) - 1)
    event = event_of(request_id)
    assert (event.user, event.status, event.error_code) == (user, "success", "")
    assert event.ttft_ms is not None
    assert event.ttft_ms < event.latency_ms - 500


def test_a_reader_who_goes_away_ends_the_call_and_it_is_recorded(stream: Stream, simulator: SimulatorHandle) -> None:
    simulator.requests.clear()
    with stream("Write a long, detailed report.", **SLOW) as lines:
        request_id = next(lines)["request_id"]
        said = next(lines)["text"] + next(lines)["text"]
    event = event_of(request_id)
    assert said
    assert event.error_code in {"cancelled", "abandoned"}
    assert event.tokens_estimated
    assert 0 < event.output_tokens < 40
    assert event.latency_ms < 5_000
    assert [request.completed for request in simulator.requests] == [False]


def test_a_reader_who_goes_away_before_the_first_word_ends_the_call(stream: Stream, simulator: SimulatorHandle) -> None:
    simulator.requests.clear()
    with stream(**NEVER) as lines:
        request_id = next(lines)["request_id"]
        wait_until(lambda: bool(simulator.requests), 10)
    event = event_of(request_id)
    assert (event.status, event.error_code) == ("error", "cancelled")


def test_readers_do_not_wait_for_each_other(stream: Stream) -> None:
    """More of them than the server has workers."""
    started = time.monotonic()
    asked = []  # kept: lines that are dropped end their call
    with ExitStack() as stack:
        for _ in range(5):
            lines = stack.enter_context(stream("Write a long, detailed report.", **SLOW))
            asked.append(lines)
            assert next(lines)["request_id"]
            assert next(lines)["text"]
        assert time.monotonic() - started < 8


def test_those_who_wait_for_groq_hold_no_connection(
    stream: Stream, address: str, user: User, simulator: SimulatorHandle
) -> None:
    """Twice as many of them as the server has connections, half of them without JavaScript; and then pages."""
    simulator.requests.clear()
    session = signed_in(user).cookies["sessionid"].value
    with ExitStack() as stack:
        asked = [stack.enter_context(stream(**NEVER)) for _ in range(4)]  # kept: lines that are dropped end their call
        assert all(next(lines)["request_id"] for lines in asked)
        for _ in range(4):
            stack.enter_context(plain_form(address, session))
        wait_until(lambda: len(simulator.requests) >= 8, 60)
        with httpx.Client(base_url=address, cookies={"sessionid": session}, timeout=30) as client:
            assert {client.get("/").status_code for _ in range(6)} == {200}
    wait_until(lambda: UsageEvent.objects.count() >= 8, 60)


@contextmanager
def plain_form(address: str, session: str) -> Iterator[None]:
    """Sends the page's form and waits for no answer; leaving it closes the connection."""
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Cookie": f"sessionid={session}; csrftoken={CSRF}",
        "X-CSRFToken": CSRF,
    }
    with closing(HTTPConnection(address.removeprefix("http://"))) as connection:
        connection.request("POST", PAGE, urlencode({**question(**NEVER), "stream": ""}), headers)
        yield
