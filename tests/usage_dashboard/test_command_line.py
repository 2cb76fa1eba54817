"""The command line tells what is wrong with a setting in a sentence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running_demo import ROOT


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("LOG_LEVEL", "loud", "LOG_LEVEL must be warning, debug, info, error or critical, not 'loud'."),
        ("GROQ_BASE_URL", "groq.com", "GROQ_BASE_URL must be a whole address, such as https://example.com."),
    ],
)
def test_a_bad_setting_is_a_sentence_and_no_traceback(name: str, value: str, told: str) -> None:
    done = manage("check", **{name: value})
    assert (done.returncode, done.stderr) == (1, f"{told}\n")


def test_a_traceback_can_be_asked_for() -> None:
    done = manage("check", "--traceback", LOG_LEVEL="loud")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "settings.py" in done.stderr


def test_a_backup_into_a_directory_that_is_missing_says_how_to_make_it(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    done = manage("backup", str(absent / "ledger.dump"))
    assert done.returncode == 1
    assert done.stderr == f"CommandError: There is no directory {absent}. Make it first: mkdir -p {absent}\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("reconcile", "--from", "2.11.26"), "write the date as year-month-day, such as 2026-11-02, not '2.11.26'"),
        (("price_unpriced", "--model=m", "--to=x"), "write the date as year-month-day, such as 2026-11-02, not 'x'"),
        (("price_unpriced", "--model=m", "--at-version=x"), "write the moment like 2026-11-02T14:30, not 'x'"),
    ],
)
def test_a_bad_date_says_how_to_write_one(arguments: tuple[str, ...], told: str) -> None:
    done = manage(*arguments)
    assert done.returncode != 0
    assert done.stderr.endswith(f": {told}\n")
