"""The OpenAPI document, made from what the views declare: the parameters that they take and the shapes that they
tell."""

import re
from collections.abc import Mapping
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from api.parameters import Parameter
from api.shapes.base import ProblemShape

PROBLEM = "application/problem+json"
PROBLEMS: Mapping[int, str] = {
    400: "A parameter is wrong; the problem names it.",
    401: "Nobody is signed in, or the key does not work.",
    403: "You may not see this.",
    404: "There is nothing here that you may see.",
    414: "The address is too long.",
    429: "Too many requests within a minute; Retry-After says when to go on.",
    503: "The database is away or busy. Send the request again after Retry-After.",
}


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # registers itself
    """Describes how a program signs in."""

    target_class = "accounts.bearer.KeyAuthentication"
    name = "key"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "A key of this ledger that may read: gul_…"}


class Schema(AutoSchema):
    """Describes a view of the API, which is a ``reading.Door``."""

    view: Any

    global_params = [
        OpenApiParameter(
            "If-None-Match",
            str,
            OpenApiParameter.HEADER,
            description="The ETag of a former answer: 304 if it still is so.",
        )
    ]

    def get_operation_id(self) -> str:
        """The method and the address: ``get_models_model``."""
        return "_".join([self.method.lower(), *re.findall(r"\w+", self.path.partition("/v1/")[2])])

    def get_tags(self) -> list[str]:
        return [self.view.tag]

    def get_override_parameters(self) -> Any:
        return [*map(_described, self.view.takes), *self.global_params] if self.method == "GET" else []

    def get_summary(self) -> str:
        return str(self.get_description()).partition(".")[0]

    def get_request_serializer(self) -> Any:
        return getattr(self.view, "asks", None) if self.method == "POST" else None

    def get_response_serializers(self) -> Any:
        answers: dict[Any, Any] = self.answers()
        if self.method == "GET":
            answers[304] = OpenApiResponse(description="The answer still is the one with the ETag that you sent.")
        for status, when in PROBLEMS.items():
            answers[status, PROBLEM] = OpenApiResponse(ProblemShape, when)
        return answers

    def answers(self) -> dict[Any, Any]:
        """What the view answers if all is well, by status and perhaps content type."""
        if hasattr(self.view, "answers"):
            answers: dict[Any, Any] = self.view.answers()
            return answers
        return {201: self.view.adds} if self.method == "POST" and hasattr(self.view, "adds") else {200: self.view.tells}


def _described(parameter: Parameter[Any]) -> OpenApiParameter:
    kind = dict(parameter.schema)
    if parameter.repeats:
        return OpenApiParameter(
            parameter.name, {"type": "array", "items": kind}, description=parameter.means, explode=True, style="form"
        )
    return OpenApiParameter(parameter.name, kind, description=parameter.means)
