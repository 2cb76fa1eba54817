"""The figures of a month beside those of the month before: whole months, or, of a month that goes on, its finished days
and the same days of the month before."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from analytics.display import figures, missing_cost
from analytics.display.change import Change, Sentiment, change, change_in_points
from analytics.filters.month import Month
from analytics.reports import Report, Totals
from analytics.reports.selection import Selection


@dataclass(frozen=True, slots=True)
class Line:
    """A figure of the month, the two figures that are compared, and their change."""

    name: str
    value: str
    now: str
    before: str
    change: Change | None
    is_part: bool


@dataclass(frozen=True, slots=True)
class Compared:
    """The totals of two periods of equal meaning, and the names of these periods."""

    now: Totals
    before: Totals
    now_name: str
    before_name: str


@dataclass(frozen=True, slots=True)
class _Figure:
    name: str
    amount: Callable[[Totals], Any]
    write: Callable[[Totals], str]
    more_is: Sentiment = "neutral"
    is_part: bool = False
    is_rate: bool = False
    is_of_cost: bool = False


FIGURES = (
    _Figure("Cost", lambda t: t.cost_usd, missing_cost.told, "bad", is_of_cost=True),
    _Figure("Requests", lambda t: t.requests, lambda t: figures.count(t.requests), "good"),
    _Figure("Failed requests", lambda t: t.errors, lambda t: figures.count(t.errors), "bad", is_part=True),
    _Figure("Tokens", lambda t: t.total_tokens, lambda t: figures.count(t.total_tokens)),
    _Figure("Input", lambda t: t.input_tokens, lambda t: figures.count(t.input_tokens), is_part=True),
    _Figure("Cached input", lambda t: t.cached_tokens, lambda t: figures.count(t.cached_tokens), "good", is_part=True),
    _Figure("Output", lambda t: t.output_tokens, lambda t: figures.count(t.output_tokens), is_part=True),
    _Figure("Error rate", lambda t: t.error_rate, lambda t: figures.percent(t.error_rate), "bad", is_rate=True),
    _Figure("Average latency", lambda t: t.avg_latency_ms, lambda t: figures.duration(t.avg_latency_ms), "bad"),
)


def lines(totals: Totals, compared: Compared | None, *, sees_cost: bool) -> Iterator[Line]:
    for figure in FIGURES:
        if sees_cost or not figure.is_of_cost:
            yield Line(
                figure.name,
                figure.write(totals),
                figure.write(compared.now) if compared else "",
                figure.write(compared.before) if compared else "",
                _change(figure, compared) if compared else None,
                figure.is_part,
            )


def _change(figure: _Figure, compared: Compared) -> Change | None:
    now, before = figure.amount(compared.now), figure.amount(compared.before)
    return (change_in_points if figure.is_rate else change)(now, before, figure.more_is)


def compared_with_the_month_before(report: Report, month: Month, earliest_today: date) -> tuple[Compared | None, str]:
    """What can be compared, or None and a sentence that says why nothing can.

    Days before ``earliest_today`` are finished in the time zones of all organizations.
    """
    since, before = report.covered_from, month.before
    if since is None or before.first_day < since:
        begins = f"the data begins on {figures.day(since)}" if since else "there is no data"
        return None, f"There is no comparison with {before.name}, because {begins}."
    days = min((earliest_today - month.first_day).days, before.days)
    if month.last_day < earliest_today:
        return _of(report, Report(report.viewer, _period(report, before.first_day, before.days)), month.name, before)
    if days < 1:
        return None, "There is no comparison with the month before yet, because no day of this month is over."
    now = Report(report.viewer, _period(report, month.first_day, days))
    name = figures.days(now.selection.first_day, now.selection.last_day)
    return _of(now, Report(report.viewer, _period(report, before.first_day, days)), name, before)


def _period(report: Report, first_day: date, days: int) -> Selection:
    return replace(report.selection, first_day=first_day, last_day=first_day + timedelta(days=days - 1))


def _of(now: Report, then: Report, name: str, before: Month) -> tuple[Compared | None, str]:
    totals = then.totals()
    if then.leaves_out:
        return None, f"There is no comparison with {before.name}, because requests of it are kept as sums only."
    is_whole = then.selection.days == before.days
    period = before.name if is_whole else figures.days(then.selection.first_day, then.selection.last_day)
    return Compared(now.totals(), totals, name, period), ""
