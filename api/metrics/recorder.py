"""The metrics of the recorder: whether calls reach the ledger and its sums. Journals are those of this machine."""

from collections.abc import Iterator

from django.conf import settings
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from ledger.health import health
from ledger.journal import dead_letters
from ledger.journal.files import journals_now, number_of_lines
from ledger.rollups.tail_state import TailState


def of_health() -> Metric:
    family = GaugeMetricFamily(
        "llm_recorder_health", "A check of the health page: 0 ok, 1 warning, 2 red.", labels=["check"]
    )
    for finding in health():
        family.add_metric([finding.name], finding.level)
    return family


def of_this_machine() -> Iterator[Metric]:
    journals = journals_now()
    directory = settings.JOURNAL_DIR
    yield _gauge("journal_bytes", "The size of all journals.", journals.bytes)
    yield _gauge("journal_limit_bytes", "The largest size of all journals.", journals.limit_bytes)
    yield _gauge("journals_waiting", "Journals of ended processes that wait to be replayed.", journals.waiting)
    yield _gauge("journal_age_seconds", "The age of the oldest of these.", journals.oldest_seconds)
    refused = number_of_lines(directory / dead_letters.DEAD_LETTERS)
    yield _gauge("dead_letters", "Calls that the ledger refused, in the file of dead letters.", refused)
    conflicts = number_of_lines(directory / dead_letters.CONFLICTS)
    yield _gauge("conflicts", "Calls that were not recorded because of their request id.", conflicts)


def of_the_ledger(tail: TailState, replayed: int) -> Iterator[Metric]:
    yield _gauge("tail_events", "Recorded calls that are not in the sums yet.", tail.events)
    yield _gauge("tail_age_seconds", "The age of the oldest of these: how far the sums lag.", tail.age_seconds)
    if tail.last_fold is not None:
        ended = tail.last_fold.finished_at.timestamp()
        yield _gauge("last_fold_timestamp_seconds", "When the sums were last brought up to date.", ended)
    name, text = "llm_recorder_replayed_calls", "Calls that were replayed from journals of ended processes."
    yield CounterMetricFamily(name, text, value=replayed)


def of_the_database(is_there: bool) -> Metric:
    return _gauge("database_up", "Whether the database answered this scrape.", is_there)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"llm_recorder_{name}", text, value=value)
