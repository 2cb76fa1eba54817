"""What each model did, how fast it was, and when it was last used."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from analytics.models import Status
from analytics.reports.percentiles import Bucket, Percentiles
from analytics.reports.report import LATENCY, Question, Report
from analytics.reports.sums import DatedTotals, Totals

MODEL_QUESTIONS: tuple[Question, ...] = (
    (("model",), DatedTotals),
    (("model", "status"), DatedTotals),
    (("model", LATENCY), Bucket),
)
"""What ``models_used`` asks."""


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """One model under the filters of a report. ``answered`` are the sums of its successful messages alone."""

    model: str
    totals: Totals
    answered: Totals
    last_day: date
    latency: Percentiles | None
    """None where none of its requests is there any more, and no sum can tell."""

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
        """Output tokens of answered messages for each second that these took, from the call to the last byte.

        The wait for the first token is in it: only streams tell how long that was, and a rate that counts some waits
        and others not would compare nothing. Failed messages are not in it. None where no token came out.
        """
        if not self.answered.output_tokens or not self.answered.latency_ms_sum:
            return None
        return 1_000 * self.answered.output_tokens / self.answered.latency_ms_sum


def models_used(report: Report) -> Sequence[ModelUsage]:
    """Every model with usage, most requests first."""
    answered, latency = report.totals_by("model", "status"), report.latency_percentiles_by("model")
    nothing = Totals()
    found = [
        ModelUsage(key[0], totals, answered.get((*key, Status.SUCCESS), nothing), totals.last_day, latency.get(key))
        for key, totals in report.totals_by("model").items()
        if totals.last_day is not None  # there is no row of nothing
    ]
    return sorted(found, key=lambda usage: (-usage.totals.requests, usage.model))
