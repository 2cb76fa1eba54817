"""The usage of each model, its speed, and the day of its last use."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from analytics.reports.percentiles import Bucket, Percentiles
from analytics.reports.planner import Question
from analytics.reports.report import LATENCY, Report
from analytics.reports.totals import DatedTotals, Totals, added
from ledger.models import Status

MODEL_QUESTIONS: tuple[Question, ...] = (
    (("provider", "model"), DatedTotals),
    (("provider", "model", "status"), DatedTotals),
    (("provider", "model", LATENCY), Bucket),
)
"""The questions that ``models_used`` asks a report."""


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """One model of a provider under the filters of a report. ``answered`` are the sums of its successful requests
    alone."""

    provider: str
    model: str
    totals: Totals
    answered: Totals
    last_day: date | None
    """None without requests."""
    latency: Percentiles | None
    """None without requests, or if all of them were deleted and no cube has their latency."""

    @property
    def key(self) -> tuple[str, str]:
        return self.provider, self.model

    @property
    def p50(self) -> float | None:
        return self.latency.p50 if self.latency else None

    @property
    def p95(self) -> float | None:
        return self.latency.p95 if self.latency else None

    @property
    def p99(self) -> float | None:
        return self.latency.p99 if self.latency else None

    @property
    def tokens_per_second(self) -> float | None:
        """Output tokens of successful requests per second of their latency, from the call to the last byte.

        The latency includes the wait for the first token. Only streams report that wait, so leaving it out would make
        models with and without streams incomparable. None without output tokens.
        """
        if not self.answered.output_tokens or not self.answered.latency_ms_sum:
            return None
        return 1_000 * self.answered.output_tokens / self.answered.latency_ms_sum


def models_used(report: Report) -> Sequence[ModelUsage]:
    """Every model with usage, most requests first."""
    answered = report.totals_by("provider", "model", "status")
    latency = report.latency_percentiles_by("provider", "model")
    nothing = Totals()
    found = [
        ModelUsage(
            key[0], key[1], totals, answered.get((*key, Status.SUCCESS), nothing), totals.last_day, latency.get(key)
        )
        for key, totals in report.totals_by("provider", "model").items()
    ]
    return sorted(found, key=lambda usage: (-usage.totals.requests, usage.model, usage.provider))


def not_used(provider: str, model: str) -> ModelUsage:
    """A model without requests."""
    return ModelUsage(provider, model, Totals(), Totals(), None, None)


def by_whole_price(report: Report, models: Sequence[ModelUsage]) -> tuple[list[ModelUsage], list[ModelUsage]]:
    """The models with only those of their requests that can be compared by cost, and with the rest of them.

    The sums of a model do not tell the tokens of its priced requests from those of the others. They do so by day and
    status: on most days either all of a model's requests have a price or none. So the rest are all requests of a model
    on the days on which one of them had no price.
    """
    parts: dict[bool, dict[tuple[str, str], list[Totals]]] = {True: defaultdict(list), False: defaultdict(list)}
    for (provider, model, *_), totals in report.totals_by("provider", "model", "day", "status").items():
        parts[totals.unpriced == totals.without_tool_fees][provider, model].append(totals)
    whole, rest = (
        [replace(model, totals=added(kept[model.key], Totals())) for model in models if model.key in kept]
        for kept in (parts[True], parts[False])
    )
    return whole, rest
