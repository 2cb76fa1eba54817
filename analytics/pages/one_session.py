"""The page of one session: its sums, its messages in order, and what it would have cost on other models."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zlib import crc32

from django.urls import reverse

from accounts.viewer import Viewer
from analytics import reports
from analytics.display import figures, retention_notice
from analytics.display.colors import colors_apart
from analytics.display.local_time import LocalTime
from analytics.display.session_link import link_to_requests, link_to_session, requests_query
from analytics.filters.facets import DEFAULT_PROVIDER
from analytics.filters.filters import Filters
from analytics.pages.requests.page import RequestRow, rows
from analytics.pages.sessions import Model, badge_of, span
from analytics.reports import Conversation, LogCursor, Totals
from analytics.reports.prices import has_rates, prices_in_force
from pricing.catalogue import Catalogue, Facts
from pricing.cost import cost
from pricing.fields import NANO

PLACE = "message"
"""The name in the query string of the message after which the page of messages begins."""
GROWS_FOR = timedelta(days=1)
"""A session without a new message for this time is over: its page does not refresh itself."""


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A message, with its latency relative to the longest on the page, and the cached part of its input, 0 to 1."""

    request: RequestRow
    latency_share: float
    cached_share: float | None
    """None without input, of which no part can be cached."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """What the session would have cost at the price of another model. ``difference`` is a phrase; empty if the actual
    cost is not known as a whole, so that a comparison would mislead."""

    model: Model
    cost_usd: Decimal
    difference: str
    is_less: bool


def may_grow(session: Conversation, now: datetime) -> bool:
    return now - session.last_at < GROWS_FOR


def version(session: Conversation) -> str:
    """A text that changes whenever the figures of the session do."""
    return f"{crc32(repr(session).encode()):08x}"


def context(viewer: Viewer, session: Conversation, filters: Filters, place: str) -> dict[str, Any]:
    """The context of ``templates/analytics/sessions/detail.html``. ``filters`` are those of the list that the reader
    came from; ``place`` is the cursor of the page of messages, if it is one."""
    after = LogCursor.parse(place)
    page, sums = reports.messages(viewer, session, after), reports.message_sums(viewer, session)
    is_whole = sums.requests == session.requests
    address = link_to_session(session, filters.query)
    colors = colors_apart(session.models)
    return {
        "viewer": viewer,
        "session": session,
        "badge": badge_of(session, "whole"),
        "models": [Model(name or "(none)", colors[name]) for name in session.models],
        "duration": span(session.duration_ms),
        "first": LocalTime.of(session.first_at, session.time_zone),
        "last": LocalTime.of(session.last_at, session.time_zone),
        "sums": sums,
        "cached_share": session.cached_tokens / session.input_tokens if session.input_tokens else None,
        "rows": _rows(rows(viewer, page.events)),
        "retention_notice": "" if is_whole else retention_notice.of_requests(viewer),
        "alternatives": _alternatives(viewer, session, sums) if is_whole and viewer.sees_pricing else [],
        "next": f"{address}&{PLACE}={page.next}" if page.next else "",
        "beginning": address if after else "",
        "back": f"{reverse('sessions')}{filters.query if filters.query.pairs else ''}",
        "requests_link": link_to_requests(viewer, session),
        "export": _export(viewer, session),
    }


def _rows(requests: Sequence[RequestRow]) -> list[MessageRow]:
    longest = max((row.event.latency_ms for row in requests), default=0) or 1
    return [
        MessageRow(
            row,
            row.event.latency_ms / longest,
            row.event.cached_tokens / row.event.input_tokens if row.event.input_tokens else None,
        )
        for row in requests
    ]


def _alternatives(viewer: Viewer, session: Conversation, sums: Totals) -> list[Alternative]:
    """The other models of Groq that are still served, whose context is not shorter than the messages were on average,
    and that have a price for all that the session used, cheapest first. Fees for built-in tools do not depend on the
    model, so they are part of each."""
    catalogue, today = Catalogue.load(), reports.today(viewer)
    prices = prices_in_force(viewer, reports.selection_of(session))

    def priced() -> Iterator[tuple[Decimal, str]]:
        for (provider, model), price in prices.items():
            facts = catalogue.facts(provider, model)
            is_another = provider == DEFAULT_PROVIDER and session.models != (model,)
            is_able = not facts.is_retired_on(today) and _has_room(facts, sums)
            other = cost(sums, price) if is_another and is_able and has_rates(price) else None
            if other is not None:
                yield other + (sums.tool_cost_usd or Decimal(0)), model

    found = sorted(priced())
    colors = colors_apart(model for _, model in found)
    return [Alternative(Model(model, colors[model]), other, *_difference(session, other)) for other, model in found]


def _has_room(facts: Facts, sums: Totals) -> bool:
    """Whether the messages may have fitted into the model's context: a classifier of 512 tokens is no alternative."""
    return facts.context_tokens is None or sums.input_tokens <= facts.context_tokens * sums.requests


def _difference(session: Conversation, other: Decimal) -> tuple[str, bool]:
    """The difference to the actual cost as a phrase, and whether it is less. Each request was rounded by itself, so a
    difference of up to a nano-dollar for each of them is none."""
    if session.unpriced or session.cost_usd is None:
        return "", False
    difference = other - session.cost_usd
    if abs(difference) <= NANO * session.requests:
        return "the same", False
    share = f" ({figures.percent(float(abs(difference) / session.cost_usd))})" if session.cost_usd else ""
    return f"{figures.money(abs(difference))} {'less' if difference < 0 else 'more'}{share}", difference < 0


def _export(viewer: Viewer, session: Conversation) -> str:
    """The address of the session's messages as JSON Lines; empty if the viewer may not export."""
    if not viewer.may_export:
        return ""
    return f"{reverse('export-jsonl')}{requests_query(viewer, session)}"
