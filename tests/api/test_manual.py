"""What docs/api.md and the notebook of docs/ tell somebody to do is done, against a real server."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import nbformat
import pytest
from django.urls import resolve
from django.utils import timezone
from nbclient import NotebookClient

from accounts.models import Organization
from api.parameters import FILTERS
from ledger.recording.record import record
from tests.api.asking import key
from tests.cast import zone_at_noon
from tests.ledger.calls import MODEL, call, failed
from tests.pricing.prices import make_price
from tests.running_demo import ROOT
from tests.served import served

MANUAL = ROOT / "docs" / "api.md"
NOTEBOOK = ROOT / "docs" / "examples" / "usage.ipynb"
HOST = "https://usage.example.com"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def place(acme: Organization) -> Iterator[dict[str, str]]:
    """The environment of a program: where the ledger is, and a key that reads."""
    make_price(MODEL)
    acme.time_zone = zone_at_noon()
    acme.save()
    now = timezone.now()
    record(
        make(organization="acme", user=f"u{n % 3}", project="rag", feature="chat", at=now - timedelta(hours=5 * n))
        for n in range(40)
        for make in (call, failed)
    )
    asker = key(acme)
    with served() as address:
        yield {**os.environ, "KEY": asker.secret, "LEDGER": address}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", MANUAL.read_text(), re.MULTILINE | re.DOTALL)


def test_the_programs_of_the_manual_and_the_notebook_run(place: dict[str, str], tmp_path: Path) -> None:
    """One server answers them all."""
    (shell,) = blocks("sh")
    told = json.loads(run(["bash", "-c", at(place, shell).replace("curl ", "curl -sS ")], place))
    assert (told["requests"], told["previous"]["totals"]["requests"]) == (64, 16)  # since midnight six days before noon
    (program,) = blocks("python")
    printed = run([sys.executable, "-c", at(place, program)], place)
    assert MODEL in printed
    assert run_notebook(place, tmp_path) >= 8


def run_notebook(place: dict[str, str], directory: Path) -> int:
    """Run it, and return the number of its cells that show something. Its own assertions compare its sums."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(directory)}})
    client.execute(env=place)
    return sum(bool(cell.get("outputs")) for cell in notebook.cells)


def run(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def at(place: dict[str, str], text: str) -> str:
    assert HOST in text
    return text.replace(HOST, place["LEDGER"])


def test_the_notebook_keeps_no_answers() -> None:
    """They would be somebody's figures."""
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]


def test_the_addresses_and_filters_of_the_manual_exist() -> None:
    text = MANUAL.read_text()
    (table,) = re.findall(r"^\| Address .*?(?=\n\n)", text, re.MULTILINE | re.DOTALL)
    names = [name for line in table.splitlines()[2:] for name in re.findall(r"`([^`]+)`", line.split(" | ")[0])]
    assert len(names) >= 20
    for name in names:
        path = re.sub(r"\{\w+\}", "1", name.partition("?")[0])
        assert resolve(f"/api/v1/{'events/1-1' if path == 'events/1' else path}").url_name != "api-nowhere", name
    for parameter in FILTERS:
        assert f"`{parameter.name}`" in text


def test_the_error_of_the_manual_is_one(acme: Organization) -> None:
    (problem,) = map(json.loads, blocks("json"))
    told = key(acme).ask("usage", 400, range="fortnight")
    assert {**told, "detail": ""} == {**problem, "detail": ""}
    assert told["detail"].startswith(problem["detail"].partition(", 7d")[0])
