"""Every command and every program in the README and under docs/ works as it stands there.

They run in a directory that looks like a checkout, against a real server with the simulator as its Groq. Names of hosts
and keys in the text are replaced by those of the server. What is not run is in ``not_run.py``, with the test that tries
the same; a block that is neither run nor named there fails.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from accounts.models import Organization, User
from groq_client.simulator.server import running_simulator
from tests import emptying
from tests.cast import signed_in
from tests.docs.blocks import PYTHON, SHELL, Block, blocks, snippets
from tests.docs.not_run import NOT_RUN, PAGES_OF_OTHERS, NotRun
from tests.gateway.doors import make_key
from tests.running_demo import ROOT
from tests.served import database_url, served
from usage_dashboard.pgserver import PROGRAMS

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "gul_of_the_docs"
LIBRARIES = ROOT / "var" / "clients" / "bin" / "python"
"""The environment of the libraries that are built on Groq (make pytest installs it)."""
SECONDS = 120
LANGUAGES = (*SHELL, *PYTHON, "javascript", "json", "sql", "ini", "nginx", "text", "yaml", "promql")


def is_named(block: Block, entry: NotRun) -> bool:
    return block.page == entry.page and block.text.startswith(entry.begins)


def to_run() -> list[Block]:
    known = snippets()
    return [
        block
        for block in blocks()
        if block.is_run
        and block.text not in known
        and block.page not in PAGES_OF_OTHERS
        and not any(is_named(block, entry) for entry in NOT_RUN)
    ]


def test_each_block_says_what_it_is() -> None:
    """A command without a language would not be run."""
    assert [block.name for block in blocks() if block.language not in LANGUAGES] == []


@pytest.mark.parametrize("entry", NOT_RUN, ids=lambda entry: f"{entry.page}: {entry.begins[:24]}")
def test_what_is_not_run_is_there_and_something_tries_the_same(entry: NotRun) -> None:
    assert len([block for block in blocks() if is_named(block, entry)]) == 1
    assert entry.why.endswith(".")
    for test in entry.tests:
        file, _, name = test.partition("::")
        assert f"def {name}" in (ROOT / file).read_text(), test


def test_pages_of_others_have_their_test() -> None:
    assert [path for path in PAGES_OF_OTHERS.values() if not (ROOT / path).exists()] == []


@pytest.fixture(scope="module")
def server(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, dict[str, str]]]:
    """The address of a ledger, and the environment of whoever follows the docs."""
    journal = str(tmp_path_factory.mktemp("journal"))
    with running_simulator() as groq, django_db_blocker.unblock():
        groq_settings = {"GROQ_API_KEY": "gsk_test", "GROQ_BASE_URL": groq.base_url}
        with served(arguments=("--workers", "1"), JOURNAL_DIR=journal, **groq_settings) as address:
            yield address, groq_settings | {"LEDGER": address, "DATABASE_URL": database_url()}
        emptying.empty_after_servers()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with everything of the checkout but its data."""
    directory = tmp_path_factory.mktemp("checkout")
    for path in ROOT.iterdir():
        if path.name not in ("var", ".git", ".venv"):
            (directory / path.name).symlink_to(path)
    programs = directory / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "python3"):
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        (programs / name).chmod(0o755)
    return directory


@pytest.mark.parametrize("block", to_run(), ids=lambda block: block.name)
def test_it_works_as_it_stands_there(
    block: Block, server: tuple[str, dict[str, str]], checkout: Path, acme: Organization
) -> None:
    address, settings = server
    make_key(acme, SECRET, may_ingest=True, may_read=True)
    text = block.text.replace("gul_…", SECRET).replace("gsk_…", "gsk_test")
    for told in ("https://usage.example.com", "http://localhost:8000"):
        text = text.replace(told, address)
    path = os.pathsep.join([str(checkout / ".venv" / "bin"), str(PROGRAMS), os.environ["PATH"]])
    environment = {"PATH": path, "HOME": str(checkout), "KEY": SECRET, "COMPRESS_STATIC": "0", "LANG": "C.UTF-8"}
    environment |= settings | {"VAR_DIR": str(checkout / "var"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*_interpreter(block), text],
        cwd=checkout,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr


def test_the_first_super_admin_is_made_by_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "correct horse battery")
    call_command("createsuperuser", interactive=False, username="ruth", email="ruth@example.com", verbosity=0)
    first = User.objects.get(username="ruth")
    assert signed_in(first).get("/health/details/").status_code == 200


def _interpreter(block: Block) -> list[str]:
    if block.language in SHELL:
        return ["bash", "-euo", "pipefail", "-c"]
    if block.page == "docs/libraries.md":
        assert LIBRARIES.exists(), "make pytest installs it."
        return [str(LIBRARIES), "-c"]
    return [sys.executable, "-c"]
