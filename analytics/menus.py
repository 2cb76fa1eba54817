"""The filter menus and the chips that say what is chosen."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from analytics.filters import ALL, DEFAULT_PROVIDER, MAX_HOURLY_DAYS, PLACES, RANGES, Facet, Filters, facets_of
from analytics.query import Query
from analytics.reports import Report, Value

OPTIONS = 100
"""A menu offers the most used values; all that are chosen are among them. The others are found by searching."""
SEARCHABLE_FROM = 8
"""So many values or more come with a search field."""


@dataclass(frozen=True, slots=True)
class Option:
    text: str
    label: str
    requests: int | None
    """How many messages have it; None where that was not asked."""
    checked: bool


@dataclass(frozen=True, slots=True)
class Menu:
    """One filter: its values with how often each occurs in the range, chosen ones first."""

    facet: Facet
    options: tuple[Option, ...]
    total: int
    """How many values occur in the range."""
    search: str
    """What is looked for among them."""
    found: int
    """How many values there are, beyond the chosen ones, that match the search."""
    clear: Query | None
    is_deferred: bool = False
    """Only what is chosen is there; the page asks for the rest when the menu is opened."""

    @property
    def chosen(self) -> int:
        return sum(option.checked for option in self.options)

    @property
    def hint(self) -> str:
        """What its options do not say."""
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
        """What is sent along so that unticking everything differs from not asking: only the provider has a default."""
        return ALL if self.facet.name == "provider" else ""


@dataclass(frozen=True, slots=True)
class Chip:
    """A value that is chosen, and the address of the page without it."""

    label: str
    value: str
    link: Query


@dataclass(frozen=True, slots=True)
class Choosable:
    """One of several exclusive settings: a range of days, day or hour."""

    name: str
    label: str
    checked: bool
    link: Query


def ranges(filters: Filters) -> list[Choosable]:
    query = filters.query.without(*PLACES, "from", "to", "range")
    return [
        Choosable(name, label, name == filters.range, query.replaced("range", (name,)))
        for name, label in RANGES.items()
    ]


def grains(filters: Filters) -> list[Choosable]:
    """Day or hour, as far as the range allows."""
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
    """One for each filter. What a menu offers waits for being opened, unless it ``are_known`` from what the page shows
    anyway; ``opened`` names the menu that is open now."""
    facets = (facet for facet in facets_of(report.viewer) if facet.has_menu)
    return [
        menu(report, filters, facet)
        if facet.name == opened
        or filters.searched(facet)
        or (are_known and not report.has_costly_choices(facet.dimension))
        else _deferred(report, filters, facet)
        for facet in facets
    ]


def menu(report: Report, filters: Filters, facet: Facet) -> Menu:
    """What occurs in the range and matches the search in the menu, most used first, below what is chosen."""
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
    """With what is chosen. Whose name an id is may be told only where it occurs in what the viewer sees."""
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
    """The chosen values; those that do not occur in the range, or that the viewer may not see, come last as they were
    given: no telling which."""
    for value, text in _texts(facet, sorted(chosen, key=lambda value: value not in requests)):
        yield Option(text, names.get(value, text), requests.get(value, 0), checked=True)


def _clear(filters: Filters, facet: Facet) -> Query | None:
    chosen = filters.texts(facet)
    default = (DEFAULT_PROVIDER,) if facet.name == "provider" else ()
    return filters.only(facet, ()) if chosen and chosen != default else None


def chips(made: Sequence[Menu], filters: Filters) -> list[Chip]:
    """One for every chosen value."""
    of_menus = [
        Chip(menu.facet.label, option.label, filters.without(menu.facet, option.text))
        for menu in made
        for option in menu.options
        if option.checked
    ]
    return of_menus + [
        Chip(facet.label, text, filters.without(facet, text))
        for facet in facets_of(filters.form.viewer)
        if not facet.has_menu
        for text in filters.texts(facet)
    ]


def cleared(filters: Filters) -> Query:
    """The same days without any filter."""
    query = filters.query.without(*PLACES, *(facet.name for facet in facets_of(filters.form.viewer)))
    return query.replaced("provider", (ALL,))
