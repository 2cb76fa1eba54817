"""What holds for every address of the API: who comes in, strict parameters, ETags, limits, problems, the document."""

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from django.test import Client
from drf_spectacular.validation import validate_schema

from accounts.models import Organization, User
from accounts.rate import Rate
from api import limits
from api.document import document
from ledger.models import UsageEvent
from tests.api.asking import Asker, key, person

pytestmark = pytest.mark.django_db(transaction=True)


def test_whoever_is_nobody_is_told_how_to_come_in(acme: Organization, stranger: User) -> None:
    response = Asker(Client()).response("me")
    assert (response.status_code, response["WWW-Authenticate"]) == (401, "Bearer")
    assert response["Content-Type"] == "application/problem+json"
    Asker(Client(), "gul_wrong").ask("me", 401)
    assert "scope" in key(acme, may_read=False, may_ingest=True).ask("me", 403)["detail"]
    person(stranger).ask("me", 403)


def test_an_address_that_is_none_leads_to_the_list_of_all(acme: Organization) -> None:
    response = Client().get("/api/v1/usages")
    assert (response.status_code, response["Content-Type"]) == (404, "application/problem+json")
    assert response.json()["detail"] == "There is no such address. /api/v1/docs/ lists all of them."
    assert key(acme).ask("models/nope", 404)["detail"] == "There is nothing here that you may see."


def test_everybody_learns_what_they_may_see(admin: User, user: User, acme: Organization, super_admin: User) -> None:
    assert person(super_admin).ask("me")["role"] == "Super Admin"
    told = person(user).ask("me")
    assert (told["kind"], told["may"]) == ("person", [])
    told = key(acme).ask("me")
    assert (told["kind"], told["name"], told["role"]) == ("key", "reader", "Admin")
    assert told["may"] == ["see_costs", "see_everybody", "export"]
    assert [organization["slug"] for organization in told["organizations"]] == ["acme"]


@pytest.mark.parametrize(
    ("path", "query", "parameter"),
    [
        ("usage", {"modle": "x"}, "modle"),
        ("usage", {"range": "fortnight"}, "range"),
        ("usage", {"range": "7d", "from_": "2026-01-01"}, "from"),
        ("usage", {"from_": "2026-13-01"}, "from"),
        ("usage", {"from_": "2026-1-1"}, "from"),
        ("usage", {"to": ""}, "to"),
        ("usage", {"from_": "2026-02-01", "to": "2026-01-01"}, "to"),
        ("usage", {"project": "rag"}, "project"),
        ("usage", {"organization": "1"}, "organization"),
        ("usage", {"compare": "last"}, "compare"),
        ("usage", {"compare": ["previous", "none"]}, "compare"),
        ("usage", {"model": ""}, "model"),
        ("costs", {"group_by": "year"}, "group_by"),
        ("costs", {"group_by": "hour", "range": "90d"}, "group_by"),
        ("series", {"grain": "hour", "range": "90d"}, "grain"),
        ("series", {"limit": "0"}, "limit"),
        ("breakdown", {"by": "model", "then": "model"}, "then"),
        ("breakdown", {"by": "session"}, "by"),
        ("events", {"before": "yesterday"}, "before"),
        ("events", {"before": "2026-01-01T00:00:00Z_1", "after": "2026-01-01T00:00:00Z_1"}, "after"),
        ("sessions", {"after": "x"}, "after"),
        ("me", {"range": "7d"}, "range"),
        ("export", {"format": "xls"}, "format"),
    ],
)
def test_a_wrong_parameter_is_named(admin: User, path: str, query: dict[str, Any], parameter: str) -> None:
    problem = person(admin).ask(path, 400, **query)
    assert (problem["parameter"], problem["status"], problem["title"]) == (parameter, 400, "Bad Request")
    assert problem["detail"]


def test_an_answer_is_sent_again_only_if_it_changed(ledger: list[UsageEvent], admin: User) -> None:
    asker = person(admin)
    first = asker.response("usage", range="all")
    again = asker.response("usage", range="all", headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
    assert "RateLimit-Remaining" in again
    assert again["Cache-Control"] == "private, no-cache"
    assert asker.response("usage", range="7d", headers={"If-None-Match": first["ETag"]}).status_code == 200


def test_each_caller_has_a_limit(admin: User, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PER_MINUTE", Rate(2, seconds=10**9))
    asker = person(admin)
    assert [asker.response("me")["RateLimit-Remaining"] for _ in range(2)] == ["1", "0"]
    refused = asker.response("me")
    assert (refused.status_code, refused["RateLimit-Limit"], refused["RateLimit-Remaining"]) == (429, "2", "0")
    assert int(refused["Retry-After"]) > 0
    person(user).ask("me")


def test_nothing_is_written_where_nothing_can_be(admin: User) -> None:
    response = person(admin).client.post("/api/v1/usage")
    assert (response.status_code, response["Content-Type"]) == (405, "application/problem+json")


def test_no_other_address_answers_with_a_page(admin: User) -> None:
    response = person(admin).client.get("/api/v1/usages")
    assert (response.status_code, response["Content-Type"]) == (404, "application/problem+json")


@pytest.mark.parametrize(
    ("path", "status"),
    [("usage?model=%00", 400), ("models/a%0Ab", 404), (f"usage?model={'m' * 8_000}", 414)],
)
def test_a_refusal_before_any_view_is_a_problem_too(admin: User, path: str, status: int) -> None:
    response = person(admin).client.get(f"/api/v1/{path}")
    assert (response.status_code, response["Content-Type"]) == (status, "application/problem+json")
    assert response.json()["status"] == status


def test_what_nobody_foresaw_is_a_problem_too(admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.me.today", lambda viewer: 1 / 0)
    client = person(admin).client
    client.raise_request_exception = False
    response = client.get("/api/v1/me")
    assert (response.status_code, response["Content-Type"]) == (500, "application/problem+json")
    assert "ZeroDivision" not in response.content.decode()


def test_the_document_is_valid() -> None:
    validate_schema(document())
    assert document()["openapi"] == "3.1.0"


def test_every_example_of_the_document_is_one() -> None:
    found = list(examples(document()["paths"]))
    for schema, example in found:
        jsonschema.validate(example, {**schema, "components": document()["components"]})


def test_every_operation_has_an_example_of_its_answer() -> None:
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            (answer,) = (answer for status, answer in operation["responses"].items() if status in ("200", "201"))
            assert any("examples" in content for content in answer["content"].values()), (method, path)
            assert method == "get" or "examples" in operation["requestBody"]["content"]["application/json"]


def examples(node: Any) -> Iterator[tuple[Any, Any]]:
    """Each example with its schema."""
    if isinstance(node, dict):
        yield from ((node["schema"], example["value"]) for example in node.get("examples", {}).values())
        node = list(node.values())
    for below in node if isinstance(node, list) else ():
        yield from examples(below)
