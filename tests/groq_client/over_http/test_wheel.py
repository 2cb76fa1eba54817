"""The wheel of groq_client alone, in an environment without Django and without the ledger's code."""

import os
import subprocess
from pathlib import Path

import pytest
from jinja2 import Environment

from accounts.models import Organization
from groq_client.simulator.server import SimulatorHandle
from ledger.models import UsageEvent
from tests.running_demo import ROOT

pytestmark = pytest.mark.django_db(transaction=True)

PYTHON = ROOT / "var" / "client" / "bin" / "python"
MODEL = "llama-3.1-8b-instant"
SECONDS = 120
ALONE = """
import importlib.metadata, importlib.util, re
import groq_client
from groq_client.vocabularies import Library

assert "site-packages" in groq_client.__file__
for absent in ("django", "aiohttp", "numpy", "psycopg", "ledger", "groq_client.simulator"):
    assert importlib.util.find_spec(absent) is None, absent
needs = {re.match("[a-z]+", text)[0] for text in importlib.metadata.requires("groq-usage-client")}
assert needs == {"groq", "tiktoken"}, needs
library = Library()
assert [library.o200k.count("Hello world"), library.qwen.count("Hello world")] == [2, 2]
"""


def run(*arguments: str, directory: Path, **environment: str) -> str:
    assert PYTHON.exists(), "make pytest installs it, from tests/groq_client/over_http/wheel.txt"
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory), **environment}
    done = subprocess.run(
        [str(PYTHON), *arguments], cwd=directory, env=environment, capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The wheel is built as docs/client.md says, but without asking a registry, and installed."""
    directory = tmp_path_factory.mktemp("wheel")
    pip = ("-m", "pip", "--quiet", "--disable-pip-version-check")
    build = ("wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(directory))
    run(*pip, *build, str(ROOT / "groq_client"), directory=directory)
    (wheel,) = directory.glob("groq_usage_client-*.whl")
    run(*pip, "install", "--no-deps", "--no-index", "--force-reinstall", str(wheel), directory=directory)


def test_it_needs_nothing_of_the_ledger(installed: None, tmp_path: Path) -> None:
    run("-c", ALONE, directory=tmp_path)


def test_its_snippet_leaves_one_correct_event(
    installed: None, acme: Organization, ledger: str, key: str, sim: SimulatorHandle, tmp_path: Path
) -> None:
    template = ROOT / "templates" / "connect" / "snippets" / "recorder.py"
    program = Environment(autoescape=False).from_string(template.read_text())
    text = program.render(address=ledger, key=key, model=MODEL)
    answer = run("-W", "error", "-c", text, directory=tmp_path, GROQ_API_KEY="gsk_test", GROQ_BASE_URL=sim.base_url)
    event = UsageEvent.objects.get()
    assert answer.strip()
    assert (event.organization, event.model, event.operation, event.status) == (acme, MODEL, "chat", "success")
    assert event.input_tokens > 0
    assert event.output_tokens > 0
    assert not event.tokens_estimated
    assert event.provider_request_id.startswith("req_")
    (journal,) = (tmp_path / ".local" / "state" / "groq_client").iterdir()
    assert list(journal.iterdir()) == []
