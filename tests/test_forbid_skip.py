"""The root conftest makes a skipped test fail if FORBID_SKIP=1 is set."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SKIPS = {
    "test_mark.py": "import pytest\n@pytest.mark.skip(reason='no browser')\ndef test_it(): pass",
    "test_call.py": "import pytest\ndef test_it(): pytest.skip('no browser')",
    "test_module.py": "import pytest\npytest.skip('no browser', allow_module_level=True)",
}
OTHERS = {
    "test_fine.py": "def test_it(): pass",
    "test_known.py": "import pytest\n@pytest.mark.xfail(reason='known')\ndef test_it(): assert False",
}


def _run(directory: Path, sources: dict[str, str], forbid: str) -> "subprocess.CompletedProcess[str]":
    for name, text in sources.items():
        (directory / name).write_text(text)
    arguments = ["-m", "pytest", "-c", os.devnull, "--rootdir", str(directory), "-p", "conftest", "-p", "no:django"]
    environment = os.environ | {"FORBID_SKIP": forbid, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *arguments, "-p", "no:cacheprovider", str(directory)]
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("name", SKIPS)
def test_a_skip_is_a_failure(tmp_path: Path, name: str) -> None:
    run = _run(tmp_path, {name: SKIPS[name]}, forbid="1")
    assert run.returncode != 0
    assert "FORBID_SKIP=1 forbids" in run.stdout
    assert "no browser" in run.stdout


def test_it_is_none_where_nothing_is_forbidden(tmp_path: Path) -> None:
    run = _run(tmp_path, SKIPS | OTHERS, forbid="0")
    assert run.returncode == 0
    assert "3 skipped" in run.stdout


def test_what_is_not_skipped_passes(tmp_path: Path) -> None:
    run = _run(tmp_path, OTHERS, forbid="1")
    assert run.returncode == 0
    assert "1 passed, 1 xfailed" in run.stdout
