"""The address ``/metrics``."""

import logging
from collections.abc import Iterator

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from accounts.viewer import Viewer
from analytics.reports import Counts, counts, snapshot
from api.metrics import families, opentelemetry, recorder
from api.metrics.access import refusal
from api.metrics.processes import processes
from ledger.rollups import tail_state

logger = logging.getLogger("usage.api")

OPENTELEMETRY = "opentelemetry"
"""The value of METRICS_NAMES that chooses OpenTelemetry's names."""


@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """All metrics in Prometheus's text format. Without a database, those that need none."""
    if (refused := refusal(request)) is not None:
        return refused
    return HttpResponse(generate_latest(Everything()), content_type=CONTENT_TYPE_PLAIN_0_0_4)


class Everything:
    """What prometheus_client asks for metrics."""

    def collect(self) -> Iterator[Metric]:
        try:
            with snapshot():
                found, tail = counts(Viewer.of_operator()), tail_state.look()
        except DatabaseError as error:
            logger.warning("The metrics of the ledger cannot be read: %s", error)
            yield recorder.of_the_database(False)
        else:
            yield recorder.of_the_database(True)
            yield from of_calls(found)
            yield from recorder.of_the_ledger(tail, found.replayed)
        yield from recorder.of_this_machine()
        yield recorder.of_health()
        yield from processes()


def of_calls(found: Counts) -> Iterator[Metric]:
    names = opentelemetry if settings.METRICS_NAMES == OPENTELEMETRY else families
    yield from names.requests(found.calls)
    yield from families.tokens(found.calls)
    yield from families.costs(found.calls)
    yield from families.runs(found)
    yield from families.limits(found.calls)
