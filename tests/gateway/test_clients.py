"""Libraries that are built on Groq, unmodified, each in a process of its own, with address and key changed.

Their programs are those of the page Connect, and more of their uses are in the folder ``clients``.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from accounts.models import Organization
from tests.cast import make_user
from tests.gateway.doors import CALL, Door, wait_until_known
from tests.gateway.ingestion.sending import new_secret
from tests.gateway.relay import Passed
from tests.gateway.snippets import snippet
from tests.gateway.tap import Tap, unchanged
from tests.gateway.wiretap import written_bodies

pytestmark = pytest.mark.django_db(transaction=True)

CLIENTS = Path(__file__).parent / "clients"
PYTHON = settings.BASE_DIR / "var" / "clients" / "bin" / "python"
MODEL = "openai/gpt-oss-20b"
"""A name with a slash in it, which some libraries take for the name of a provider."""
NAMES = sorted(path.stem for path in CLIENTS.glob("*.py"))
SECONDS = 300
OFFLINE = {
    "HTTP_PROXY": "http://127.0.0.1:9",  # Nothing listens there: what a library asks of the internet fails at once.
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "127.0.0.1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "OTEL_SDK_DISABLED": "true",
    "LANGSMITH_TRACING": "false",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
}


def run(name: str, tap: Tap, folder: Path) -> dict[str, str]:
    """The texts that a library was given, by its use."""
    uses = CLIENTS / f"{name}.py"
    program = written(snippet(f"{name}.py", tap.address, CALL, MODEL), folder)
    output = output_of(CLIENTS.parent / "calling.py", program, uses, tap.address, CALL, MODEL, folder=folder)
    texts: dict[str, str] = json.loads(output.splitlines()[-1])
    return texts


def written(program: str, folder: Path) -> Path:
    path = folder / "program.py"
    path.write_text(program)
    return path


def output_of(*command: Path | str, folder: Path, **more: str) -> str:
    """What a program prints in the environment of the libraries, without the internet."""
    assert PYTHON.exists(), f"make pytest installs it, from {CLIENTS / 'requirements.txt'}"
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **OFFLINE, **more}
    arguments = [str(PYTHON), "-P", *map(str, command)]
    ran = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.parametrize("name", NAMES)
def test_a_library(name: str, door: Door, tap: Tap, acme: Organization, tmp_path: Path) -> None:
    make_user("ann", organization=acme)
    with unchanged(tap):
        texts = run(name, tap, tmp_path)
    answers = tap.answers
    events = {event.request_id: event for event in door.all(len(answers))}
    last: dict[str, str] = {}
    for request_id, answer in sorted(by_id(answers).items(), key=lambda item: events[item[0]].timestamp):
        event, said = events[request_id], Said.by(answer)
        told = (event.model, event.stream, event.input_tokens, event.output_tokens, event.tokens_estimated)
        assert told == (said.model, said.is_stream, said.input_tokens, said.output_tokens, False)
        assert (event.organization, event.status) == (acme, "success")
        assert (event.user.username if event.user else "") == ("" if event.feature == "chat" else "ann")
        last[event.feature] = said.text
    assert {use: meant(text) for use, text in texts.items()} == {use: meant(text) for use, text in last.items()}


def test_litellm_tells_the_ledger_of_a_call_that_went_straight_to_groq(
    door: Door, acme: Organization, tmp_path: Path
) -> None:
    secret = new_secret(acme)
    wait_until_known()
    program = written(snippet("litellm_callback.py", door.address, secret, MODEL), tmp_path)
    groq = {"GROQ_API_BASE": f"{door.groq.base_url}/openai/v1", "GROQ_API_KEY": "gsk_of_the_program"}
    with written_bodies() as bodies:
        output = output_of(program, folder=tmp_path, **groq)
    answer = json.loads(bodies()[0])
    assert output.rstrip("\n") == answer["choices"][0]["message"]["content"]
    event = door.only()
    assert (event.organization, event.provider, event.model, event.status) == (acme, "groq", MODEL, "success")
    assert event.response_id == answer["id"]
    usage = answer["usage"]
    assert (event.input_tokens, event.output_tokens) == (usage["prompt_tokens"], usage["completion_tokens"])


@pytest.mark.parametrize("name", [*NAMES, "litellm_callback"])
def test_the_manual_shows_the_same_program(name: str) -> None:
    manual = (settings.BASE_DIR / "docs" / "libraries.md").read_text()
    assert f"```python\n{snippet(f'{name}.py', 'http://localhost:8000', 'gul_…', MODEL).strip()}\n```" in manual


def meant(text: str) -> Any:
    """The value of JSON, which libraries write anew; any other text is given as it came."""
    with suppress(ValueError):
        return json.loads(text)
    return text


def by_id(answers: list[Passed]) -> dict[str, Passed]:
    """The answers by the id of their call in the ledger. All have one, each its own."""
    named = {answer.headers["x-usage-request-id"]: answer for answer in answers}
    assert len(named) == len(answers)
    return named


@dataclass(frozen=True, slots=True)
class Said:
    """What an answer of Groq's says. ``text`` is what the model wrote, or its arguments for a tool."""

    model: str
    is_stream: bool
    input_tokens: int
    output_tokens: int
    text: str

    @classmethod
    def by(cls, answer: Passed) -> "Said":
        is_stream = answer.headers["content-type"].startswith("text/event-stream")
        parts = list(frames(answer.body)) if is_stream else [json.loads(answer.body)]
        usages = [usage for part in parts if (usage := usage_of(part))]
        read, written = (usages[-1].get(f"{kind}_tokens") for kind in ("prompt", "completion"))
        if read is None:
            read, written = usages[-1]["input_tokens"], usages[-1]["output_tokens"]
        models = [part.get("model") or part.get("response", {}).get("model") for part in parts]
        return cls(next(filter(None, models)), is_stream, read, written, "".join(map(text_of, parts)))


def frames(body: bytes) -> Iterator[Any]:
    for line in body.decode().splitlines():
        if line.startswith("data: {"):
            yield json.loads(line.removeprefix("data: "))


def usage_of(part: Any) -> dict[str, int] | None:
    return part.get("usage") or part.get("x_groq", {}).get("usage") or part.get("response", {}).get("usage")


def text_of(part: Any) -> str:
    if part.get("type") == "response.output_text.delta":
        return part["delta"]
    if part.get("object") == "response":
        return "".join(
            piece["text"] for item in part["output"] if item["type"] == "message" for piece in item["content"]
        )
    messages = [choice.get("message") or choice["delta"] for choice in part.get("choices", [])]
    called = [call["function"]["arguments"] for message in messages for call in message.get("tool_calls") or []]
    return "".join([*(message.get("content") or "" for message in messages), *called])
