"""What shapes are made of, and the shape of errors."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

HIDDEN_WITH_COST = ("cost_usd", "unpriced", "without_tool_fees", "tool_cost_usd")
"""What is absent for viewers who may not see costs: it is a cost, or would tell about costs."""
MODEL = "openai/gpt-oss-120b"
"""The model of the examples."""


def example(value: Any) -> Any:
    """A decorator that gives a shape an example in the document."""
    return extend_schema_serializer(examples=[OpenApiExample("Example", value)])


class Shape(serializers.Serializer[Any]):
    """The shape of an answer, or of what is asked in a body."""


def dollars(help_text: str, *, allow_null: bool = False) -> serializers.DecimalField:
    return serializers.DecimalField(None, 9, required=False, allow_null=allow_null, help_text=help_text)


def whole(help_text: str = "", *, required: bool = True) -> serializers.IntegerField:
    return serializers.IntegerField(help_text=help_text, required=required)


def without_hidden(sums: Any, represented: dict[str, Any]) -> dict[str, Any]:
    """What is told of sums, without the members about cost if these have none, since the viewer may not see it."""
    if sums.cost_usd is not None:
        return represented
    return {name: value for name, value in represented.items() if name not in HIDDEN_WITH_COST}


class NullableText(serializers.CharField):
    """A text, or null for one that is empty."""

    def __init__(self, help_text: str = "", **kwargs: Any) -> None:
        super().__init__(help_text=help_text, allow_null=True, **kwargs)

    def to_representation(self, value: Any) -> Any:
        return str(value) or None


@example(
    {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "limit: write a whole number from 1 to 50.",
        "parameter": "limit",
    }
)
class ProblemShape(Shape):
    """An error, as RFC 9457 describes it."""

    type = serializers.CharField(help_text="about:blank: the status says what kind of problem it is.")
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField(help_text="What is wrong and what to do, for people.")
    parameter = serializers.CharField(required=False, help_text="The name of the wrong parameter or field.")


def told(shape: type[Shape], value: Any, /, **more: Any) -> Mapping[str, Any]:
    """A value in its shape, after further members."""
    return {**more, **_one(shape).to_representation(value)}


@cache
def _one(shape: type[Shape]) -> Shape:
    """A shape is made once: to make its fields takes longer than to tell a value."""
    return shape()
