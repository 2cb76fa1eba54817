"""Comparison of a call with the recorded event that has the same request id. If their figures differ, the request id
was used for two different calls, and the second call is not recorded."""

from operator import itemgetter
from typing import Any

from groq_client.call import Call
from groq_client.names import identity
from ledger.recording.event_row import COLUMNS
from pricing.book import PriceBook

NAMES = ("timestamp", "model", "status", "input_tokens", "output_tokens")
Figures = tuple[Any, ...]
"""The values of ``NAMES``."""

of_row = itemgetter(*map(COLUMNS.index, NAMES))


def of_call(call: Call) -> Figures:
    """The figures that the event of this call would have."""
    model = identity(call.model or call.model_requested)
    return call.started_at, model, call.status, call.usage.input_tokens, call.usage.output_tokens


def differing(there: Figures, here: Figures, provider: str, prices: PriceBook) -> str:
    """The names of the figures that differ, as one text; "" if none differs. Two names of the same model count as
    equal, because a model alias may have been set after the first call was recorded."""
    pairs = zip(NAMES, _of_one_name(there, provider, prices), _of_one_name(here, provider, prices), strict=True)
    return ", ".join(name for name, old, new in pairs if old != new)


def _of_one_name(figures: Figures, provider: str, prices: PriceBook) -> Figures:
    started_at, model, *rest = figures
    return started_at, prices.model_called(provider, model), *rest
