"""The recorder inside somebody else's program adds nothing to what the program prints and logs."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from accounts.models import Organization
from groq_client.call import Attribution, Call
from groq_client.journal.journal import Journal
from ledger.models import UsageEvent

ROOT = Path(__file__).parent.parent

CONNECTED = """
import os, sys, time
import usage_dashboard
usage_dashboard.connect()
from django.db import connections
connections["default"].settings_dict["NAME"] = os.environ["TEST_DATABASE"]
import groq_client
from groq_client.simulator.server import running_simulator
from ledger.models import UsageEvent
with running_simulator() as simulator:
    client = groq_client.Groq(api_key="gsk_test", base_url=simulator.base_url)
    client.chat.completions.create(model="openai/gpt-oss-20b", messages=[{"role": "user", "content": "hi"}])
assert groq_client.flush(20)
deadline = time.monotonic() + 20
while UsageEvent.objects.count() < 2 and time.monotonic() < deadline:
    time.sleep(0.02)
"""


def run(program: str, **more: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"} | more
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment,
        check=True,
        timeout=90,
        capture_output=True,
        text=True,
    )


@pytest.mark.django_db(transaction=True)
def test_a_replay_prints_nothing_into_a_program_without_logging(
    acme: Organization, tmp_path: Path, settings: Any
) -> None:
    dead = Journal(tmp_path, 10**6)
    dead.started(Call("chat", "openai/gpt-oss-20b", attribution=Attribution(organization=acme.slug)))
    dead.close()
    done = run(CONNECTED, JOURNAL_DIR=str(tmp_path), TEST_DATABASE=str(connection.settings_dict["NAME"]))
    assert sorted(UsageEvent.objects.values_list("error_code", flat=True)) == ["", "interrupted"]
    assert (done.stdout, done.stderr) == ("", "")


def test_connecting_leaves_the_logging_of_a_program_as_it_is() -> None:
    program = """
import logging, sys
mine = logging.StreamHandler(sys.stdout)
logging.basicConfig(handlers=[mine], level="WARNING", format="%(name)s %(message)s")
import usage_dashboard
usage_dashboard.connect()
assert logging.getLogger().handlers == [mine]
logging.getLogger("usage.journal").warning("heard")
"""
    assert run(program).stdout == "usage.journal heard\n"
