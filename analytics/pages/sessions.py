"""The page Sessions: conversations, each with its sums and a link to its requests."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django import forms

from accounts.viewer import Viewer
from analytics.display import figures, retention_notice
from analytics.display.colors import color_of
from analytics.display.cost_badge import Badge, Line, level
from analytics.display.local_time import LocalTime
from analytics.display.missing_cost import counted
from analytics.display.session_link import link_to_requests, link_to_session
from analytics.filters.filters import PLACES, Filters
from analytics.filters.menus import Choosable
from analytics.filters.query_string import QueryString
from analytics.pages import Page
from analytics.reports import Conversation, Report, Sessions
from analytics.reports.session_order import RECENT, SessionCursor, Sort, sorts_of
from pricing.fields import DollarField, validate_money

MODELS_NAMED = 2


def _limit(label: str) -> DollarField:
    messages = {"min_value": "A cost is never negative."}
    return DollarField(label=label, required=False, min_value=0, validators=[validate_money], error_messages=messages)


class CostForm(forms.Form):
    """A range of costs in dollars. Errors explain what is wrong with a limit."""

    cost_min = _limit("From $")
    cost_max = _limit("To $")

    def clean(self) -> dict[str, Any]:
        least, most = self.cleaned_data.get("cost_min"), self.cleaned_data.get("cost_max")
        if least is not None and most is not None and least > most:
            self.add_error("cost_max", "This is less than where the range begins.")
        return self.cleaned_data

    def limits(self) -> tuple[Decimal | None, Decimal | None]:
        """The least and the largest cost of a session. None means no limit; a form with errors has no limits."""
        if not self.is_valid():
            return None, None
        return self.cleaned_data["cost_min"], self.cleaned_data["cost_max"]


@dataclass(frozen=True, slots=True)
class Model:
    name: str
    color: int


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A row of the list; ``badge`` is None if the viewer may not see cost."""

    conversation: Conversation
    link: str
    """The address of the session's page."""
    requests_link: str
    """The address of the list of the session's requests."""
    models: tuple[Model, ...]
    others: tuple[str, ...]
    """The names of the models that are not in ``models``."""
    duration: str
    last: LocalTime
    badge: Badge | None


def results(report: Report, filters: Filters) -> dict[str, Any]:
    viewer = report.viewer
    form = cost_form(filters)
    sessions = sessions_of(viewer, filters)
    sort = sessions.sort
    after = SessionCursor.parse(filters.query.first("after"))
    page = sessions.page(after)
    query = filters.query.without(*PLACES)
    return {
        "rows": [session_row(viewer, one, f"{number}", filters.query) for number, one in enumerate(page.conversations)],
        "retention_notice": retention_notice.of_requests(viewer, filters.selection),
        "sorts": [_choosable(one, sort, query) for one in sorts_of(viewer)],
        "cost_form": form if viewer.sees_cost else None,
        "sees_people": viewer.user_ids is None,
        "nameless": 0 if page.conversations else report.totals().requests,
        "first": query if after else None,
        "next": query.replaced("after", (str(page.next),)) if page.next else None,
    }


def cost_form(filters: Filters) -> CostForm:
    return CostForm({name: filters.query.first(name) for name in ("cost_min", "cost_max")})


def sessions_of(viewer: Viewer, filters: Filters) -> Sessions:
    """The sessions that the query string chooses, for the page and the export."""
    least, most = cost_form(filters).limits() if viewer.sees_cost else (None, None)
    return Sessions(viewer, filters.selection, _sort(viewer, filters), least, most)


def _sort(viewer: Viewer, filters: Filters) -> Sort:
    """The order that the query string chooses; "most recent first" if it chooses none that the viewer may use."""
    return next((sort for sort in sorts_of(viewer) if sort.key == filters.query.first("sort")), RECENT)


def _choosable(sort: Sort, chosen: Sort, query: QueryString) -> Choosable:
    return Choosable("sort", sort.label, sort is chosen, query.replaced("sort", () if sort is RECENT else (sort.key,)))


def session_row(viewer: Viewer, one: Conversation, key: str, state: QueryString) -> SessionRow:
    """The row of a session. ``key`` tells its badge from others on the page, and ``state`` is that of the list for the
    way back."""
    return SessionRow(
        conversation=one,
        link=link_to_session(one, state),
        requests_link=link_to_requests(viewer, one),
        models=tuple(Model(name or "(none)", color_of(name)) for name in one.models[:MODELS_NAMED]),
        others=one.models[MODELS_NAMED:],
        duration=span(one.duration_ms),
        last=LocalTime.of(one.last_at, one.time_zone),
        badge=badge_of(one, key),
    )


def badge_of(one: Conversation, key: str) -> Badge | None:
    """The badge of a session; None if the viewer may not see cost. ``key`` is as in ``Badge``."""
    if one.cost_usd is None:
        return None
    lines = (
        Line("input", f"{one.input_tokens:,}"),
        Line("output", f"{one.output_tokens:,}"),
        Line("cached", f"{one.cached_tokens:,}"),
    )
    notes = (counted(one),) if one.unpriced else ()
    if one.unpriced and not one.cost_usd:
        return Badge(key, None, "Unpriced", lines, "", notes)
    text = f"{'≥ ' if one.unpriced else ''}{figures.money(one.cost_usd)}"
    return Badge(key, level(one.cost_usd), text, lines, figures.exact_money(one.cost_usd), notes)


def span(milliseconds: float) -> str:
    """A duration such as 412 ms, 2 m 5 s, 3 h 20 m or 4 d 7 h."""
    minutes = round(milliseconds / 60_000)
    if minutes < 60:
        return figures.duration(milliseconds)
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} m"
    days, hours = divmod(hours, 24)
    return f"{days:,} d {hours} h"


SESSIONS = Page(
    "sessions",
    "Sessions",
    "analytics/sessions/results.html",
    results,
    settings=("sort", "after", "cost_min", "cost_max"),
    styles=("css/sessions.css",),
    script="js/requests.js",  # This script copies ids.
)
