"""One event in full: everything that was recorded, how its cost came about and where its time went."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from accounts.viewer import Viewer
from analytics import figures
from analytics.badges import badge
from analytics.charts import tone
from analytics.explanation import Part, dollars_of, explains, parts_of, prices_of
from analytics.filters import DEFAULT_PROVIDER, FACET
from analytics.local_time import LocalTime
from analytics.models import UsageEvent
from analytics.query import Query
from analytics.reports import session_of
from analytics.session_link import link_to_requests
from analytics.waterfall import waterfall
from pricing.cost import Charge
from pricing.models import Price

NAMES = {
    "input": "Input tokens",
    "cached": "Cached input tokens",
    "output": "Output tokens",
    "audio": "Audio",
    "characters": "Characters",
}
PLACES = 15
"""So many decimals tell what an endless fraction of a dollar is."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that was recorded; ``link`` leads to the requests that have it in common."""

    label: str
    value: str
    link: str = ""


@dataclass(frozen=True, slots=True)
class CostLine:
    """A charge in words: so much, at a rate, makes so many dollars."""

    what: str
    amount: str
    rate: str
    dollars: str
    saved: str


@dataclass(frozen=True, slots=True)
class CostPart:
    """The lines of one model, the price version behind them and where its history is."""

    model: str
    price: Price | None
    since: str
    history: str
    lines: Sequence[CostLine]


def context(viewer: Viewer, event: UsageEvent) -> dict[str, Any]:
    """What ``templates/analytics/requests/_detail.html`` shows."""
    return {
        "event": event,
        "at": _local(event.timestamp, event),
        "tone": tone(event.model),
        "sections": [("Call", _call(viewer, event)), ("Usage", _usage(event)), ("Rate limits", _limits(event))],
        "waterfall": waterfall(event),
        "breakdown": event.usage_breakdown or [],
        "metadata": json.dumps(event.metadata, indent=2, ensure_ascii=False) if event.metadata else "",
        "cost": _cost(event) if viewer.sees_cost else None,
    }


def _call(viewer: Viewer, event: UsageEvent) -> list[Fact]:
    user = event.user.display_name if event.user else ""
    project = event.project.display_name if event.project else ""
    session = session_of(viewer, event)
    return [
        Fact("Started", str(_local(event.timestamp, event))),
        Fact("In UTC", _local(event.timestamp, event).utc),
        Fact("Recorded", _local(event.received_at, event).utc),
        *_kept(event),
        Fact("Organization", event.organization.name),
        Fact("Project", project, _same(event, "project", event.project_id)),
        Fact("User", user, "" if viewer.user_ids is not None else _same(event, "user", event.user_id)),
        Fact("Feature", event.feature, _same(event, "feature", event.feature)),
        Fact("Expert", event.expert_id, _same(event, "expert", event.expert_id)),
        Fact("Template", event.template_id, _same(event, "template", event.template_id)),
        Fact("Session", event.session_id, link_to_requests(viewer, session) if session else ""),
        Fact("Provider", event.provider),
        Fact("Model", event.model, _same(event, "model", event.model)),
        Fact("Model asked for", event.model_requested),
        Fact("Operation", event.operation),
        Fact("Service tier", event.service_tier),
        Fact("Streamed", "yes" if event.stream else "no"),
        Fact("Attempts", str(event.attempts)),
        Fact("Status", event.status),
        Fact("HTTP status", "" if event.http_status is None else str(event.http_status)),
    ]


def _usage(event: UsageEvent) -> list[Fact]:
    facts = [
        Fact("Input tokens", figures.count(event.input_tokens)),
        Fact("of which cached", figures.count(event.cached_tokens)),
        Fact("Output tokens", figures.count(event.output_tokens)),
        Fact("of which reasoning", figures.count(event.reasoning_tokens)),
        Fact("Total tokens", figures.count(event.total_tokens)),
        Fact("Counted by", "estimate" if event.tokens_estimated else "Groq"),
    ]
    if event.audio_seconds:
        facts.append(Fact("Audio", f"{event.audio_seconds.normalize():f} s"))
    if event.characters:
        facts.append(Fact("Characters", figures.count(event.characters)))
    return facts


def _limits(event: UsageEvent) -> list[Fact]:
    """What Groq said was left, as far as it said so."""
    known = (
        ("Requests left that day", event.remaining_requests, event.limit_requests),
        ("Tokens left that minute", event.remaining_tokens, event.limit_tokens),
    )
    return [
        Fact(label, " of ".join(figures.NOTHING if n is None else figures.count(n) for n in (left, limit)))
        for label, left, limit in known
        if (left, limit) != (None, None)
    ]


def _kept(event: UsageEvent) -> list[Fact]:
    """The last day on which this is to be seen, where requests are not kept for ever."""
    days = event.organization.retention_days
    return [] if days is None else [Fact("Kept in detail until", figures.day(event.day + timedelta(days=days)))]


def _same(event: UsageEvent, name: str, value: str | int | None) -> str:
    """The address of all requests that have this in common; empty where there is nothing to have."""
    if not value:
        return ""
    provider = () if event.provider == DEFAULT_PROVIDER else (("provider", event.provider),)
    return f"{reverse('requests')}{Query((('range', 'all'), *provider, (name, FACET[name].text(value))))}"


def _local(moment: datetime, event: UsageEvent) -> LocalTime:
    return LocalTime.of(moment, event.organization.time_zone)


def _cost(event: UsageEvent) -> dict[str, Any]:
    """The arithmetic, as far as it explains what was recorded."""
    prices = prices_of([event])
    parts = parts_of(event, prices)
    is_explained = explains(parts, event)
    unrounded = dollars_of(parts)
    return {
        "badge": badge(event, prices),
        "parts": [_cost_part(part, event) for part in parts if part.price and (is_explained or not event.cost_usd)],
        "unrounded": _dollars(unrounded) if is_explained and unrounded != Fraction(event.cost_usd) else "",
        "total": None if event.cost_usd is None else figures.exact_money(event.cost_usd),
        "why_not": _why_not(event) if event.cost_usd is None else "",
    }


def _cost_part(part: Part, event: UsageEvent) -> CostPart:
    price = part.price
    assert price is not None
    whose = {"organization": price.organization_id} if price.organization_id else {}
    history = urlencode({"provider": price.provider, "model": price.model, **whose})
    since = str(_local(price.effective_from, event))
    return CostPart(part.model, price, since, history, [_line(charge, part) for charge in part.charges])


def _line(charge: Charge, part: Part) -> CostLine:
    if charge.unit == "audio":
        billed = (
            f"{charge.amount:f} s" if charge.amount == part.usage.audio_seconds else f"{charge.amount:f} s at least"
        )
        amount, per = billed, "hour"
    else:
        amount, per = f"{charge.amount:,}", f"{charge.per:,}"
    rate = "no price" if charge.rate is None else f"{figures.exact_money(charge.rate)} per {per}"
    dollars = figures.NOTHING if charge.dollars is None else _dollars(charge.dollars)
    return CostLine(NAMES[charge.unit], amount, rate, dollars, _dollars(charge.saved) if charge.saved else "")


def _dollars(dollars: Fraction) -> str:
    """All digits; of an endless fraction the first, and that there are more."""
    scaled = dollars * 10**PLACES
    whole, decimals = divmod(int(scaled), 10**PLACES)
    endless = "" if scaled.denominator == 1 else "…"
    return f"${whole:,}.{f'{decimals:0{PLACES}}'.rstrip('0').ljust(2, '0')}{endless}"


def _why_not(event: UsageEvent) -> str:
    if event.operation in ("transcription", "translation") and not event.audio_seconds:
        return "The length of the audio is not known, and so neither is its cost."
    return "There was no price for this when the call started, and so it has no cost. It was not free."
