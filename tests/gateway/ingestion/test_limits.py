"""What a key may tell in a minute, and how much of the server one key can take."""

import json
import socket
from contextlib import ExitStack
from select import select
from typing import Any

import pytest

from accounts import bearer
from accounts.models import Organization
from gateway.rates import CALLS, Rates, shared_windows
from ledger.models import UsageEvent
from tests.gateway.ingestion.conftest import NewSender
from tests.gateway.ingestion.sending import EVENTS, TRACES, Answer, Sender, event, forget_rates, new_secret
from tests.gateway.ingestion.test_faults import begun, said
from tests.gateway.ingestion.test_otlp import CHAT, PROTOBUF, in_protobuf, span, traces
from tests.running_demo import wait_until
from tests.served import served

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def fresh_minute() -> None:
    forget_rates()


def in_form(message: dict[str, Any], form: str) -> bytes:
    return in_protobuf(message) if form == PROTOBUF else json.dumps(message).encode()


def waits(answer: Answer) -> int:
    return int(answer.headers["Retry-After"])


def test_requests_a_minute(acme: Organization, new_sender: NewSender) -> None:
    sender = new_sender(acme, requests_per_minute=2)
    answers = [sender.send(event(request_id=str(number))) for number in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 429, 429]
    assert 1 <= waits(answers[2]) <= 60
    assert "2 requests a minute" in answers[2].json["detail"]
    assert UsageEvent.objects.count() == 2


def test_a_batch_is_one_request(acme: Organization, new_sender: NewSender) -> None:
    sender = new_sender(acme, requests_per_minute=1)
    assert sender.send(*[event(request_id=str(number)) for number in range(20)]).json["recorded"] == 20
    assert sender.send(event()).status == 429


def test_a_limit_of_tokens_slows_the_telling_and_loses_nothing(acme: Organization, new_sender: NewSender) -> None:
    """A batch is let in whole while there is room for any token, and what was known already counts nothing."""
    sender = new_sender(acme, tokens_per_minute=500)
    for _ in range(5):
        assert sender.send(event(request_id="a")).status == 200  # 120 tokens, once
    batch = [event(request_id=str(number)) for number in range(10)]
    assert sender.send(*batch).json["recorded"] == 10
    refused = sender.send(event(request_id="b"))
    assert (refused.status, 1 <= waits(refused) <= 120) == (429, True)
    assert "500 tokens a minute" in refused.json["detail"]
    forget_rates()
    assert sender.send(event(request_id="b")).json["recorded"] == 1


@pytest.mark.parametrize("form", ["application/json", PROTOBUF])
def test_an_exporter_is_told_to_wait_in_the_words_of_its_protocol(
    acme: Organization, new_sender: NewSender, form: str
) -> None:
    sender = new_sender(acme, requests_per_minute=1)
    first, second = (in_form(traces(span(CHAT, number)), form) for number in (1, 2))
    assert sender.post(TRACES, first, form).status == 200
    refused = sender.post(TRACES, second, form)
    assert (refused.status, 1 <= waits(refused) <= 60) == (503, True)
    assert b"1 requests a minute" in refused.body
    assert refused.headers["Content-Type"] == form


def test_an_exporters_tokens_count(acme: Organization, new_sender: NewSender) -> None:
    sender = new_sender(acme, tokens_per_minute=100)
    assert sender.post(TRACES, in_protobuf(traces(span(CHAT))), PROTOBUF).status == 200
    assert sender.post(TRACES, in_protobuf(traces(span(CHAT, 2))), PROTOBUF).status == 503


def test_what_is_told_of_yesterday_holds_up_no_call(acme: Organization, new_sender: NewSender) -> None:
    sender = new_sender(acme, requests_per_minute=1, tokens_per_minute=1)
    assert sender.send(event()).status == 200
    assert sender.send(event()).status == 429
    key = bearer.keyring.find(sender.secret)
    assert key is not None
    Rates(shared_windows(), CALLS).let_in(key)


def test_a_key_without_limits_has_none(sender: Sender) -> None:
    assert {sender.post(EVENTS, b"{}").status for _ in range(20)} == {422}


WRONG = [(secret, path) for secret in ("", "gul_wrong") for path in (EVENTS, TRACES)]


def test_one_key_leaves_room_for_the_bodies_of_others_and_nobody_without_one_has_any(
    acme: Organization, globex: Organization
) -> None:
    greedy, modest = new_secret(acme), new_secret(globex)
    body = json.dumps(event()).encode()
    with served(INGEST_AT_ONCE="1") as url, ExitStack() as links:
        wrong = [begun(url, secret, "Content-Length: 9000000", path) for secret, path in WRONG]
        for link in wrong:
            assert links.enter_context(link).recv(200).split()[1] == b"401"
        begun_ones = [
            links.enter_context(begun(url, greedy, f"Content-Length: {len(body)}")) for _ in range(2 * 16)
        ]  # twice what it may have in the two workers
        for link in begun_ones:
            link.sendall(body[:1])
        wait_until(lambda: len(select(begun_ones, [], [], 0)[0]) >= 16, 30)
        refused = select(begun_ones, [], [], 0)[0]
        assert {link.recv(200).split()[1] for link in refused} == {b"503"}
        with begun(url, modest, f"Content-Length: {len(body)}\r\nConnection: close") as link:
            link.sendall(body)
            assert b" 200 " in said(link).partition(b"\r\n")[0]
        taken = [answered(link, body[1:]) for link in begun_ones if link not in refused]
        assert b"200" in taken
        assert set(taken) <= {b"200", b"503"}  # one more may have been refused since


def answered(link: socket.socket, rest: bytes) -> bytes:
    """The status that a sender gets for a body, of which this is the rest."""
    link.sendall(rest)
    return link.recv(200).split()[1]
