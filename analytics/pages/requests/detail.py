"""The page of one request: everything that was recorded, the explanation of its cost, and the phases of its time."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from accounts.viewer import Viewer
from accounts.zones import reader_zone
from analytics.display import figures
from analytics.display.colors import color_of
from analytics.display.cost_badge import badge, tools_used
from analytics.display.local_time import LocalTime
from analytics.display.missing_cost import WITHOUT_TOOL_FEES
from analytics.display.session_link import link_to_session
from analytics.filters.facets import DEFAULT_PROVIDER, FACET
from analytics.filters.query_string import QueryString
from analytics.pages.requests.waterfall import waterfall
from analytics.reports import session_of
from analytics.reports.cost_explanation import Part, dollars_of, explains, parts_of, prices_of
from ledger.models import UsageEvent
from pricing.cost import Charge
from pricing.models import Price

NAMES = {
    "input": "Input tokens",
    "cached": "Cached input tokens",
    "output": "Output tokens",
    "audio": "Audio",
    "characters": "Characters",
    "tool": "Tool",
}
PLACES = 15
"""The number of decimals that are shown of an endless fraction of a dollar."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A recorded value with its label; ``link`` leads to all requests with the same value."""

    label: str
    value: str
    link: str = ""


@dataclass(frozen=True, slots=True)
class CostLine:
    """A charge as text: an amount at a rate, and the resulting dollars."""

    what: str
    amount: str
    rate: str
    dollars: str
    saved: str


@dataclass(frozen=True, slots=True)
class CostPart:
    """The lines of one model, their price version, and the address of the price's history."""

    model: str
    price: Price | None
    since: str
    """The start of the price version in UTC, as on the pages about prices: a price belongs to no zone."""
    history: str
    lines: Sequence[CostLine]


def context(viewer: Viewer, event: UsageEvent) -> dict[str, Any]:
    """The context of ``templates/analytics/requests/_detail.html``."""
    return {
        "event": event,
        "provider": _provider_of(event),
        "at": _local(event.timestamp, event),
        "color": color_of(event.model),
        "sections": [("Call", _call(viewer, event)), ("Usage", _usage(event)), ("Rate limits", _limits(event))],
        "waterfall": waterfall(event),
        "breakdown": event.usage_breakdown or [],
        "metadata": json.dumps(event.metadata, indent=2, ensure_ascii=False) if event.metadata else "",
        "cost": _cost(event, reader_zone(viewer)) if viewer.sees_cost else None,
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
        Fact("Session", event.session_id, link_to_session(session) if session else ""),
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
        Fact("Counted by", "estimate" if event.tokens_estimated else _provider_of(event)),
    ]
    if event.audio_seconds:
        facts.append(Fact("Audio", f"{event.audio_seconds.normalize():f} s"))
    if event.characters:
        facts.append(Fact("Characters", figures.count(event.characters)))
    if event.tool_uses:
        facts.append(Fact("Built-in tools", tools_used(event)))
    return facts


def _provider_of(event: UsageEvent) -> str:
    return "Groq" if event.provider == DEFAULT_PROVIDER else event.provider


def _limits(event: UsageEvent) -> list[Fact]:
    """The remaining requests and tokens of Groq's rate limits, as far as Groq reported them."""
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
    """The last day on which the request is kept; empty if the organization keeps requests for ever."""
    days = event.organization.retention_days
    return [] if days is None else [Fact("Kept in detail until", figures.day(event.day + timedelta(days=days)))]


def _same(event: UsageEvent, name: str, value: str | int | None) -> str:
    """The address of all requests with the same value; empty for an empty value."""
    if not value:
        return ""
    provider = () if event.provider == DEFAULT_PROVIDER else (("provider", event.provider),)
    return f"{reverse('requests')}{QueryString((('range', 'all'), *provider, (name, FACET[name].text(value))))}"


def _local(moment: datetime, event: UsageEvent) -> LocalTime:
    return LocalTime.of(moment, event.organization.time_zone)


def _cost(event: UsageEvent, zone: str) -> dict[str, Any]:
    """The context that explains the cost, with starts of prices in this time zone. The charges are left out if they do
    not add up to the recorded cost."""
    prices = prices_of([event])
    parts = parts_of(event, prices)
    is_explained = explains(parts, event)
    unrounded = dollars_of(parts)
    total = None if event.cost_usd is None else figures.exact_money(event.cost_usd)
    return {
        "badge": badge(event, prices),
        "parts": [_cost_part(part, zone) for part in parts if part.price and (is_explained or not event.cost_usd)],
        "unrounded": _dollars(unrounded) if is_explained and unrounded != Fraction(event.cost_usd) else "",
        "total": total,
        "heading": f"≥ {total}, {WITHOUT_TOOL_FEES}" if event.without_tool_fees else total,
        "why_not": _why_not(event),
        "reported": _reported(event),
    }


def _reported(event: UsageEvent) -> str:
    """A sentence about the cost that the sender of the event computed; empty if there is none."""
    reported = event.reported_cost_usd
    if reported is None:
        return ""
    said = f"The sender of this request computed {figures.exact_money(reported)}"
    if event.cost_usd is None:
        return f"{said}."
    difference = reported - event.cost_usd
    if not difference:
        return f"{said}, the same."
    return f"{said}, {figures.exact_money(abs(difference))} {'more' if difference > 0 else 'less'}."


def _cost_part(part: Part, zone: str) -> CostPart:
    price = part.price
    assert price is not None
    whose = {"organization": price.organization_id} if price.organization_id else {}
    history = urlencode({"provider": price.provider, "model": price.model, **whose})
    since = str(LocalTime.of(price.effective_from, zone))
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
    what = f"{NAMES[charge.unit]} {charge.tool}".rstrip()
    return CostLine(what, amount, rate, dollars, _dollars(charge.saved) if charge.saved else "")


def _dollars(dollars: Fraction) -> str:
    """The dollars with all decimals; an endless fraction is cut after ``PLACES`` decimals and ends in "…"."""
    scaled = dollars * 10**PLACES
    whole, decimals = divmod(int(scaled), 10**PLACES)
    endless = "" if scaled.denominator == 1 else "…"
    return f"${whole:,}.{f'{decimals:0{PLACES}}'.rstrip('0').ljust(2, '0')}{endless}"


def _why_not(event: UsageEvent) -> str:
    """A sentence that says why the cost is missing or incomplete; empty for a whole cost."""
    if event.without_tool_fees:
        return "A built-in tool that was used had no price, so that this is not the whole cost: its fee is not in it."
    if event.cost_usd is not None:
        return ""
    if event.operation in ("transcription", "translation") and not event.audio_seconds:
        return "The length of the audio is not known, and so neither is its cost."
    return "There was no price for this when the call started, and so it has no cost. It was not free."
