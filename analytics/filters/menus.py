"""The filter menus and the chips that say what is chosen."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from analytics.filters.facets import ALL, DEFAULT_PROVIDER, Facet, facets_of
from analytics.filters.filters import MAX_HOURLY_DAYS, PLACES, Filters
from analytics.filters.query_string import QueryString
from analytics.filters.range_form import RANGES
from analytics.reports import Report, Value

OPTIONS = 25
"""A menu offers at most this number of values: all chosen ones, then the most used. A search finds the others."""
SEARCHABLE_FROM = 8
"""A menu with at least this many values has a search field."""


@dataclass(frozen=True, slots=True)
class Option:
    text: str
    label: str
    requests: int | None
    """The number of requests with this value; None if the database was not asked."""
    checked: bool


@dataclass(frozen=True, slots=True)
class Menu:
    """One filter: its values, each with its number of requests in the range, chosen ones first."""

    facet: Facet
    options: tuple[Option, ...]
    total: int
    """The number of values that occur in the range."""
    search: str
    """The text that is searched among the values."""
    found: int
    """The number of values that match the search and are not chosen."""
    clear: QueryString | None
    is_deferred: bool = False
    """Whether only the chosen values are present; the page asks for the others when somebody opens the menu."""

    @property
    def chosen(self) -> int:
        return sum(option.checked for option in self.options)

    @property
    def hint(self) -> str:
        """A sentence below the options about values that are not shown; empty if all are."""
        if self.is_deferred:
            return "Search for the others."
        if not self.total:
            return "Nothing to choose in this range."
        if self.search and not self.found:
            return f"Nothing else in this range matches “{self.search}”."
        offered = len(self.options) - self.chosen
        return f"The {offered} most used of {self.found:,}. Search for the others." if offered < self.found else ""

    @property
    def is_searchable(self) -> bool:
        return self.total >= SEARCHABLE_FROM or bool(self.search) or self.is_deferred

    @property
    def all(self) -> str:
        """The value of the hidden field that is sent with the menu. For the provider it tells "nothing is ticked" from
        "nothing was said", which means the default provider."""
        return ALL if self.facet.name == "provider" else ""


@dataclass(frozen=True, slots=True)
class Chip:
    """A chosen value, and the link that removes it."""

    label: str
    value: str
    link: QueryString


@dataclass(frozen=True, slots=True)
class Choosable:
    """One of several exclusive settings, such as a range of days."""

    name: str
    label: str
    checked: bool
    link: QueryString


def ranges(filters: Filters) -> list[Choosable]:
    query = filters.query.without(*PLACES, "from", "to", "range")
    return [
        Choosable(name, label, name == filters.range, query.replaced("range", (name,)))
        for name, label in RANGES.items()
    ]


def grains(filters: Filters) -> list[Choosable]:
    """The choice between hours and days; empty if the range is too long for hours."""
    if filters.selection.days > MAX_HOURLY_DAYS:
        return []
    default = filters.selection.default_grain
    return [
        Choosable(
            grain, label, grain == filters.grain, filters.query.replaced("grain", () if grain == default else (grain,))
        )
        for grain, label in (("hour", "Hours"), ("day", "Days"))
    ]


def menus(report: Report, filters: Filters, *, are_known: bool, opened: str = "") -> list[Menu]:
    """A menu for each filter. The values of a menu are loaded when somebody opens it, unless they ``are_known``, which
    means that the page's own tables have them anyway, and can be read quickly. ``opened`` names the menu that is open
    now."""
    facets = (facet for facet in facets_of(report.viewer) if facet.has_menu)
    return [
        menu(report, filters, facet)
        if facet.name == opened
        or filters.searched(facet)
        or (are_known and not report.has_costly_choices(facet.dimension) and not report.is_slow(facet.dimension))
        else _deferred(report, filters, facet)
        for facet in facets
    ]


def menu(report: Report, filters: Filters, facet: Facet) -> Menu:
    """A menu with the chosen values, and below them those that occur in the range and match the search, most used
    first."""
    requests = report.choices(facet.dimension)
    search = filters.searched(facet)
    chosen = filters.selection.chosen.get(facet.dimension, ())
    wanted = report.matching(facet.dimension, requests, search) if search else requests
    others = [value for value in wanted if value not in chosen]
    offered = others[: max(0, OPTIONS - len(chosen))]
    names = report.names(facet.dimension, [*(value for value in chosen if value in requests), *offered])
    options = [
        *_checked(facet, chosen, names, requests),
        *(Option(facet.text(value), names[value], requests[value], checked=False) for value in offered),
    ]
    return Menu(facet, tuple(options), len(requests), search, len(others), _clear(filters, facet))


def _deferred(report: Report, filters: Filters, facet: Facet) -> Menu:
    """A menu with only the chosen values. An id gets its name only if it occurs in what the viewer may see, so that
    nobody learns names by trying ids."""
    chosen = filters.selection.chosen.get(facet.dimension, ())
    occurring = report.sums_by(facet.dimension) if chosen and facet.by_id else {}
    names = report.names(facet.dimension, [value for value in chosen if value in occurring])
    options = tuple(Option(text, names.get(value, text), None, checked=True) for value, text in _texts(facet, chosen))
    return Menu(facet, options, len(options), "", 0, _clear(filters, facet), is_deferred=True)


def _texts(facet: Facet, values: Sequence[Value]) -> Iterator[tuple[Value, str]]:
    return ((value, facet.text(value)) for value in values)


def _checked(
    facet: Facet, chosen: Sequence[Value], names: Mapping[Value, str], requests: Mapping[Value, int]
) -> Iterator[Option]:
    """The chosen values as options. A value that does not occur in the range, or that the viewer may not see, comes
    last with the text that was given, so that the two cases look the same."""
    for value, text in _texts(facet, sorted(chosen, key=lambda value: value not in requests)):
        yield Option(text, names.get(value, text), requests.get(value, 0), checked=True)


def _clear(filters: Filters, facet: Facet) -> QueryString | None:
    chosen = filters.texts(facet)
    default = (DEFAULT_PROVIDER,) if facet.name == "provider" else ()
    return filters.only(facet, ()) if chosen and chosen != default else None


def chips(made: Sequence[Menu], filters: Filters) -> list[Chip]:
    """A chip for every chosen value. The default provider has none: nobody chose it."""
    of_menus = [
        Chip(menu.facet.label, option.label, filters.without(menu.facet, option.text))
        for menu in made
        if filters.query.values(menu.facet.name)
        for option in menu.options
        if option.checked
    ]
    return of_menus + [
        Chip(facet.label, text, filters.without(facet, text))
        for facet in facets_of(filters.form.viewer)
        if not facet.has_menu
        for text in filters.texts(facet)
    ]


def cleared(filters: Filters) -> QueryString:
    """The query string with the same days and without any filter."""
    query = filters.query.without(*PLACES, *(facet.name for facet in facets_of(filters.form.viewer)))
    return query.replaced("provider", (ALL,))
