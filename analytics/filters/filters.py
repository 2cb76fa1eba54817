"""The filters in a query string, which page, fragments and export share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict

from accounts.merging import current_ids
from accounts.models import Project, User
from accounts.viewer import Viewer
from analytics.filters.facets import ALL, DEFAULT_PROVIDER, MODEL, Facet, facets_of
from analytics.filters.query_string import QueryString
from analytics.filters.range_form import DEFAULT_RANGE, RangeForm
from analytics.reports import Row
from analytics.reports.selection import Dimension, Grain, Selection

MAX_HOURLY_DAYS = 31

PLACES = ("page", "before", "after")
"""Names in a query string that say which page of a list is shown. A change of filters drops them."""
SEARCH = "q-"
"""The prefix, in a query string, of the name of a menu whose values are searched."""
LONGEST_SEARCH = 200
UNPRICED = "unpriced"
"""The name in a query string for "only requests without a whole price", for the event log and its export."""
MERGED: dict[str, type[User] | type[Project]] = {"user": User, "project": Project}
"""The filters whose values can be merged into one another."""


@dataclass(frozen=True, slots=True)
class Filters:
    """A query string, read. ``query`` is the shortest query string with the same meaning; every link starts from it."""

    form: RangeForm
    selection: Selection
    range: str
    grain: Grain
    grain_note: str
    query: QueryString
    settings: tuple[str, ...]
    """Names in the query that belong to one page alone, such as how a table is sorted."""

    @property
    def is_valid(self) -> bool:
        return self.form.is_valid()

    @property
    def has_previous(self) -> bool:
        """Whether there is a previous period; "All time" has none."""
        return self.range != "all"

    @property
    def is_over(self) -> bool:
        """Whether the range has ended in the time zones of all the viewer's organizations, so that no new call falls
        into it."""
        return self.selection.last_day < self.form.earliest_today

    @property
    def from_text(self) -> str:
        """The text of the "From" field: as typed if somebody typed a date, else the first day of the range."""
        return self._typed("from") or str(self.selection.first_day)

    @property
    def to_text(self) -> str:
        """The text of the "To" field, likewise."""
        return self._typed("to") or str(self.selection.last_day)

    def _typed(self, name: str) -> str:
        return str(self.form.data.get(name) or "") if self.range == "custom" else ""

    @property
    def shared(self) -> QueryString:
        """The days and the filters for another page, without the settings that only this page understands. On a page of
        somebody's own rows also that person, whom other pages would not filter by."""
        query, viewer = self.query.without(*self.settings), self.form.viewer
        return query.replaced("user", tuple(map(str, viewer.user_ids or ()))) if viewer.is_narrowed else query

    @property
    def only_unpriced(self) -> bool:
        return bool(self.query.values(UNPRICED))

    @property
    def exported(self) -> QueryString:
        """The query string of the export's link on this page."""
        return self.shared.replaced(UNPRICED, self.query.values(UNPRICED))

    @property
    def reported(self) -> QueryString:
        """The query string of the link to the report of the month in which the range ends."""
        month = min(self.selection.last_day, self.form.today)
        return self.shared.without("range", "from", "to", "grain").replaced("month", (f"{month:%Y-%m}",))

    def searched(self, facet: Facet) -> str:
        """The text that is searched among the values of a menu. No link has it, because it does not filter the page."""
        return str(self.form.data.get(SEARCH + facet.name, "")).strip()[:LONGEST_SEARCH]

    def texts(self, facet: Facet) -> tuple[str, ...]:
        """The chosen values of a facet, as in the query string."""
        return tuple(facet.text(value) for value in self.selection.chosen.get(facet.dimension, ()))

    def only(self, facet: Facet, texts: tuple[str, ...]) -> QueryString:
        """The query string with these values for one facet, back on the first page."""
        if facet.name == "provider":
            texts = () if texts == (DEFAULT_PROVIDER,) else texts or (ALL,)
        return self.query.without(*PLACES).replaced(facet.name, texts)

    def link_to_model(self, row: Row) -> str:
        return str(self.only(MODEL, (MODEL.text(row.value),)))

    def without(self, facet: Facet, text: str) -> QueryString:
        return self.only(facet, tuple(other for other in self.texts(facet) if other != text))


def read_filters(query: QueryDict, viewer: Viewer, settings: tuple[str, ...] = ()) -> Filters:
    """The valid filters in the query; ``settings`` are the names that only one page understands."""
    form = RangeForm(query, viewer)
    first_day, last_day = form.days()
    name = form.cleaned_data.get("range", DEFAULT_RANGE)
    selection = Selection(first_day, last_day, _chosen(query, viewer))
    asked = query.get("grain", "")
    grain, note = _grain(asked, selection)
    canonical = _canonical(query, form, selection, asked, viewer)
    kept = _settings(query, viewer, settings)
    return Filters(form, selection, name, grain, note, QueryString(tuple(dict.fromkeys(canonical + kept))), settings)


def _chosen(query: QueryDict, viewer: Viewer) -> dict[Dimension, tuple[str | int, ...]]:
    chosen: dict[Dimension, tuple[str | int, ...]] = {}
    for facet in facets_of(viewer):
        texts = query.getlist(facet.name)
        if facet.name == "provider" and facet.name not in query:
            texts = [DEFAULT_PROVIDER]
        unfiltered = ("", ALL) if facet.name == "provider" else ("",)
        values = [facet.parse(text) for text in texts if text not in unfiltered]
        if values:
            chosen[facet.dimension] = tuple(dict.fromkeys(_current(facet, values, viewer)))
    return chosen


def _current(facet: Facet, values: Sequence[Any], viewer: Viewer) -> Sequence[Any]:
    """The values with those who have the calls of merged people and projects now, for links from before the merge."""
    model = MERGED.get(facet.name)
    return values if model is None else current_ids(model, values, viewer)


def _grain(asked: str, selection: Selection) -> tuple[Grain, str]:
    """The grain, and a note that says why it differs from the one asked for; empty if it does not."""
    if asked == "day":
        return "day", ""
    if asked != "hour":
        return selection.default_grain, ""
    if selection.days <= MAX_HOURLY_DAYS:
        return "hour", ""
    return "day", f"Hours are shown for up to {MAX_HOURLY_DAYS} days; this is by day."


def _canonical(
    query: QueryDict, form: RangeForm, selection: Selection, grain: str, viewer: Viewer
) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    name = form.cleaned_data.get("range", DEFAULT_RANGE)
    if name != DEFAULT_RANGE:
        pairs.append(("range", name))
    if name == "custom":
        pairs += [(key, query.get(key, "")) for key in ("from", "to") if query.get(key)]
    if grain in ("day", "hour"):
        pairs.append(("grain", grain))
    for facet in facets_of(viewer):
        texts = tuple(facet.text(value) for value in selection.chosen.get(facet.dimension, ()))
        if facet.name == "provider":
            texts = () if texts == (DEFAULT_PROVIDER,) else texts or (ALL,)
        pairs += [(facet.name, text) for text in texts]
    return pairs


def _settings(query: QueryDict, viewer: Viewer, names: tuple[str, ...]) -> list[tuple[str, str]]:
    """The settings of one page. Viewers who may not see cost get none about cost, because even an order by cost would
    reveal it."""
    pairs = [(name, value) for name in names for value in query.getlist(name) if value]
    if viewer.sees_cost:
        return pairs
    return [(name, value) for name, value in pairs if not _tells_cost(name, value)]


def _tells_cost(name: str, value: str) -> bool:
    return "cost" in name or name == UNPRICED or (name in ("sort", "columns") and "cost" in value)
