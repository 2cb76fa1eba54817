"""Somebody who asks the API. Every answer has to fit the shape that the OpenAPI document gives it."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import jsonschema
from django.test import Client
from django.urls import resolve

from accounts import api_keys
from accounts.models import ApiKey, Organization, User
from tests.cast import signed_in

ROOT = "/api/v1/"


@dataclass(frozen=True, slots=True)
class Asker:
    client: Client
    secret: str = ""

    def ask(self, path: str, status: int = 200, **query: Any) -> Any:
        """The answer to GET, which has this status."""
        response = self.response(path, **query)
        assert response.status_code == status, response.content.decode()
        return response.json()

    def response(self, path: str, *, headers: dict[str, str] | None = None, **query: Any) -> Any:
        query = {name.rstrip("_"): value for name, value in query.items()}
        response = self.client.get(ROOT + path, query, headers={**self._authorization, **(headers or {})})
        if response["Content-Type"] in ("application/json", "application/problem+json"):
            assert_fits(ROOT + path, response)
        return response

    @property
    def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret}"} if self.secret else {}


def person(user: User) -> Asker:
    return Asker(signed_in(user))


def key(organization: Organization, name: str = "reader", **fields: Any) -> Asker:
    """A program with a new key, which may read unless told otherwise."""
    by = User.objects.get_or_create(username="maker of keys")[0]
    made = ApiKey(organization=organization, name=name, **{"may_call": False, "may_read": True, **fields})
    return Asker(Client(), api_keys.create(made, by=by))


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document, with shapes that allow no other members."""
    from api.document import document as made

    found: dict[str, Any] = made()
    for shape in found["components"]["schemas"].values():
        if shape.get("type") == "object" and "properties" in shape:
            shape["additionalProperties"] = False
    return found


def assert_fits(path: str, response: Any) -> None:
    """The answer is one that the document describes for this address, method and status."""
    route = "/" + resolve(path).route
    described = document()["paths"][_as_in_document(route)][response.request["REQUEST_METHOD"].lower()]
    content = described["responses"][str(response.status_code)]["content"]
    schema = {**content[response["Content-Type"]]["schema"], "components": document()["components"]}
    jsonschema.validate(response.json(), schema)


def _as_in_document(route: str) -> str:
    import re

    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route)
