"""A call that passes the gateway, of which its program tells as well, is one event."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from groq import RateLimitError

from accounts.models import Organization
from groq_client import Groq
from groq_client.call import Call
from ledger.models import UsageEvent
from ledger.recording.record import record
from ledger.upkeep.gaps import fill_gaps
from tests.gateway.doors import CALL, SECONDS, Door, make_key
from tests.groq_client.memory import MESSAGES, MODEL, Memory
from tests.running_demo import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

AUDIO = Path(__file__).parent.parent / "data" / "audio" / "pcm.wav"


def chat(client: Groq, **more: Any) -> Any:
    return client.chat.completions.create(model=MODEL, messages=MESSAGES, **more)


def streamed(client: Groq) -> Any:
    return list(chat(client, stream=True))


def transcription(client: Groq) -> Any:
    return client.audio.transcriptions.create(model="whisper-large-v3", file=AUDIO)


def refused(client: Groq) -> Any:
    with pytest.raises(RateLimitError):
        client.chat.completions.create(model=f"sim/error-429/{MODEL}", messages=MESSAGES)


@pytest.mark.parametrize("use", [chat, streamed, transcription, refused])
def test_our_own_client_before_the_gateway(door: Door, acme: Organization, use: Any) -> None:
    memory = Memory()
    with Groq(api_key=CALL, base_url=door.address, recorder=memory, max_retries=0, project="rag") as client:
        use(client)
    (call,) = memory.calls
    gateways = door.only()
    record([_at_home(call, acme)])
    fill_gaps()
    event = UsageEvent.objects.select_related("project").get()
    assert event.request_id == gateways.request_id
    assert event.project is not None
    assert (event.project.slug, event.provider_request_id) == ("rag", call.provider_request_id)
    assert (event.total_tokens, event.cost_usd) == (gateways.total_tokens, gateways.cost_usd)


def test_a_span_of_opentelemetry_beside_the_gateway(door: Door, acme: Organization) -> None:
    make_key(acme, "gul_tell", may_ingest=True)
    answer = door.ask().json()
    door.settle()
    facts = {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "groq", "gen_ai.response.id": answer["id"],
        "gen_ai.response.model": MODEL, "usage.feature": "rag",
        "gen_ai.usage.input_tokens": answer["usage"]["prompt_tokens"],
        "gen_ai.usage.output_tokens": answer["usage"]["completion_tokens"],
    }  # fmt: skip
    attributes = [
        {"key": name, "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}}
        for name, value in facts.items()
    ]
    began = UsageEvent.objects.get().timestamp.timestamp()
    span = {
        "traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331", "name": "chat",
        "startTimeUnixNano": str(int(began * 1e9)), "endTimeUnixNano": str(int(began * 1e9) + 10**9),
        "attributes": attributes,
    }  # fmt: skip
    told = httpx.post(
        f"{door.address}/otlp/v1/traces",
        headers={"authorization": "Bearer gul_tell", "content-type": "application/json"},
        content=json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}),
        timeout=SECONDS,
    )
    assert (told.status_code, told.headers["x-usage-duplicates"]) == (200, "1")
    wait_until(lambda: fill_gaps() == 0, SECONDS)
    assert UsageEvent.objects.get().feature == "rag"


def _at_home(call: Call, organization: Organization) -> Call:
    return replace(call, attribution=replace(call.attribution, organization=organization.slug))
