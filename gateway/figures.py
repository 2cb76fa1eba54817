"""What a call cost, for the headers and the last comment of its answer."""

import json
from decimal import Decimal

from gateway.asgi import RawHeaders
from groq_client.call import Call
from ledger.charging import event_cost
from pricing import book


def figures(call: Call, organization_id: int) -> dict[str, str]:
    """The tokens that Groq reported, and their cost; empty if they are not known yet or had to be estimated.

    The cost is that of the prices that the recorder of this process has read last. The ledger's own figure, which
    counts, is computed when the event is written.
    """
    if call.usage.estimated or call.status != "success":
        return {}
    known = {"tokens": str(call.usage.total_tokens)} if call.usage.total_tokens else {}
    prices = book.known()
    cost = event_cost(call, organization_id, prices).cost_usd if prices is not None else None
    if cost is not None:
        known["cost"] = _plain(cost)
    return known


def as_headers(known: dict[str, str]) -> RawHeaders:
    return [(f"x-usage-{name}".encode(), value.encode()) for name, value in known.items()]


def as_comment(call: Call, known: dict[str, str]) -> bytes:
    """A comment of an event stream, which every client ignores that does not look for it."""
    told = {"request_id": call.request_id, **known}
    return f": x-usage {json.dumps(told, separators=(',', ':'))}\n\n".encode()


def _plain(cost: Decimal) -> str:
    return f"{cost:f}"
