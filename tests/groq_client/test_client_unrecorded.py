"""A program whose calls cannot be recorded, or are recorded nowhere, is told so once; its calls are made anyway."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import groq
import pytest

from groq_client import sdk
from groq_client.simulator.server import SimulatorHandle

ROOT = Path(__file__).parents[2]
CALLS = """
import asyncio, sys, groq_client
from groq_client import AsyncGroq, Groq, usage_context

OPTIONS = dict(api_key="gsk_test", base_url={base_url!r}, project="website", default_headers={{"X-Usage-User": "ada"}})
ASK = dict(model="openai/gpt-oss-120b", messages=[{{"role": "user", "content": "hello"}}])
{before}
client = Groq(**OPTIONS)
for this in (client, client.with_options(timeout=5, user="bob"), Groq(**OPTIONS)):
    with usage_context(session="s"):
        answer = this.chat.completions.create(**ASK, extra_headers={{"X-Usage-Feature": "rag"}})
    assert answer.usage.total_tokens > 1
    assert len(list(this.chat.completions.create(**ASK, stream=True))) > 1

async def main():
    async with AsyncGroq(**OPTIONS) as client:
        assert (await client.copy(max_retries=0).chat.completions.create(**ASK)).choices

asyncio.run(main())
print(*groq_client.problems())
"""
IN_ALL = 7


def run(
    sim: SimulatorHandle, before: str = "", path: Path | None = None, requests: int = IN_ALL
) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | ({"PYTHONPATH": f"{path}"} if path else {})
    program = CALLS.format(base_url=sim.base_url, before=before)
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert len(sim.requests) == requests
    return done


# Nobody said where to record


def test_without_a_recorder_the_first_call_says_so_once(sim: SimulatorHandle) -> None:
    (line,) = run(sim).stderr.splitlines()
    assert "nothing is recorded" in line
    assert "usage_dashboard.connect()" in line


def test_who_wants_no_recording_hears_nothing(sim: SimulatorHandle) -> None:
    assert run(sim, "groq_client.configure(None)").stderr == ""


def test_a_program_is_not_warned_of_calls_that_cost_nothing(sim: SimulatorHandle) -> None:
    listing = "Groq(**OPTIONS).models.list(); sys.stderr.write('listed\\n')"
    first, second = run(sim, listing, requests=IN_ALL + 1).stderr.splitlines()
    assert first == "listed"
    assert "nothing is recorded" in second


def test_a_log_that_fails_does_not_reach_the_caller(sim: SimulatorHandle) -> None:
    failing = """
import logging
def fail(record): raise RuntimeError("no room for logs")
logging.getLogger("groq_client").addFilter(fail)"""
    assert run(sim, failing).stderr == ""


# An SDK that cannot be recorded on


def an_sdk_with(tmp_path: Path, old: str, new: str) -> Path:
    """The installed SDK, working, with something inside named otherwise: as a version to come may have it."""
    source = Path(groq.__file__).parent
    shutil.copytree(source, tmp_path / "groq", ignore=shutil.ignore_patterns("__pycache__"))
    changed = 0
    for path in (tmp_path / "groq").rglob("*.py"):
        text = path.read_text()
        if old in text:
            path.write_text(text.replace(old, new))
            changed += 1
    assert changed
    return tmp_path


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("_process_response(", "_digest_response(", "There is no groq.Groq._process_response."),
        ("_prepare_request(", "_ready_request(", "There is no groq.AsyncGroq._prepare_request."),
        ("json_data", "json_body", "The options of a request have no json_data."),
        ("_extra_kwargs", "_more_kwargs", "groq.Groq.copy has no parameter _extra_kwargs."),
        ("FinalRequestOptions", "RequestPlan", "The options of a request have no url."),
    ],
)
def test_an_sdk_that_cannot_be_recorded_on(sim: SimulatorHandle, tmp_path: Path, old: str, new: str, told: str) -> None:
    done = run(sim, "groq_client.configure(object())", an_sdk_with(tmp_path, old, new))
    (line,) = done.stderr.splitlines()
    assert f"NOTHING IS RECORDED with groq {groq.__version__}." in line
    assert told in line
    assert sdk.ADVICE in line
    assert told in done.stdout
    if old != "_prepare_request(":  # Without the hook nobody asks us before a request is sent.
        sent = {name for request in sim.requests for name in request.headers}
        assert not [name for name in sent if name.startswith("x-usage")]
