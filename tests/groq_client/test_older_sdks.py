"""The client on older SDKs, each in a process of its own. langchain-groq, for one, needs an SDK before 1.0."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import groq
import pytest

from groq_client import sdk
from tests.groq_client.capabilities import CAN

HERE = Path(__file__).parent
INSTALLED = Path(sys.prefix) / "sdks"
VERSIONS = sorted(path.stem for path in (HERE / "older_sdks").glob("*.txt"))
PART = ("attribution", "contract", "dropin", "endings", "left_streams", "usage")
"""What the SDK has a say in. How calls are told to the recorder, and the simulator, are the same on every SDK."""
CHOSEN = "not mypy and not thousands and not never_raises"
"""Types are checked with the newest SDK alone; the other two are long, and about contexts and parsers of our own."""
ENOUGH_TESTS = 250


def test_the_newest_sdk_can_do_all_that_tests_ask_for() -> None:
    assert all(CAN.values()), f"groq {groq.__version__}: {CAN}"


def test_the_advice_names_the_versions_on_which_these_tests_run() -> None:
    assert [*VERSIONS, groq.__version__] == list(sdk.TESTED)


@dataclass(frozen=True, slots=True)
class Run:
    """The tests on one version, in a process of their own."""

    place: Path
    process: "subprocess.Popen[str]"
    output: Path


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Run]]:
    """On all versions at once, since half of the time they wait for a simulator that is late on purpose."""
    started = {version: start(version, tmp_path_factory.mktemp("var")) for version in VERSIONS}
    yield started
    for run in started.values():
        run.process.kill()
        run.process.wait()


def start(version: str, var: Path) -> Run:
    place, output = INSTALLED / version, var / "output.txt"
    files = [str(HERE / f"test_client_{name}.py") for name in PART]
    options = ["--numprocesses", "0", "-p", "no:cacheprovider", "--tb", "short", "-k", CHOSEN]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "JOURNAL_"))}
    with output.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *options, *files],
            cwd=HERE.parents[1],
            env=environment | {"PYTHONPATH": str(place), "VAR_DIR": str(var)},
            stdout=file,
            stderr=subprocess.STDOUT,
            text=True,
        )
    return Run(place, process, output)


@pytest.mark.parametrize("version", VERSIONS)
def test_calls_are_recorded_on_an_older_sdk(version: str, runs: dict[str, Run]) -> None:
    run = runs[version]
    assert (run.place / "groq").is_dir(), f"groq {version} is not in {run.place}: `make pytest` installs it"
    status, said = run.process.wait(300), run.output.read_text()
    assert status == 0, said
    assert f"groq {version} in {run.place}" in said
    passed = re.search(r"(\d+) passed", said)
    assert passed, said
    assert int(passed[1]) > ENOUGH_TESTS
