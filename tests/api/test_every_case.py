"""Whatever the OpenAPI document allows or forbids to ask, by everybody: each answer is one that the document describes,
and none tells anything that its caller may not see.

Schemathesis makes the cases: those on the edges of what the document says, and random ones, into which we put names and
ids that exist, of others too. ``make api-cases`` tries them all.
"""

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any

import pyarrow.parquet
import pytest
import schemathesis
from django.core.handlers.wsgi import WSGIHandler
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode, Response
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.schemas import APIOperation, BaseSchema
from schemathesis.specs.openapi import checks as of_openapi

from accounts.rate import Rate
from api import estimates
from tests.api.asking import document
from tests.api.two_companies import Caller, foreign_cells, world

CASES = int(os.environ.get("API_CASES", "350"))
"""About the number of cases. From 20,000 on, all those on the edges are tried for each caller."""
CALLERS = ("Super Admin", "Admin", "User", "key of a project", "personal token")
ALL_EDGES = CASES >= 20_000
CHECKS = [
    not_a_server_error,
    of_openapi.status_code_conformance,
    of_openapi.content_type_conformance,
    of_openapi.response_schema_conformance,
    of_openapi.response_headers_conformance,
    of_openapi.negative_data_rejection,
    of_openapi.unsupported_method,
    of_openapi.allow_header_conformance,
]
CSRF = "c" * 32

pytestmark = pytest.mark.django_db(transaction=True)


@cache
def schema() -> BaseSchema:
    return schemathesis.openapi.from_dict(document())


@cache
def operations() -> list[APIOperation]:
    return [result.ok() for result in schema().get_all_operations()]


@cache
def edges() -> list[Case]:
    """The cases on the edges of every parameter: the longest, the smallest, the wrong type, twice, a wrong method."""
    made = (
        schema().iter_coverage_cases(
            operation,
            generation_modes=list(GenerationMode),
            generation_config=schema().config.generation_for(operation=operation),
        )
        for operation in operations()
    )
    return [case for cases in made for case in cases]


@st.composite
def random_cases(draw: st.DrawFn, lures: dict[str, list[str]]) -> Case:
    """A case of any operation: one that the document forbids, or one that it allows, of which some parameters are names
    and ids that exist."""
    operation = draw(st.sampled_from(operations()))
    if draw(st.integers(0, 3)) == 0:
        return draw(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
    case: Case = draw(operation.as_strategy(generation_mode=GenerationMode.POSITIVE))
    for container, parameters in ((case.path_parameters, operation.path_parameters), (case.query, operation.query)):
        names = [parameter.name for parameter in parameters if parameter.name in lures]
        for name in draw(st.lists(st.sampled_from(names), unique=True, max_size=3)) if names else ():
            container[name] = draw(st.sampled_from(lures[name]))
    return case


@pytest.mark.parametrize("who", CALLERS)
def test_every_answer_is_as_described_and_tells_nothing_foreign(who: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimates, "PER_MINUTE", Rate(10**9))
    made = world()
    door = Door(made.callers[who])
    for number, case in enumerate(edges()):
        if ALL_EDGES or number % (len(edges()) * 10 // CASES) == CALLERS.index(who):
            door.try_case(case)

    @settings(
        max_examples=CASES // (50 if ALL_EDGES else 10),
        deadline=None,
        derandomize=not ALL_EDGES,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    @given(case=random_cases(made.lures))
    def try_random(case: Case) -> None:
        door.try_case(case)

    try_random()
    wrong = [f"{label} {kind}: {told}" for (label, kind), told in door.wrong.items()]
    print(f"{who}: {door.tried.total():,} cases, {dict(door.tried)}", *wrong, sep="\n")  # noqa: T201 - with -s
    assert not wrong
    assert door.tried[200] > door.tried.total() / 15


class Door:
    """The API as one caller sees it, through all the middleware that a server has."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.application = WSGIHandler()
        self.tried: Counter[int] = Counter()
        session = caller.asker.client.cookies
        self.cookies = {name: morsel.value for name, morsel in session.items()} | {"csrftoken": CSRF}
        self.headers = {**caller.asker.authorization, "X-CSRFToken": CSRF, "Accept-Encoding": "identity"}
        self.wrong: dict[tuple[str, str], str] = {}
        """For each operation and kind of mistake, the first case that showed it."""

    def try_case(self, case: Case) -> None:
        case.headers.pop("Authorization", None)
        case.cookies.clear()
        response = case.call(app=self.application, headers=self.headers, cookies=self.cookies)
        self.tried[response.status_code] += 1
        try:
            case.validate_response(response, checks=CHECKS)
        except FailureGroup as failures:
            for failure in failures.exceptions:
                self.wrong.setdefault((case.operation.label, type(failure).__name__), str(failures))
        for cell in foreign_cells(self.caller, list(_sent(case)), *_told(response)):
            self.wrong.setdefault((case.operation.label, cell), f"{case.formatted_path} {case.query} {case.body}")


def _sent(case: Case) -> Iterator[str]:
    """Every text of a case."""
    yield from _texts([case.path_parameters, case.query, case.body if isinstance(case.body, dict | list) else {}])


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from map(str, node)
        node = list(node.values())
    if isinstance(node, list):
        for below in node:
            yield from _texts(below)
    else:
        yield node if isinstance(node, str) else json.dumps(node)


def _told(response: Response) -> tuple[Any, str]:
    """An answer as objects and as text; of a file its rows."""
    kind = response.headers.get("content-type", [""])[0].partition(";")[0]
    if kind == "application/vnd.apache.parquet":
        rows = pyarrow.parquet.read_table(io.BytesIO(response.content)).to_pylist()
        return rows, json.dumps(rows, default=str)
    text = response.content.decode()
    if kind == "text/csv":
        return list(csv.DictReader(io.StringIO(text, newline=""))), text
    if "json" not in kind:
        return None, text
    return [json.loads(line) for line in (text.split("\n") if kind == "application/jsonl" else [text]) if line], text
