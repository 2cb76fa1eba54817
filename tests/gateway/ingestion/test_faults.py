"""The doors while the database is away, and with senders that are slow, send too much, or send what nobody may keep."""

import json
import logging
import socket
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from django.conf import LazySettings
from django.db import connection, connections

from accounts.models import Organization
from ledger.models import UsageEvent
from ledger.recording import pool
from tests.cast import connect
from tests.gateway.ingestion.conftest import NewSender
from tests.gateway.ingestion.sending import EVENTS, TRACES, Sender, event, new_secret
from tests.gateway.ingestion.test_otlp import CHAT, PROTOBUF, exported, in_protobuf, span, traces
from tests.served import served

CANARY = "canary-prompt-7431"
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def impatient(settings: LazySettings) -> Iterator[None]:
    """A recorder that waits for the database for a tenth of a second."""
    pool.close()
    settings.RECORDING_TIMEOUT_MS = 100
    yield
    pool.close()


@pytest.mark.usefixtures("impatient")
def test_while_the_database_is_away_the_sender_keeps_its_events(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [event(request_id="a"), event(request_id="b")]
    assert sender.send(event(request_id="a")).status == 200  # the keys are known
    pool.close()
    with monkeypatch.context() as patch:
        patch.setitem(connections["default"].settings_dict, "HOST", "/nowhere")
        answers = [sender.send(*events), exported(sender, traces(span(CHAT)))]
    pool.close()
    for answer in answers:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert b"Send this again" in answer.body
    assert [result["status"] for result in sender.send(*events).json["results"]] == ["duplicate", "recorded"]


@pytest.mark.usefixtures("impatient")
def test_events_that_cannot_be_written_now_are_sent_again(sender: Sender) -> None:
    with connect() as link, link.transaction():
        link.execute("LOCK TABLE ledger_usageevent")
        assert sender.send(event(request_id="a")).status == 503
    assert sender.send(event(request_id="a")).json["recorded"] == 1
    assert UsageEvent.objects.count() == 1


def said(link: socket.socket) -> bytes:
    """All that the server says before it closes the connection."""
    found = b""
    while piece := link.recv(65_536):
        found += piece
    return found


def begun(url: str, secret: str, headers: str, path: str = EVENTS) -> socket.socket:
    """A connection on which a request to the door has begun."""
    at = urlsplit(url)
    link = socket.create_connection((str(at.hostname), at.port), timeout=30)
    head = f"POST {path} HTTP/1.1\r\nHost: {at.netloc}\r\nAuthorization: Bearer {secret}\r\n{headers}\r\n\r\n"
    link.sendall(head.encode())
    return link


def test_slow_and_endless_senders_hold_nothing(acme: Organization) -> None:
    secret = new_secret(acme)
    body = json.dumps(event()).encode()
    with served(INGEST_MAX_MB="1", INGEST_BODY_SECONDS="2", DATABASE_POOL_SIZE="2", LOG_LEVEL="DEBUG") as url:
        with closing(begun(url, secret, "Content-Length: 999999999")) as link:
            assert b" 413 " in said(link).partition(b"\r\n")[0]
        with closing(begun(url, secret, "Transfer-Encoding: chunked")) as link:
            try:
                for _ in range(64):
                    link.sendall(b"10000\r\n" + b" " * 65_536 + b"\r\n")
            except OSError:
                pass  # the server has answered and closed
            else:
                assert b" 413 " in said(link).partition(b"\r\n")[0]
        slow = [begun(url, secret, f"Content-Length: {len(body)}") for _ in range(20)]
        for link in slow:
            link.sendall(body[:10])
        with closing(begun(url, secret, f"Content-Length: {len(body)}\r\nConnection: close")) as link:
            link.sendall(body)
            assert b" 200 " in said(link).partition(b"\r\n")[0]
        with connect() as link:
            in_use = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'"
            assert link.execute(in_use).fetchone() == (1,)  # this query
        for link in slow:
            assert b" 408 " in said(link).partition(b"\r\n")[0]
            link.close()
    assert UsageEvent.objects.count() == 1


def test_nothing_of_a_prompt_or_a_key_is_kept_or_logged(
    acme: Organization, new_sender: NewSender, caplog: pytest.LogCaptureFixture, settings: LazySettings
) -> None:
    sender = new_sender(acme)
    key = "gsk_Canary0123456789"
    caplog.set_level(logging.DEBUG)
    prompt = {"prompt": CANARY, "messages": [{"role": "user", "content": CANARY}], "response": CANARY}
    sender.send(
        event(**prompt),
        event(input_tokens=CANARY, **prompt),
        event(status="error", error_message=f"Invalid key {key}, Bearer {sender.secret}", **prompt),
        CANARY,
    )
    sender.post(EVENTS, f'{{"prompt": "{CANARY}'.encode())
    told = {"gen_ai.input.messages": CANARY, "gen_ai.prompt.0.content": CANARY, "input.value": CANARY}
    spans = traces(
        span(CHAT | told, status={"code": 2, "message": CANARY}, events=[{"name": "exception"}]),
        span(CHAT | told | {"gen_ai.usage.input_tokens": CANARY}, 2),
    )
    exported(sender, spans)
    sender.post(TRACES, in_protobuf(spans), PROTOBUF)
    sender.post(TRACES, CANARY.encode(), PROTOBUF)
    Sender("gul_" + CANARY).send(event())
    kept = [caplog.text, *(path.read_text(errors="replace") for path in settings.JOURNAL_DIR.glob("*.j*"))]
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(f'SELECT "{table}"::text FROM "{table}"')
            kept += [row for (row,) in cursor.fetchall()]
    assert UsageEvent.objects.count() == 3
    for secret in (CANARY, key, sender.secret):
        assert not [text[:300] for text in kept if secret in text]
