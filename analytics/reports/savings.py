"""What cached tokens cost less than uncached ones, at the prices in force at the calls."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from django.db.models import Sum
from django.db.models.functions import Least

from analytics.reports.report import Report
from pricing.cost import billing_tier, rounded, saved_by_cache
from pricing.models import Price

UP_TO = 50_000
"""Savings are told for at most this number of requests, because no cube has the prices and the events are read."""


@dataclass(frozen=True, slots=True)
class CacheSavings:
    """The saved US dollars, and the cached tokens that they are of."""

    saved_usd: Decimal
    cached_tokens: int


def cache_savings(report: Report) -> CacheSavings | None:
    """The savings of the priced calls of a report, exactly. Calls of several models at once (compound systems) are left
    out, because each of their parts has its own price.

    None if the viewer may not see cost, if nothing was cached, or if the events cannot tell: some were deleted, or
    there are more than ``UP_TO``.
    """
    totals = report.totals()
    if not report.viewer.sees_cost or not totals.cached_tokens or totals.requests > UP_TO or report.retained_from:
        return None
    priced = report.events().filter(cached_tokens__gt=0, cost_usd__isnull=False, price__isnull=False)
    sums = list(
        priced.filter(usage_breakdown__isnull=True)
        .values_list("price_id", "operation", "service_tier")
        .annotate(tokens=Sum(Least("cached_tokens", "input_tokens")))
        .order_by()
    )
    prices = Price.objects.in_bulk({price_id for price_id, *_ in sums})
    saved = (
        saved_by_cache(int(tokens), prices[price_id], service_tier=billing_tier(operation, tier))
        for price_id, operation, tier, tokens in sums
    )
    return CacheSavings(rounded(sum(saved, Fraction(0))), int(sum(tokens for *_, tokens in sums)))
