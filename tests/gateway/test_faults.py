"""Every fault of Groq's reaches the client as Groq would have sent it, and leaves one event."""

from typing import Any

import httpx
import pytest

from groq_client import Call, Groq
from groq_client.simulator.faults import FAULTS
from ledger.models import UsageEvent
from tests.gateway.doors import CALL, Door, question
from tests.gateway.wiretap import wiretap
from tests.groq_client.memory import MODEL, Memory
from tests.groq_client.test_client_endings import ask

pytestmark = pytest.mark.django_db(transaction=True)

ENDLESS = {"timeout", "never-done"}
SLOW = {"x-sim-delay-ms": "50", "x-sim-chunk-delay-ms": "1"}
COMPARED = (
    "operation", "stream", "status", "error_code", "error_message", "http_status", "model", "model_requested",
    "input_tokens", "output_tokens", "total_tokens", "cached_tokens", "reasoning_tokens", "tokens_estimated",
)  # fmt: skip
"""What an event of the gateway has in common with one of the SDK's path."""


def pace(model: str) -> dict[str, str]:
    return SLOW if "slow" in model else {}


VARYING = {"date", "content-length", "x-request-id", "cf-ray"}
"""Headers that differ from one answer of Groq's to the next."""


class Answer:
    """What a client was given: bytes, and perhaps a cut before their end."""

    def __init__(self, door: Door, base: str = "", **body: Any) -> None:
        self.body, self.is_cut = b"", False
        with httpx.stream(
            "POST",
            f"{base or f'{door.address}/v1'}/chat/completions",
            json=question(**body),
            headers={"authorization": f"Bearer {CALL}", **pace(body["model"])},
            timeout=30,
        ) as response:
            door.note(response)
            self.status, self.headers = response.status_code, response.headers
            try:
                for chunk in response.iter_raw():
                    self.body += chunk
            except httpx.RemoteProtocolError:
                self.is_cut = True


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_every_fault(door: Door, stream: bool) -> None:
    answers, straight, pieces, calls = {}, {}, {}, {}
    for fault in FAULTS.keys() - ENDLESS:
        with wiretap() as wrote:
            answers[fault] = Answer(door, model=f"sim/{fault}/{MODEL}", stream=stream)
        pieces[fault] = b"".join(wrote)
        straight[fault] = Answer(door, f"{door.groq.base_url}/openai/v1", model=f"sim/{fault}/{MODEL}", stream=stream)
        calls[fault] = by_the_sdk(door, f"sim/{fault}/{MODEL}", stream=stream)
    for fault, answer in answers.items():
        assert answer.body == pieces[fault], fault
        assert answer.is_cut is straight[fault].is_cut is (fault == "cut")
        assert answer.status == straight[fault].status, fault
        assert told_by_groq(answer) == told_by_groq(straight[fault]), fault
        event = door.event(answer.headers["x-usage-request-id"])
        if (fault, stream) == ("cut", False):  # The SDK gives no part of an answer to anybody, and so counts none.
            assert (event.status, event.error_code, event.output_tokens > 0) == ("error", "connection_error", True)
        else:
            assert facts_of_event(event) == facts_of_call(calls[fault]), fault
        assert event.http_status == answer.status
        assert event.provider_request_id.startswith("req_")
        assert event.organization.slug == "acme"


def told_by_groq(answer: Answer) -> dict[str, str]:
    """The headers of an answer but for those of the connection, our own, and the counts that differ."""
    told = {name: "" if name in VARYING or "ratelimit" in name else value for name, value in answer.headers.items()}
    of_the_connection = {"transfer-encoding", "connection", "keep-alive", "content-length"}
    return {name: value for name, value in told.items() if name not in of_the_connection and name[:7] != "x-usage"}


def by_the_sdk(door: Door, model: str, *, stream: bool) -> Call:
    """The same call by our client, straight to Groq."""
    memory = Memory()
    with Groq(api_key="gsk_test", base_url=door.groq.base_url, recorder=memory, max_retries=0) as client:
        ask(client, "end" if stream else None, model=model, extra_headers=pace(model))
        return memory.only


def facts_of_call(call: Call) -> dict[str, Any]:
    if call.error_code == "invalid_response":
        call.error_message = ""  # by the SDK the name of its own exception
    said = {name: getattr(call.usage if hasattr(call.usage, name) else call, name, None) for name in COMPARED}
    return said | {"tokens_estimated": call.usage.estimated, "model": call.model or call.model_requested}


def facts_of_event(event: UsageEvent) -> dict[str, Any]:
    return {name: getattr(event, name) for name in COMPARED}


def test_the_headers_of_an_error(door: Door) -> None:
    response = door.ask(model="sim/error-429", headers={"x-sim-retry-after": "7"})
    assert response.status_code == 429
    assert response.headers["retry-after"] == "7"
    assert response.headers["x-ratelimit-remaining-tokens"] == "0"
    assert response.headers["x-request-id"] == door.event().provider_request_id
