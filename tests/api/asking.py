"""Somebody who asks the API. Every answer has to fit the shape that the OpenAPI document gives it."""

import copy
import re
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import parse_qs

import jsonschema
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import resolve

from accounts import api_keys, bearer
from accounts.models import ApiKey, Organization, Role, User
from api.document import document as made
from tests.cast import signed_in
from tests.running_demo import wait_until

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

    def follow(self, address: str) -> Any:
        """The answer at a link of an answer."""
        path, _, query = address.partition(ROOT)[2].partition("?")
        return self.ask(path, **parse_qs(query))

    def response(self, path: str, *, headers: dict[str, str] | None = None, **query: Any) -> Any:
        query = {name.rstrip("_"): value for name, value in query.items()}
        response = self.client.get(ROOT + path, query, headers={**self.authorization, **(headers or {})})
        if response.get("Content-Type") in ("application/json", "application/problem+json"):
            assert_fits(ROOT + path, response)
        return response

    @property
    def authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret}"} if self.secret else {}


def person(user: User) -> Asker:
    return Asker(signed_in(user))


def key(organization: Organization, name: str = "reader", **fields: Any) -> Asker:
    """A program with a new key, which may read unless told otherwise."""
    by = User.objects.get_or_create(username="maker of keys")[0]
    made = ApiKey(organization=organization, name=name, **{"may_call": False, "may_read": True, **fields})
    secret = api_keys.create(made, by=by)
    assert bearer.keyring.wait_until_ready()
    wait_until(lambda: bearer.keyring.find(secret) is not None, 20)
    return Asker(Client(), secret)


def member(organization: Organization, handle: str) -> User:
    """Somebody whom calls named, and who has been made a member since."""
    user = User.objects.get(organization=organization, handle=handle)
    user.is_active, user.email = True, f"{handle}@example.org"
    user.set_password("x")
    user.save()
    user.groups.add(Group.objects.get(name=Role.USER))
    return User.objects.get(pk=user.pk)


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document, with shapes that allow no other members."""
    found = copy.deepcopy(made())
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
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route)
