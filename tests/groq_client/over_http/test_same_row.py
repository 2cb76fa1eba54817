"""A call that is recorded over HTTP leaves the same row as one that is recorded in the ledger's own process."""

from collections.abc import Callable
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import Any

import groq
import httpx
import pytest
from django.core.management import call_command
from django.db import connection

from accounts.models import Organization
from groq_client import Call, CallRefused, Groq, usage_context
from groq_client.recorder import default_recorder
from groq_client.simulator.server import SimulatorHandle
from ledger.models import UsageEvent
from tests.groq_client.memory import MESSAGES, MODEL, SLOWLY, Memory
from tests.groq_client.over_http.conftest import NewRecorder

pytestmark = pytest.mark.django_db(transaction=True)

AUDIO = Path(__file__).parents[2] / "data" / "audio" / "pcm.wav"
OWN = {"id", "received_at"}
UNTOLD = {"reported_cost_usd"}
"""Only other senders tell a cost. All other columns are filled by some call."""
SEARCHING = {"tools": {"enabled_tools": ["web_search"]}}
FAILURES = (groq.GroqError, httpx.HTTPError, CallRefused)


class Collector(Memory):
    """Remembers the calls, and refuses those for the feature ``forbidden``."""

    def start(self, call: Call) -> None:
        super().start(call)
        if call.attribution.feature == "forbidden":
            raise CallRefused("The budget of this project is spent.")


def chat(client: Groq, model: str = MODEL, **more: Any) -> Any:
    return client.chat.completions.create(model=model, messages=MESSAGES, **more)


def left(client: Groq) -> None:
    with client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True, extra_headers=SLOWLY) as stream:
        for _ in range(5):
            next(stream)


CALLS: dict[str, Callable[[Groq], Any]] = {
    "chat": lambda client: chat(client, extra_headers={"x-sim-cached-tokens": "9"}, service_tier="flex"),
    "stream": lambda client: list(chat(client, stream=True)),
    "stream that is left": left,
    "estimated": lambda client: chat(client, "sim/no-usage"),
    "tools": lambda client: chat(client, "openai/gpt-oss-20b", tools=[{"type": "browser_search"}]),
    "compound": lambda client: chat(
        client, "groq/compound", compound_custom={"tools": {"enabled_tools": ["web_search"]}}
    ),
    "stream of a compound": lambda client: list(chat(client, "groq/compound-mini", stream=True)),
    "transcription": lambda client: client.audio.transcriptions.create(model="whisper-large-v3", file=AUDIO),
    "translation": lambda client: client.audio.translations.create(
        model="whisper-large-v3", file=AUDIO, response_format="verbose_json"
    ),
    "speech": lambda client: client.audio.speech.create(
        model="canopylabs/orpheus-v1-english", voice="autumn", input="Hello there."
    ),
    "embedding": lambda client: client.embeddings.create(model="nomic-embed-text-v1_5", input=["one", "two"]),
    "contradicting counts": lambda client: chat(client, "sim/usage-contradicts"),
    "unknown model": lambda client: chat(client, "sim/unknown-model-answer"),
    "error 400": lambda client: chat(client, "sim/error-400"),
    "error 429": lambda client: chat(client, "sim/error-429"),
    "error after a retry": lambda client: chat(client.with_options(max_retries=1), "sim/error-503"),
    "error in a stream": lambda client: list(chat(client, "sim/error-midstream", stream=True)),
    "cut": lambda client: chat(client, "sim/cut"),
    "timeout": lambda client: chat(client.with_options(timeout=0.05), "sim/timeout"),
    "no model": lambda client: chat(client, ""),
    "never sent": lambda client: chat(client.with_options(base_url="http://127.0.0.1:9")),
    "refused": lambda client: chat(client, extra_headers={"X-Usage-Feature": "forbidden"}),
}
WHO = {
    "organization": "acme",
    "project": "Website",
    "user": "Zoë",
    "expert": "support",
    "template": "refunds",
    "feature": "chat",
    "session": "c-42",
    "metadata": {"ticket": 4711, "tags": ["a", {"b": None}], "text": "Grüße 🌍"},
}


def test_every_kind_of_call_leaves_the_same_row_over_http(
    acme: Organization, ledger: str, key: str, sim: SimulatorHandle, new_recorder: NewRecorder
) -> None:
    call_command("sync_prices", yes=True, stdout=StringIO())
    calls = all_calls(sim)
    here = rows_of(calls, default_recorder())
    with connection.cursor() as cursor:  # one call is one event, whoever tells of it
        cursor.execute("TRUNCATE ledger_usageevent, ledger_tail")
    over_http = rows_of(calls, new_recorder(ledger))
    assert list(here) == list(over_http) == sorted(call.request_id for call in calls)
    for name, row in here.items():
        assert row == over_http[name], name
    told = {column for row in here.values() for column, value in row.items() if value not in ("", None, 0, {})}
    told.add("hour")  # which is 0 at this moment, perhaps
    assert {field.attname for field in UsageEvent._meta.fields} - OWN - told == UNTOLD


def all_calls(sim: SimulatorHandle) -> list[Call]:
    collector = Collector()
    client = Groq(api_key="gsk_test", base_url=sim.base_url, max_retries=0, recorder=collector)
    for name, call in CALLS.items():
        for described, who in ((name, {"organization": "acme"}), (f"{name}, attributed", WHO)):
            with usage_context(**who, request_id=described), suppress(*FAILURES):  # type: ignore[arg-type]
                call(client)
    calls = collector.calls
    assert len(calls) == 2 * len(CALLS)
    return calls


def rows_of(calls: list[Call], recorder: Any) -> dict[str, dict[str, Any]]:
    """The rows that the calls leave, by request id, without the columns in which any two rows differ."""
    for call in calls:
        recorder.start(call)
        recorder.finish(call)
    assert recorder.flush(30)
    rows = UsageEvent.objects.order_by("request_id").values()
    return {row["request_id"]: {c: value for c, value in row.items() if c not in OWN} for row in rows}
