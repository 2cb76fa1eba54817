"""What the charts show, as plain data for static/js/charts.js, and in words for those who cannot see them."""

import html
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from analytics import figures
from analytics.reports import Point, Row, Totals

TONES = 16
SLICES = 8

# Colours by name for the models that most people use, so that no two of these share one.
_TONE_OF = {
    "openai/gpt-oss-120b": 1,
    "llama-3.3-70b-versatile": 2,
    "openai/gpt-oss-20b": 3,
    "llama-3.1-8b-instant": 4,
    "qwen/qwen3-32b": 5,
    "moonshotai/kimi-k2-instruct-0905": 6,
    "meta-llama/llama-4-maverick-17b-128e-instruct": 7,
    "meta-llama/llama-4-scout-17b-16e-instruct": 8,
    "whisper-large-v3-turbo": 9,
    "whisper-large-v3": 10,
    "groq/compound": 11,
    "groq/compound-mini": 12,
}


def tone(model: str) -> int:
    """The number of a model's colour, 1 to 16: the same everywhere and always, whatever else is shown."""
    return _TONE_OF.get(model) or zlib.crc32(model.encode()) % TONES + 1


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart: where its data is, and what it says in a sentence. What is slow says it later."""

    name: str
    title: str
    summary: str = ""
    by_time: bool = True
    has_legend: bool = False
    is_slow: bool = False
    measures: tuple[tuple[str, str], ...] = ()
    """Among what its reader can choose to see."""


def data(
    totals: Totals,
    points: Sequence[Point],
    models: Sequence[Row],
    link: Callable[[Row], str],
    day_link: str,
    *,
    sees_cost: bool,
) -> dict[str, Any]:
    """Everything that the charts draw. What may not be seen is not in it.

    ``day_link`` leads to one day once its dates are added; empty where there is but one.
    """
    return {
        "series": _series(points, sees_cost),
        "models": _slices(models, link, sees_cost),
        "parts": [{"name": name, "shade": shade, "tokens": tokens} for name, shade, tokens in _token_parts(totals)],
        "day": day_link,
    }


def _series(points: Sequence[Point], sees_cost: bool) -> dict[str, list[Any]]:
    totals = [point.totals for point in points]
    series: dict[str, list[Any]] = {
        "x": [point.label for point in points],
        "input": [t.input_tokens - t.cached_tokens for t in totals],
        "cached": [t.cached_tokens for t in totals],
        "output": [t.output_tokens for t in totals],
        "requests": [t.requests for t in totals],
        "errors": [t.errors for t in totals],
        "rate": [round(float(t.error_rate or 0), 5) for t in totals],
    }
    if sees_cost:
        series["cost"] = [float(t.cost_usd or 0) for t in totals]
    return series


def _token_parts(totals: Totals) -> list[tuple[str, str, int]]:
    """What all tokens were, each counted once: name, colour, how many."""
    return [
        ("Input, not cached", "input", totals.input_tokens - totals.cached_tokens),
        ("Input, cached", "cached", totals.cached_tokens),
        ("Output, without reasoning", "output", totals.output_tokens - totals.reasoning_tokens),
        ("Reasoning", "reasoning", totals.reasoning_tokens),
    ]


def _slices(models: Sequence[Row], link: Callable[[Row], str], sees_cost: bool) -> list[dict[str, Any]]:
    """The models with the largest shares, and one slice for all others."""
    whole = _parts(models, sees_cost)

    def weight(row: Row) -> float:
        return sum(part / (whole[measure] or 1) for measure, part in _parts([row], sees_cost).items())

    ordered = sorted(models, key=weight, reverse=True)
    slices = [
        {**_named(row.label), "tone": tone(str(row.value)), "link": link(row), **_parts([row], sees_cost)}
        for row in ordered[:SLICES]
    ]
    if ordered[SLICES:]:
        rest = ordered[SLICES:]
        slices.append({**_named(f"{len(rest)} others"), "tone": 0, "link": "", **_parts(rest, sees_cost)})
    return slices


def _named(name: str) -> dict[str, str]:
    """The name as it is, and for Plotly, which takes names for a kind of HTML (and knows no entity for quotes)."""
    return {"name": name, "label": html.escape(name, quote=False)}


def _parts(rows: Sequence[Row], sees_cost: bool) -> dict[str, float]:
    """What the ring can show shares of."""
    parts: dict[str, float] = {
        "tokens": sum(row.totals.total_tokens for row in rows),
        "requests": sum(row.totals.requests for row in rows),
    }
    if sees_cost:
        parts["cost"] = float(sum(row.totals.cost_usd or 0 for row in rows))
    return parts


def charts(totals: Totals, points: Sequence[Point], models: Sequence[Row], *, sees_cost: bool) -> list[Chart]:
    """The charts in their order, each with what it says."""
    money = (("cost", "Cost"),) if sees_cost else ()
    tokens, requests = ("tokens", "Tokens"), ("requests", "Requests")
    made = [
        Chart("tokens", "Tokens over time", _most(points, "tokens", lambda p: p.totals.total_tokens, figures.count)),
        Chart("requests", "Requests and error rate", _requests(points)),
        Chart(
            "models",
            "Usage by model",
            _models(models),
            by_time=False,
            has_legend=True,
            measures=(*money, tokens, requests),
        ),
        Chart("latency", "Latency and time to first token", is_slow=True),
        Chart("parts", "Input, cached, output", _parts_of(totals), by_time=False, has_legend=True),
        Chart("heat", "By weekday and hour", by_time=False, is_slow=True, measures=(requests, tokens, *money)),
    ]
    if sees_cost:
        summary = _most(points, "US dollars", lambda p: p.totals.cost_usd or 0, lambda v: f"{v:,.2f}")
        made.insert(0, Chart("cost", "Cost over time", summary))
    return made


def _parts_of(totals: Totals) -> str:
    whole = totals.input_tokens + totals.output_tokens or 1
    shares = (f"{name} {figures.percent(tokens / whole)}" for name, _, tokens in _token_parts(totals))
    return f"Share of tokens: {'; '.join(shares)}."


def _most(points: Sequence[Point], unit: str, amount: Callable[[Point], Any], text: Callable[[Any], str]) -> str:
    top = max(points, key=amount)
    return (
        f"{text(sum(amount(point) for point in points))} {unit} from {points[0].label} to {points[-1].label}; "
        f"most at {top.label}: {text(amount(top))}."
    )


def _requests(points: Sequence[Point]) -> str:
    errors = sum(point.totals.errors for point in points)
    said = _most(points, "requests", lambda p: p.totals.requests, figures.count)
    return f"{said} {figures.count(errors)} ended in an error."


def _models(models: Sequence[Row]) -> str:
    requests = sum(row.totals.requests for row in models) or 1
    shares = (f"{row.label} {figures.percent(row.totals.requests / requests)}" for row in models[:SLICES])
    return f"Share of requests: {', '.join(shares)}."
