"""The metrics of calls under the ledger's own names."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from analytics.reports import Counted, Counts, RateLimit, Times
from ledger.rollups.counters import BOUNDS_MS, OTHER

OF_CALLS = ("provider", "model", "operation")
OF_LIMITS = ("provider", "model")
Labels = tuple[str, ...]


def tokens(calls: Sequence[Counted]) -> Iterator[Metric]:
    """Tokens that are a part of others, and have the same names in both vocabularies."""
    yield _counter("llm_tokens_cached", "Input tokens that came from the provider's cache.", calls, "cached_tokens")
    yield _counter("llm_tokens_reasoning", "Output tokens of reasoning.", calls, "reasoning_tokens")


def requests(calls: Sequence[Counted]) -> Iterator[Metric]:
    """What OpenTelemetry has names of its own for."""
    family = CounterMetricFamily("llm_requests", "Calls, by their outcome.", labels=[*OF_CALLS, "status"])
    for row in calls:
        family.add_metric([row.provider, row.model, row.operation, row.status], row.requests)
    yield family
    yield _counter("llm_tokens_input", "Input tokens, cached ones included.", calls, "input_tokens")
    yield _counter("llm_tokens_output", "Output tokens, those of reasoning included.", calls, "output_tokens")
    yield _durations("llm_request_duration_ms", "From the start of a call to its last byte, in ms.", calls, "latency")
    yield _durations("llm_time_to_first_token_ms", "From the start to the first content, in ms.", calls, "ttft")


def costs(calls: Sequence[Counted]) -> Iterator[Metric]:
    """What OpenTelemetry has no names for."""
    yield _counter("llm_audio_seconds", "Seconds of audio.", calls, "audio_seconds")
    yield _counter("llm_cost_usd", "Cost in US dollars, as far as it is known.", calls, "cost_usd")
    yield _counter("llm_tool_cost_usd", "The part of the cost that built-in tools have.", calls, "tool_cost_usd")
    unpriced = GaugeMetricFamily("llm_unpriced_requests", "Calls without a whole cost, now.", labels=OF_CALLS)
    for labels, number in _unpriced(calls).items():
        unpriced.add_metric(labels, number)
    yield unpriced
    yield _durations("llm_queue_time_ms", "Time in the provider's queue, in ms.", calls, "queue")


def runs(found: Counts) -> Iterator[Metric]:
    playground = CounterMetricFamily("playground_requests", "Calls from the playground.", labels=["organization"])
    for slug, number in found.playground.items():
        playground.add_metric([slug], number)
    yield playground
    labels = ["organization", "experiment"]
    experiments = CounterMetricFamily("experiment_runs", "Calls of experiments.", labels=labels)
    for names, number in found.experiments.items():
        experiments.add_metric(list(names), number)
    yield experiments


def limits(calls: Iterable[Counted]) -> Iterator[Metric]:
    """The provider's rate limits, as the newest call to each model told them."""
    newest: dict[Labels, RateLimit] = {}
    for row in calls:
        key = (row.provider, row.model)
        if row.rate_limit and (key not in newest or newest[key].at < row.rate_limit.at):
            newest[key] = row.rate_limit
    told: list[tuple[str, str, Callable[[RateLimit], float | None]]] = [
        ("llm_rate_limit_requests", "The limit of requests.", lambda limit: limit.limit_requests),
        ("llm_rate_limit_remaining_requests", "Requests that are left.", lambda limit: limit.remaining_requests),
        ("llm_rate_limit_tokens", "The limit of tokens.", lambda limit: limit.limit_tokens),
        ("llm_rate_limit_remaining_tokens", "Tokens that are left.", lambda limit: limit.remaining_tokens),
        ("llm_rate_limit_seen_timestamp_seconds", "When this was told.", lambda limit: limit.at.timestamp()),
    ]
    for name, text, value_of in told:
        family = GaugeMetricFamily(name, text, labels=OF_LIMITS)
        for labels, limit in newest.items():
            if (value := value_of(limit)) is not None:
                family.add_metric(labels, value)
        yield family


def added(times: Iterable[Times]) -> Times:
    """Several histograms as one."""
    counts, sums, buckets = zip(*((one.count, one.sum_ms, one.buckets) for one in times), strict=True)
    return Times(sum(counts), sum(sums), tuple(map(sum, zip(*buckets, strict=True))))


def buckets_of(times: Times, unit_ms: int = 1) -> list[tuple[str, float]]:
    """The buckets as Prometheus wants them; ``unit_ms`` is the unit of their bounds in milliseconds."""
    bounds = [f"{bound / unit_ms:g}" if unit_ms > 1 else str(bound) for bound in BOUNDS_MS]
    return [*zip(bounds, times.buckets, strict=True), ("+Inf", times.count)]


def _durations(name: str, text: str, calls: Sequence[Counted], what: str) -> Metric:
    family = HistogramMetricFamily(name, text, labels=OF_CALLS)
    grouped: dict[Labels, list[Times]] = defaultdict(list)
    for row in calls:
        grouped[row.provider, row.model, row.operation].append(getattr(row, what))
    for labels, several in grouped.items():
        whole = added(several)
        if whole.count:
            family.add_metric(labels, buckets_of(whole), whole.sum_ms)
    return family


def _counter(name: str, text: str, calls: Sequence[Counted], what: str) -> Metric:
    family = CounterMetricFamily(name, text, labels=OF_CALLS)
    for labels, number in _sums(calls, lambda row: getattr(row, what)).items():
        family.add_metric(labels, float(number))
    return family


def _unpriced(calls: Sequence[Counted]) -> dict[Labels, int]:
    """The calls without a whole cost. Some of a model were counted as ``OTHER``, before it had a name; once they are
    priced, they leave the model with less than nothing, which is taken off there."""
    found = _sums(calls, lambda row: row.unpriced)
    for labels in [labels for labels, number in found.items() if number < 0]:
        provider, _, operation = labels
        for other in ((provider, OTHER, operation), (OTHER, OTHER, operation)):
            taken = min(max(0, found.get(other, 0)), -found[labels])
            if taken:
                found[labels] += taken
                found[other] -= taken
    return found


def _sums(calls: Sequence[Counted], value_of: Callable[[Counted], int]) -> dict[Labels, int]:
    found: dict[Labels, int] = defaultdict(int)
    for row in calls:
        found[row.provider, row.model, row.operation] += value_of(row)
    return found
