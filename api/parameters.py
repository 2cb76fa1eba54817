"""The parameters of a query string. A view declares which ones it takes; the same declaration reads them and describes
them in the OpenAPI document. What a page of the dashboard would pass over is an error here: an unknown name, an unknown
choice, an id that is no number.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Generic, TypeVar

from django.http import QueryDict
from django_filters import FilterSet
from rest_framework.request import Request

from accounts.viewer import Viewer
from analytics.filters.facets import ALL, DEFAULT_PROVIDER, FACETS, NONE, Facet, facets_of
from analytics.filters.filters import UNPRICED, Filters, read_filters
from analytics.filters.range_form import DEFAULT_RANGE, RANGES
from api.problems import WrongParameterError

T = TypeVar("T")
DAY = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
DOLLARS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


@dataclass(frozen=True, slots=True)
class Parameter(Generic[T]):
    """A parameter: its name, what it means, and how its text is read."""

    name: str
    means: str
    schema: Mapping[str, Any]
    """Its type in the OpenAPI document."""
    default: T
    read: Callable[[str], T]
    """The value that a text stands for. ValueError, with what to write, for a wrong text."""
    repeats: bool = False

    def of(self, request: Request) -> T:
        """The value in a request; the default without the parameter."""
        values = self.all_of(request.query_params)
        return values[0] if values else self.default

    def all_of(self, query: QueryDict) -> list[T]:
        """All its values. WrongParameterError if one is wrong, or if there are several and it does not repeat."""
        texts = query.getlist(self.name)
        if len(texts) > 1 and not self.repeats:
            raise WrongParameterError(self.name, f"{self.name}: write this parameter only once.")
        try:
            return [self.read(text) for text in texts]
        except ValueError as error:
            raise WrongParameterError(self.name, f"{self.name}: {error}") from None


def choice(name: str, choices: Mapping[str, T], *, default: str, means: str) -> Parameter[T]:
    """A parameter that is one of some words, each of which stands for a value."""

    def read(text: str) -> T:
        if text not in choices:
            raise ValueError(f"choose one of {', '.join(choices)}.")
        return choices[text]

    return Parameter(name, means, {"type": "string", "enum": [*choices], "default": default}, choices[default], read)


def number(name: str, *, default: int, most: int, means: str) -> Parameter[int]:
    """A parameter that is a whole number from 1 to ``most``."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and len(text) <= 9 and 1 <= int(text) <= most):
            raise ValueError(f"write a whole number from 1 to {most}.")
        return int(text)

    return Parameter(name, means, {"type": "integer", "minimum": 1, "maximum": most, "default": default}, default, read)


def place(name: str, parse: Callable[[str], T | None], *, means: str) -> Parameter[T | None]:
    """A parameter that is a place in a list, as the list's own links tell it; None for the list's beginning."""

    def read(text: str) -> T:
        found = parse(text)
        if found is None:
            raise ValueError("take the value from the list's own links.")
        return found

    return Parameter(name, means, {"type": "string", "minLength": 1}, None, read)


def money(name: str, *, means: str) -> Parameter[Decimal | None]:
    """A parameter that is an amount of dollars."""

    def read(text: str) -> Decimal:
        if not DOLLARS.fullmatch(text):
            raise ValueError("write dollars with at most nine decimal places, such as 0.25.")
        return Decimal(text)

    return Parameter(name, means, {"type": "string", "pattern": f"^{DOLLARS.pattern}$"}, None, read)


def text(name: str, *, longest: int = 200, means: str) -> Parameter[str]:
    """A parameter that is any text."""

    def read(text: str) -> str:
        if len(text) > longest:
            raise ValueError(f"write at most {longest} characters.")
        return text.strip()

    return Parameter(name, means, {"type": "string", "maxLength": longest}, "", read)


def of_filters(declared: type[FilterSet]) -> tuple[Parameter[str], ...]:
    """The filters of a list, all of texts, as parameters."""
    filters = declared.base_filters.items()
    return tuple(text(name, longest=of.extra["max_length"], means=of.extra["help_text"]) for name, of in filters)


def _day(name: str, which: str) -> Parameter[str]:
    help_text = f"The {which} day of the range, in the calendar of each organization; included. Means range=custom."

    def read(text: str) -> str:
        if not DAY.fullmatch(text):
            raise ValueError("write the date as year-month-day, such as 2026-11-02.")
        return text

    return Parameter(name, help_text, {"type": "string", "format": "date"}, "", read)


def _of_facet(facet: Facet) -> Parameter[str]:
    """A filter. It may be repeated: requests with any of the values count."""
    none = f"{NONE} stands for requests that name none."
    if facet.name == "provider":
        none = f"{ALL} stands for all providers. Without this parameter: {DEFAULT_PROVIDER}."

    def read(text: str) -> str:
        if not text:
            raise ValueError("write a value, or leave the parameter out.")
        if facet.by_id and text != NONE and not (text.isascii() and text.isdecimal()):
            raise ValueError(f"write an id, which is a whole number, or {NONE}.")
        return text

    what = f"Only requests of this {facet.label.lower()}{', by its id' if facet.by_id else ''}. {none}"
    schema = {"pattern": rf"^([0-9]+|{re.escape(NONE)})$"} if facet.by_id else {"minLength": 1}
    return Parameter(facet.name, what, {"type": "string", **schema}, "", read, repeats=True)


RANGE = choice(
    "range", {name: name for name in RANGES}, default=DEFAULT_RANGE, means="A range of days up to today, by name."
)
FILTERS: tuple[Parameter[Any], ...] = (
    RANGE,
    _day("from", "first"),
    _day("to", "last"),
    *map(_of_facet, FACETS),
)
"""The range and the filters of the dashboard, under the same names."""
GRAIN = choice(
    "grain",
    {"auto": "", "hour": "hour", "day": "day"},
    default="auto",
    means="Alone, up to three days are told by hour.",
)
COMPARE = choice(
    "compare",
    {"none": False, "previous": True},
    default="none",
    means="Whether to tell the totals of the period of the same length just before, too.",
)
ONLY_UNPRICED = choice(
    UNPRICED, {"0": False, "1": True}, default="0", means="Whether to tell only requests without a whole cost."
)


def check_names(request: Request, known: Iterable[Parameter[Any]]) -> None:
    """WrongParameterError for a name that is not one of the known ones."""
    names = {parameter.name for parameter in known}
    for name in request.query_params:
        if name not in names:
            listed = f"Known are: {', '.join(sorted(names))}." if names else "This address takes none."
            raise WrongParameterError(name, f"There is no parameter {name[:50]!r} here. {listed}")


def filters_of(request: Request, viewer: Viewer) -> Filters:
    """The range and the filters that a request asks for. WrongParameterError for a wrong value."""
    query = request.query_params
    for parameter in FILTERS:
        parameter.all_of(query)
    _check_range(query)
    _check_visible(query, viewer)
    filters = read_filters(query, viewer, (UNPRICED,))
    if not filters.is_valid:
        name, errors = next(iter(filters.form.errors.items()))
        raise WrongParameterError(name, str(errors[0]))
    return filters


def _check_range(query: QueryDict) -> None:
    if query.get("range", "custom") != "custom":
        for other in ("from", "to"):
            if other in query:
                raise WrongParameterError(other, f"{other}: leave out the range, or write range=custom.")


def _check_visible(query: QueryDict, viewer: Viewer) -> None:
    offered = {facet.name for facet in facets_of(viewer)}
    for facet in FACETS:
        if facet.name in query and facet.name not in offered:
            raise WrongParameterError(facet.name, f"{facet.name}: you see only one, so leave this filter out.")
