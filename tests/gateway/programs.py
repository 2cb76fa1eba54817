"""Programs in other languages, as a developer runs them: with Node, bash, and the Python that runs the tests."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

JAVASCRIPT = settings.BASE_DIR / "var" / "javascript"
"""Where ``make pytest`` installs the packages of ``tests/gateway/javascript``."""
SECONDS = 60
COMMANDS = {".mjs": ["node"], ".py": [sys.executable], ".sh": ["bash", "-eu"]}


def run(name: str, text: str, directory: Path, **environment: str) -> str:
    """Run a program in the directory and return what it printed. The name tells the language.

    The program sees the given environment variables alone, and ``python3`` is the Python of the tests.
    """
    suffix = Path(name).suffix
    if suffix == ".mjs":
        _give_packages(directory)
    file = directory / f"program{suffix}"  # A file that is called like its library would import itself.
    file.write_text(text)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [*COMMANDS[suffix], file.name],
        cwd=directory,
        env={"PATH": path, "HOME": str(directory), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _give_packages(directory: Path) -> None:
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node with npm is not installed (Debian: apt install nodejs npm).")
    assert (JAVASCRIPT / "node_modules").is_dir(), "make pytest installs the packages."
    if not (packages := directory / "node_modules").exists():
        packages.symlink_to(JAVASCRIPT / "node_modules")
