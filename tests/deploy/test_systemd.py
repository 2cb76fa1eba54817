"""The units for systemd: read by systemd itself, and with the commands of docker-compose.yml."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy.dockerfile import command_of, compose, stages
from tests.running_demo import ROOT

UNITS = {path.stem: path.read_text() for path in sorted((ROOT / "deploy" / "systemd").glob("*.service"))}
SAME = "# What follows is the same in each of the ledger's units.\n"
EXPOSURE = 25
"""The most that ``systemd-analyze security`` may find, in tenths: 100 is a service that may do everything."""


@pytest.fixture
def units(tmp_path: Path) -> list[Path]:
    """The units on a machine that has what they expect."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed (Debian: apt install systemd).")
    program = tmp_path / "opt" / "program"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for name, text in UNITS.items():
        text = re.sub(r"/opt/groq-usage/\.venv/bin/\w+", str(program), text)
        (tmp_path / f"{name}.service").write_text(text.replace("=/opt/groq-usage", f"={tmp_path}"))
    return sorted(tmp_path.glob("*.service"))


def command(name: str) -> list[str]:
    (words,) = re.findall(r"^ExecStart=/opt/groq-usage/\.venv/bin/(.*)", UNITS[f"groq-usage-{name}"], re.MULTILINE)
    return str(words).split()


def test_systemd_understands_them(units: list[Path]) -> None:
    """It warns of what it does not know, and of units that are not there."""
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True)
    told = [line for line in done.stderr.splitlines() if any(str(unit.name) in line for unit in units)]
    assert (done.returncode, told) == (0, [])


def test_they_may_do_little(units: list[Path]) -> None:
    for unit in units:
        check = ["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager", str(unit)]
        done = subprocess.run(check, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_all_have_the_same_walls() -> None:
    assert len({text.partition(SAME)[2].partition("\n[Install]")[0].strip() for text in UNITS.values()}) == 1


def test_they_run_what_the_containers_run() -> None:
    services = compose()["services"]
    assert command("migrate") == services["migrate"]["command"]
    assert command("worker") == services["worker"]["command"]
    of_image = next(command_of(rest) for word, rest in stages()[-1].steps if word == "CMD")
    assert command("web") == [word.replace("0.0.0.0:", "127.0.0.1:") for word in of_image]


def test_a_command_has_the_settings_the_data_and_the_user_of_the_units(tmp_path: Path) -> None:
    """systemd-run needs a running systemd, so one that writes down its arguments stands in for it."""
    stand_in = tmp_path / "systemd-run"
    stand_in.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    stand_in.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    script = ROOT / "deploy" / "systemd" / "groq-usage"
    done = subprocess.run([script, "health"], env={"PATH": path}, capture_output=True, text=True, check=True)
    arguments = done.stdout.splitlines()
    assert arguments[-3:] == ["/opt/groq-usage/.venv/bin/python", "manage.py", "health"]
    web = UNITS["groq-usage-web"]
    for option, setting in (("uid", "User"), ("gid", "Group"), ("working-directory", "WorkingDirectory")):
        assert f"--{option}={value_of(web, setting)}" in arguments
    assert f"--property=EnvironmentFile={value_of(web, 'EnvironmentFile')}" in arguments
    set_by_it = {argument.removeprefix("--setenv=") for argument in arguments if argument.startswith("--setenv=")}
    assert set_by_it == {word for word in value_of(web, "Environment").split() if not word.startswith("WEB_")}


def value_of(unit: str, setting: str) -> str:
    (value,) = re.findall(rf"^{setting}=(.*)", unit, re.MULTILINE)
    return str(value)
