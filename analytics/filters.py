"""What a query string asks for. One form for the page, its fragments and the export; later for the API."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django import forms
from django.core.exceptions import BadRequest
from django.http import QueryDict

from accounts.viewer import Viewer
from analytics import reports
from analytics.query import Query
from analytics.reports import Row
from analytics.selection import Dimension, Grain, Selection

RANGES = {"7d": "Last 7 days", "30d": "Last 30 days", "all": "All time", "custom": "Custom"}
RANGE_DAYS = {"7d": 7, "30d": 30}
DEFAULT_RANGE = "30d"
DEFAULT_PROVIDER = "groq"
MAX_DAYS = 3_660
MAX_HOURLY_DAYS = 31
EARLIEST = date(2000, 1, 1)

NONE = "(none)"
"""In a query string: events that name no model, project, user …"""
ALL = "all"
"""In a query string: no filter where there is one by default, which is the provider. Elsewhere a name like others."""
PLACES = ("page", "before", "after")
"""In a query string: how far somebody has paged. Other filters start again."""
SEARCH = "q-"
"""In a query string, before the name of a menu: what is looked for among its values."""
LONGEST_SEARCH = 200
UNPRICED = "unpriced"
"""In a query string: only requests without a price. The event log and its export know it."""
NOWHERE = -1
"""An id that nothing has."""
LARGEST_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Facet:
    """A filter over one dimension: its name in the query string, and what people call it.

    One without a menu has too many values to offer: it is set by following a link.
    """

    name: str
    dimension: Dimension
    label: str
    by_id: bool = False
    has_menu: bool = True

    def parse(self, text: str) -> str | int:
        """The value that the text stands for. Text that cannot be an id becomes an id that nothing has."""
        if text == NONE:
            return 0 if self.by_id else ""
        if not self.by_id:
            return text
        return int(text) if text.isdecimal() and len(text) < 20 and int(text) <= LARGEST_ID else NOWHERE

    def text(self, value: str | int) -> str:
        """The value in a query string."""
        return str(value) or NONE if not self.by_id else str(value or NONE)


FACETS = (
    Facet("provider", "provider", "Provider"),
    Facet("model", "model", "Model"),
    Facet("project", "project_id", "Project", by_id=True),
    Facet("user", "user_id", "User", by_id=True),
    Facet("expert", "expert_id", "Expert"),
    Facet("template", "template_id", "Template"),
    Facet("feature", "feature", "Feature"),
    Facet("status", "status", "Status"),
    Facet("organization", "organization_id", "Organization", by_id=True),
    Facet("session", "session_id", "Session", has_menu=False),
)

FACET = {facet.name: facet for facet in FACETS}
MODEL = FACET["model"]


def facets_of(viewer: Viewer) -> tuple[Facet, ...]:
    """The filters that make sense to somebody: no choice of one's own organization or of oneself."""
    hidden = set()
    if viewer.organization_ids is not None:
        hidden.add("organization")
    if viewer.user_ids is not None:
        hidden.add("user")
    return tuple(facet for facet in FACETS if facet.name not in hidden)


class RangeForm(forms.Form):
    """From when to when, in days; explains what is wrong with it."""

    range = forms.CharField(required=False)
    grain = forms.CharField(required=False)

    def __init__(self, query: Mapping[str, Any], viewer: Viewer) -> None:
        super().__init__(query)
        self.today = reports.today(viewer)
        self.viewer = viewer
        for name, label in (("from", "From"), ("to", "To")):
            message = f"{label}: write the date as year-month-day, such as {self.today:%Y-%m-%d}."
            self.fields[name] = forms.DateField(
                label=label, required=False, input_formats=["%Y-%m-%d"], error_messages={"invalid": message}
            )

    def clean_range(self) -> str:
        """The range's name. Dates that come alone ask for a custom one; an unknown name for the default."""
        name = self.cleaned_data["range"]
        if name in RANGES:
            return str(name)
        return "custom" if not name and (self.data.get("from") or self.data.get("to")) else DEFAULT_RANGE

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        if data["range"] != "custom":
            for name in ("from", "to"):  # what they hold is not asked for
                self.errors.pop(name, None)
            data["from"], data["to"] = self._fixed(data["range"])
        elif not self.errors:
            self._clean_custom(data)
        return data

    def days(self) -> tuple[date, date]:
        """First and last day; those of the default range where the form is in error."""
        if self.is_valid():
            return self.cleaned_data["from"], self.cleaned_data["to"]
        return self._fixed(DEFAULT_RANGE)

    def _fixed(self, name: str) -> tuple[date, date]:
        if name == "all":
            first = reports.first_day(self.viewer) or self.today
            return max(min(first, self.today), self.today - timedelta(days=MAX_DAYS - 1)), self.today
        return self.today - timedelta(days=RANGE_DAYS[name] - 1), self.today

    def _clean_custom(self, data: dict[str, Any]) -> None:
        latest = self.today + timedelta(days=366)
        for name in ("from", "to"):
            if data[name] and not EARLIEST <= data[name] <= latest:
                self.add_error(name, f"Choose a date from {EARLIEST} to {latest}.")
                return
        data["to"] = data["to"] or max(self.today, data["from"] or self.today)
        data["from"] = data["from"] or max(min(reports.first_day(self.viewer) or data["to"], data["to"]), EARLIEST)
        if data["from"] > data["to"]:
            self.add_error("to", "The range ends before it begins: choose a later end or an earlier beginning.")
        elif (data["to"] - data["from"]).days >= MAX_DAYS:
            self.add_error("to", "Choose at most ten years.")


@dataclass(frozen=True, slots=True)
class Filters:
    """A query string, read. ``query`` is its shortest equal, which every link starts from."""

    form: RangeForm
    selection: Selection
    range: str
    grain: Grain
    grain_note: str
    query: Query
    settings: tuple[str, ...]
    """Names in the query that belong to one page alone, such as how a table is sorted."""

    @property
    def is_valid(self) -> bool:
        return self.form.is_valid()

    @property
    def has_previous(self) -> bool:
        """All time has no time before it."""
        return self.range != "all"

    @property
    def from_text(self) -> str:
        """What the date field shows: as typed where it was, else the first day of the range."""
        return self._typed("from") or str(self.selection.first_day)

    @property
    def to_text(self) -> str:
        return self._typed("to") or str(self.selection.last_day)

    def _typed(self, name: str) -> str:
        return str(self.form.data.get(name) or "") if self.range == "custom" else ""

    @property
    def shared(self) -> Query:
        """What the other pages and the export understand as well: the days and the filters."""
        return self.query.without(*self.settings)

    @property
    def only_unpriced(self) -> bool:
        return bool(self.query.values(UNPRICED))

    @property
    def exported(self) -> Query:
        """What the export is asked for from here."""
        return self.shared.replaced(UNPRICED, self.query.values(UNPRICED))

    def searched(self, facet: Facet) -> str:
        """What is looked for among the values of a menu. Says nothing about what is shown, so it is in no link."""
        return str(self.form.data.get(SEARCH + facet.name, "")).strip()[:LONGEST_SEARCH]

    def texts(self, facet: Facet) -> tuple[str, ...]:
        """The chosen values of a facet, as in the query string."""
        return tuple(facet.text(value) for value in self.selection.chosen.get(facet.dimension, ()))

    def only(self, facet: Facet, texts: tuple[str, ...]) -> Query:
        """The address of the same with these values for one facet; pages start again."""
        if facet.name == "provider":
            texts = () if texts == (DEFAULT_PROVIDER,) else texts or (ALL,)
        return self.query.without(*PLACES).replaced(facet.name, texts)

    def link_to_model(self, row: Row) -> str:
        return str(self.only(MODEL, (MODEL.text(row.value),)))

    def without(self, facet: Facet, text: str) -> Query:
        return self.only(facet, tuple(other for other in self.texts(facet) if other != text))


def read(query: QueryDict, viewer: Viewer, settings: tuple[str, ...] = ()) -> Filters:
    """What the query asks for, as far as it is valid; ``settings`` are the names that one page alone understands.
    BadRequest for text that no database can hold."""
    _refuse_unstorable(query)
    form = RangeForm(query, viewer)
    first_day, last_day = form.days()
    name = form.cleaned_data.get("range", DEFAULT_RANGE)
    selection = Selection(first_day, last_day, _chosen(query, viewer))
    asked = query.get("grain", "")
    grain, note = _grain(asked, selection)
    canonical = _canonical(query, form, selection, asked, viewer)
    kept = _settings(query, viewer, settings)
    return Filters(form, selection, name, grain, note, Query(tuple(dict.fromkeys(canonical + kept))), settings)


def _refuse_unstorable(query: QueryDict) -> None:
    for name, values in query.lists():
        for text in (name, *values):
            if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
                raise BadRequest("The address holds characters that no name has.")


def _chosen(query: QueryDict, viewer: Viewer) -> dict[Dimension, tuple[str | int, ...]]:
    chosen: dict[Dimension, tuple[str | int, ...]] = {}
    for facet in facets_of(viewer):
        texts = query.getlist(facet.name)
        if facet.name == "provider" and facet.name not in query:
            texts = [DEFAULT_PROVIDER]
        unfiltered = ("", ALL) if facet.name == "provider" else ("",)
        values = tuple(dict.fromkeys(facet.parse(text) for text in texts if text not in unfiltered))
        if values:
            chosen[facet.dimension] = values
    return chosen


def _grain(asked: str, selection: Selection) -> tuple[Grain, str]:
    """Days or hours, and why it is not what was asked for."""
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
    """Those of one page; nothing about cost for whoever may not see it, not even an order."""
    pairs = [(name, value) for name in names for value in query.getlist(name) if value]
    if viewer.sees_cost:
        return pairs
    return [(name, value) for name, value in pairs if not _tells_cost(name, value)]


def _tells_cost(name: str, value: str) -> bool:
    return "cost" in name or name == UNPRICED or (name == "sort" and "cost" in value)
