"""Answers over the server that runs in production: they come in pieces, and a reader who goes away ends the call."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from django.db import connections

from accounts.models import User
from analytics.models import UsageEvent
from groq_client.simulator.server import SimulatorHandle
from tests.cast import signed_in
from tests.playground.asking import ANSWERS, question
from tests.running_demo import ROOT, free_port, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

SLOW = {"model": "", "other_model": "sim/slow-chunks"}
"""A fifth of a second between the chunks."""
NEVER = {"model": "", "other_model": "sim/timeout"}
CSRF = "x" * 32

Lines = Iterator[dict[str, Any]]
Stream = Callable[..., Any]


def database_url() -> str:
    """Of the test database, for another process."""
    parameters = connections["default"].get_connection_params()
    said = {name: parameters[name] for name in ("host", "port", "user", "password") if parameters.get(name)}
    return f"postgresql:///{parameters['dbname']}?{urlencode(said)}"


@pytest.fixture(scope="module")
def address(django_db_setup: None, django_db_blocker: Any, simulator: SimulatorHandle) -> Iterator[str]:
    """gunicorn as in ``make demo``, with the simulator as its Groq."""
    with django_db_blocker.unblock():
        environment = {"DATABASE_URL": database_url(), "GROQ_API_KEY": "gsk_test", "GROQ_BASE_URL": simulator.base_url}
    port = free_port()
    arguments = ["-m", "gunicorn", "usage_dashboard.asgi:application", "--worker-class", "asgi", "--workers", "2"]
    arguments += ["--bind", f"127.0.0.1:{port}", "--graceful-timeout", "3", "--no-control-socket"]
    server = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env={**os.environ, **environment})
    wait_until(lambda: is_listening(port), 60)
    yield f"http://127.0.0.1:{port}"
    server.terminate()
    server.wait(20)


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


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
    wait_until(lambda: UsageEvent.objects.filter(request_id=request_id).exists(), 10)
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
    with ExitStack() as stack:
        for _ in range(5):
            lines = stack.enter_context(stream("Write a long, detailed report.", **SLOW))
            assert next(lines)["request_id"]
            assert next(lines)["text"]
        assert time.monotonic() - started < 8
