"""Sessions: conversations, what each came to, and the way to its requests."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django import forms

from accounts.viewer import Viewer
from analytics import detail_notice, figures
from analytics.badges import Badge, level
from analytics.charts import tone
from analytics.filters import PLACES, Filters
from analytics.local_time import LocalTime
from analytics.menus import Choosable
from analytics.pages import Page
from analytics.query import Query
from analytics.reports import Conversation, Report, Sessions
from analytics.reports.session_order import RECENT, Place, Sort, sorts_of
from analytics.session_link import link_to_requests
from pricing.fields import DollarField, validate_money

MODELS_NAMED = 2


def _limit(label: str) -> DollarField:
    messages = {"min_value": "A cost is never negative."}
    return DollarField(label=label, required=False, min_value=0, validators=[validate_money], error_messages=messages)


class CostForm(forms.Form):
    """What a session may have cost, in dollars; explains what is wrong with it."""

    cost_min = _limit("From $")
    cost_max = _limit("To $")

    def clean(self) -> dict[str, Any]:
        least, most = self.cleaned_data.get("cost_min"), self.cleaned_data.get("cost_max")
        if least is not None and most is not None and least > most:
            self.add_error("cost_max", "This is less than where the range begins.")
        return self.cleaned_data

    def limits(self) -> tuple[Decimal | None, Decimal | None]:
        """None where there is none; neither where the form is in error."""
        if not self.is_valid():
            return None, None
        return self.cleaned_data["cost_min"], self.cleaned_data["cost_max"]


@dataclass(frozen=True, slots=True)
class Model:
    name: str
    tone: int


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the list; ``badge`` is None where the viewer may not see cost."""

    conversation: Conversation
    requests: str
    """Where its requests are listed."""
    models: tuple[Model, ...]
    others: tuple[str, ...]
    """Names of the models beyond those."""
    duration: str
    last: LocalTime
    badge: Badge | None


def results(report: Report, asked: Filters) -> dict[str, Any]:
    viewer = report.viewer
    sort = _sort(viewer, asked)
    form = CostForm({name: _one(asked, name) for name in ("cost_min", "cost_max")})
    least, most = form.limits() if viewer.sees_cost else (None, None)
    sessions = Sessions(viewer, report.selection, sort, least, most)
    after = Place.parse(_one(asked, "after"))
    page = sessions.page(after)
    query = asked.query.without(*PLACES)
    return {
        "lines": [_line(viewer, one, f"{number}") for number, one in enumerate(page.conversations)],
        "detail_notice": detail_notice.of_requests(viewer, asked.selection),
        "sorts": [_choosable(one, sort, query) for one in sorts_of(viewer)],
        "cost_form": form if viewer.sees_cost else None,
        "sees_people": viewer.user_ids is None,
        "nameless": 0 if page.conversations else report.totals().requests,
        "first": query if after else None,
        "next": query.replaced("after", (str(page.next),)) if page.next else None,
    }


def _one(asked: Filters, name: str) -> str:
    return next(iter(asked.query.values(name)), "")


def _sort(viewer: Viewer, asked: Filters) -> Sort:
    """As asked; the most recent first where that is no order, or none that the viewer may have."""
    return next((sort for sort in sorts_of(viewer) if sort.key == _one(asked, "sort")), RECENT)


def _choosable(sort: Sort, chosen: Sort, query: Query) -> Choosable:
    return Choosable("sort", sort.label, sort is chosen, query.replaced("sort", () if sort is RECENT else (sort.key,)))


def _line(viewer: Viewer, one: Conversation, key: str) -> Line:
    return Line(
        conversation=one,
        requests=link_to_requests(viewer, one),
        models=tuple(Model(name or "(none)", tone(name)) for name in one.models[:MODELS_NAMED]),
        others=one.models[MODELS_NAMED:],
        duration=_span(one.duration_ms),
        last=LocalTime.of(one.last_at, one.time_zone),
        badge=_badge(one, key),
    )


def _badge(one: Conversation, key: str) -> Badge | None:
    if one.cost_usd is None:
        return None
    said = [f"input {one.input_tokens:,}", f"output {one.output_tokens:,}", f"cached {one.cached_tokens:,}"]
    if one.unpriced:
        said.append(f"{one.unpriced:,} unpriced")
    if one.unpriced and not one.cost_usd:
        return Badge(key, None, "Unpriced", ", ".join(said))
    said.append(f"total {one.total_tokens:,} tokens for {figures.exact_money(one.cost_usd)}")
    text = f"{'≥ ' if one.unpriced else ''}{figures.money(one.cost_usd)}"
    return Badge(key, level(one.cost_usd), text, ", ".join(said))


def _span(milliseconds: float) -> str:
    """412 ms, 2 m 5 s, 3 h 20 m, 4 d 7 h."""
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
    style="css/sessions.css",
    script="js/requests.js",  # copies ids
)
