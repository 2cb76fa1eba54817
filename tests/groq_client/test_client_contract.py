"""What the client leans on in the SDK beyond its public surface. When an upgrade breaks it, look here first."""

import inspect
import re
from pathlib import Path

import groq
import httpx
import pytest

from groq_client import problems
from groq_client.asked import operation_of
from groq_client.simulator.server import SimulatorHandle
from tests.groq_client.memory import MESSAGES, MODEL

CLIENTS = [groq.Groq, groq.AsyncGroq]
ADVICE = "groq_client leans on this, see its sdk.py; adapt it before upgrading the SDK"


@pytest.mark.parametrize("client", CLIENTS)
def test_request_takes_what_we_hand_on(client: type) -> None:
    parameters = list(inspect.signature(client.request).parameters)  # type: ignore[attr-defined]
    assert parameters == ["self", "cast_to", "options", "stream", "stream_cls"], ADVICE


@pytest.mark.parametrize("client", CLIENTS)
def test_the_hooks_are_there(client: type) -> None:
    assert list(inspect.signature(client._prepare_request).parameters) == ["self", "request"], ADVICE  # type: ignore[attr-defined]
    process = inspect.signature(client._process_response).parameters  # type: ignore[attr-defined]
    assert process["response"].kind is inspect.Parameter.KEYWORD_ONLY, ADVICE
    assert all(
        parameter.kind is inspect.Parameter.KEYWORD_ONLY for name, parameter in process.items() if name != "self"
    )
    assert "_extra_kwargs" in inspect.signature(client.copy).parameters, ADVICE  # type: ignore[attr-defined]


def test_the_sdk_has_all_that_recording_leans_on() -> None:
    assert problems() == (), ADVICE


def test_every_call_passes_the_hooks_once_per_attempt(sim: SimulatorHandle) -> None:
    seen: list[str] = []

    class Watching(groq.Groq):
        def request(self, *args, **kwargs):  # type: ignore[no-untyped-def]
            seen.append("request")
            return super().request(*args, **kwargs)

        def _prepare_request(self, request: httpx.Request) -> None:
            seen.append("prepare")

        def _process_response(self, **kwargs):  # type: ignore[no-untyped-def]
            seen.append("process")
            return super()._process_response(**kwargs)

    client = Watching(api_key="gsk_test", base_url=sim.base_url)
    model = f"sim/retry-then-success-1/{MODEL}"
    headers = {"x-sim-retry-after": "0"}
    client.chat.completions.create(model=model, messages=MESSAGES, extra_headers=headers)
    assert seen == ["request", "prepare", "prepare", "process"], ADVICE


def test_no_billed_endpoint_of_the_sdk_is_unknown() -> None:
    """Every path to which the SDK posts is either one of ours or known to cost nothing."""
    resources = Path(groq.__file__).parent / "resources"
    source = "\n".join(path.read_text() for path in resources.rglob("*.py"))
    paths = set(re.findall(r'_post\(\s*(?:path_template\()?f?"([^"]+)"', source))
    assert {path: operation_of("post", path) for path in sorted(paths)} == {
        "/openai/v1/audio/speech": "speech",
        "/openai/v1/audio/transcriptions": "transcription",
        "/openai/v1/audio/translations": "translation",
        "/openai/v1/batches": None,
        "/openai/v1/batches/{batch_id}/cancel": None,
        "/openai/v1/chat/completions": "chat",
        "/openai/v1/embeddings": "embedding",
        "/openai/v1/files": None,
    }
