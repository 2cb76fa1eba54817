"""docs/connect.md, "Connect your code": its programs are run as they stand there."""

import inspect
import re
from pathlib import Path

import pytest

from accounts.models import ApiKey, Organization
from connect.snippets import FOLDER
from gateway import errors
from tests.gateway.answers import check_event, text_of
from tests.gateway.connect_page import ADDRESS, KEY, PAGE, programs, written
from tests.gateway.doors import CALL, Door, make_key
from tests.gateway.programs import run
from tests.gateway.relay import relay
from tests.gateway.snippets import snippet

pytestmark = pytest.mark.django_db(transaction=True)

UNMODIFIED = Path(__file__).parent / "javascript" / "unmodified.mjs"
UNMODIFIED_PYTHON = """
import groq, openai
for client in groq.Groq(), openai.OpenAI():
    messages = [{"role": "user", "content": "Name three rivers."}]
    client.chat.completions.create(model="openai/gpt-oss-20b", messages=messages)
"""


@pytest.fixture
def key(address: str, acme: Organization) -> ApiKey:
    """A key for the programs that send events too."""
    return make_key(acme, may_ingest=True)


def test_the_page_has_the_programs_of_the_page_connect() -> None:
    """``make docs`` writes them there."""
    assert PAGE.read_text() == written()
    assert sorted(programs()) == sorted(path.name for path in FOLDER.iterdir())
    assert PAGE.read_text().count("```") == 2 * len(programs())


@pytest.mark.parametrize("name", [name for name in programs() if not name.endswith(".py")])
def test_a_program_of_the_page_leaves_one_event(door: Door, tmp_path: Path, name: str) -> None:
    """Those for Python are run by the tests of their libraries, in environments of their own."""
    with relay(door.address) as (address, passed):
        program = programs()[name].replace(ADDRESS, address).replace(KEY, CALL)
        printed = run(name, program, tmp_path)
    event = door.only()
    assert (event.organization.slug, event.status) == ("acme", "success")
    if "x-usage-request-id" in passed[0].headers:  # by the gateway
        (answer,) = passed
        assert event.request_id == answer.request_id
        check_event(event, "whole", answer)
        assert answer.body.decode() in printed or text_of(answer) in printed


def test_headers_say_who_and_what_a_call_is_for(door: Door, tmp_path: Path) -> None:
    run("attribution.sh", snippet("attribution.sh", door.address, CALL), tmp_path)
    event = door.only()
    assert event.project is not None
    assert event.user is not None
    assert (event.project.slug, event.user.handle, event.session_id) == ("website", "ada", "c-42")


def test_environment_variables_alone(door: Door, tmp_path: Path) -> None:
    """The variables of the page, and then programs that know nothing of the ledger, in Python and in JavaScript."""
    lines = snippet("environment.sh", door.address, CALL).splitlines()
    variables = dict(line.removeprefix("export ").split("=", 1) for line in lines if line.startswith("export "))
    environment = {name: value.strip('"') for name, value in variables.items()}
    run("unmodified.py", UNMODIFIED_PYTHON, tmp_path, **environment)
    run("unmodified.mjs", UNMODIFIED.read_text(), tmp_path, **environment)
    assert {event.status for event in door.all(4)} == {"success"}


def test_the_page_explains_the_errors_of_the_gateway() -> None:
    source = inspect.getsource(errors)
    explained = codes_of(PAGE, "## When nothing arrives")
    assert {code for code in explained if f'"{code}"' not in source} == set()
    assert codes_of(PAGE.with_name("gateway.md"), "## Errors") <= explained


def codes_of(page: Path, heading: str) -> set[str]:
    """The error codes in the second column of a table."""
    section = page.read_text().partition(heading)[2]
    cells = re.findall(r"^\| \d[^|]*\|([^|]*)\|", section, re.MULTILINE)
    return set(re.findall(r"`(\w+)`", " ".join(cells)))
