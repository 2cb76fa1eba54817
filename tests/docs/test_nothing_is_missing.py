"""The docs list all that there is, and nothing else: settings, commands, Make targets, metrics, addresses, columns."""

import re

import pytest
from pytest_django.fixtures import Settings

from api.document import document
from api.metrics.view import Everything
from ledger.event_columns import COLUMNS
from tests.running_demo import ROOT

OF_GUNICORN = {"GUNICORN_CMD_ARGS", "WEB_CONCURRENCY"}
"""Settings that gunicorn reads itself."""
READERS = ("text", "flag", "number", "choice", "words", "pairs", "mapping", "address")
ROOMS = re.findall(r"^ROOMS := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[0].split()


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def listed(text: str) -> set[str]:
    """What stands between backticks in the first column of the tables."""
    cells = re.findall(r"^\|((?:\\\||[^|\n])*)\|", text, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def section(text: str, title: str) -> str:
    """The section of this title, without the sections after it."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def test_settings() -> None:
    source = "".join(path.read_text() for room in ROOMS for path in (ROOT / room).rglob("*.py"))
    read = set(re.findall(rf'\benv\.(?:{"|".join(READERS)})\(\s*"([A-Z_]+)"', source))
    read |= set(re.findall(r'_fernet_keys\("([A-Z_]+)"\)', source)) | {"GROQ_VOCAB_DIR"}
    assert len(read) > 90
    assert {name for name in listed(page("configuration.md")) if name.isupper()} == read | OF_GUNICORN


def test_commands() -> None:
    ours = {path.stem for room in ROOMS for path in (ROOT / room).glob("management/commands/[!_]*.py")}
    of_django = {"check", "createsuperuser"}
    assert listed(section(page("operations.md"), "Commands")) == ours | of_django


def test_make_targets() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    pages = [*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    text = "".join(path.read_text() for path in pages)
    assert targets <= set(re.findall(r"\bmake ([a-z-]+)", text))
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= targets


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("names", ["llm", "opentelemetry"])
def test_metrics(names: str, settings: Settings) -> None:
    settings.METRICS_NAMES = names
    text = re.sub(r"\{[^}]*\}", "", section(page("metrics.md"), "What it tells"))
    told = set(re.findall(r"`([a-z_]+)`", text))
    for metric in Everything().collect():
        name = f"{metric.name}_total" if metric.type == "counter" else metric.name
        assert name in told


def test_addresses_of_the_api() -> None:
    told = {name.partition("?")[0] for name in listed(section(page("api.md"), "What there is"))}
    placeholders = {re.sub(r"\{\w+\}", "{}", name) for name in told}
    paths = {re.sub(r"\{\w+\}", "{}", path.removeprefix("/api/v1/")) for path in document()["paths"]}
    assert paths - {"events/{}-{}"} <= placeholders
    assert placeholders - {"events/{}", "events"} <= paths


def test_columns_of_the_export() -> None:
    assert listed(section(page("exports.md"), "Requests")) == set(COLUMNS)
