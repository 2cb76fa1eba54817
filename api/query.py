"""The query string of a request. It is that of the dashboard, but what a page would pass over is an error here: an
unknown name, an unknown range, an id that is no number."""

from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

from django.http import QueryDict
from rest_framework.request import Request

from accounts.viewer import Viewer
from analytics.filters.facets import ALL, FACETS, NONE, facets_of
from analytics.filters.filters import UNPRICED, Filters, read_filters
from analytics.filters.range_form import RANGES
from api.problems import WrongParameterError

RANGE_NAMES = ("range", "from", "to")
GRAINS = ("hour", "day")
COMPARE = "compare"
PREVIOUS = "previous"
FILTER_NAMES = (*RANGE_NAMES, *(facet.name for facet in FACETS))

C = TypeVar("C")


def filters_of(request: Request, viewer: Viewer, *settings: str) -> Filters:
    """The range and the filters that a request asks for; ``settings`` are further names that its view understands.
    WrongParameterError for any other name, and for a wrong value."""
    query = request.query_params
    _check_names(query, {*FILTER_NAMES, *settings})
    _check_range(query)
    _check_facets(query, viewer)
    filters = read_filters(query, viewer, (UNPRICED,) if UNPRICED in settings else ())
    if not filters.is_valid:
        name, errors = next(iter(filters.form.errors.items()))
        raise WrongParameterError(name, str(errors[0]))
    return filters


def compares(request: Request) -> bool:
    """Whether a request asks for the previous period beside its own."""
    return bool(choice(request, COMPARE, {PREVIOUS: True}, default=False))


def choice(request: Request, name: str, choices: Mapping[str, C], *, default: C) -> C:
    """What the value of a parameter stands for; the default without the parameter."""
    value = request.query_params.get(name)
    if value is None:
        return default
    if value not in choices:
        raise WrongParameterError(name, f"{name}: choose one of {', '.join(choices)}.")
    return choices[value]


def number(request: Request, name: str, *, default: int, most: int) -> int:
    """A whole number from 1 to ``most``."""
    value = request.query_params.get(name)
    if value is None:
        return default
    if not (value.isascii() and value.isdecimal() and len(value) <= 9 and 1 <= int(value) <= most):
        raise WrongParameterError(name, f"{name}: write a whole number from 1 to {most}.")
    return int(value)


def place(request: Request, name: str, parse: Callable[[str], C | None]) -> C | None:
    """A place in a list, as the list's own links tell it; None for its beginning."""
    value = request.query_params.get(name)
    if value is None:
        return None
    found = parse(value)
    if found is None:
        raise WrongParameterError(name, f"{name}: take the value from the link to the next page.")
    return found


def _check_names(query: QueryDict, known: Collection[str]) -> None:
    for name in query:
        if name not in known:
            raise WrongParameterError(name, f"There is no parameter of this name here. Known are: {_listed(known)}.")


def _check_range(query: QueryDict) -> None:
    name = query.get("range", "")
    if name and name not in RANGES:
        raise WrongParameterError("range", f"range: choose one of {', '.join(RANGES)}.")
    if name and name != "custom":
        for other in ("from", "to"):
            if query.get(other):
                raise WrongParameterError(other, f"{other}: leave out the range, or write range=custom.")


def _check_facets(query: QueryDict, viewer: Viewer) -> None:
    offered = {facet.name for facet in facets_of(viewer)}
    for facet in FACETS:
        for text in query.getlist(facet.name):
            if facet.name not in offered:
                raise WrongParameterError(facet.name, f"{facet.name}: you see only one, so leave this filter out.")
            if facet.by_id and text not in ("", NONE) and not (text.isascii() and text.isdecimal()):
                raise WrongParameterError(facet.name, f"{facet.name}: write an id, which is a whole number, or {NONE}.")


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names))


__all__ = ["ALL", "COMPARE", "FILTER_NAMES", "GRAINS", "choice", "compares", "filters_of", "number", "place"]
