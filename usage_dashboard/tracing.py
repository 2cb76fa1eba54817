"""Traces of our own, sent to a collector by OTLP over HTTP where TRACES_URL names one.

Spans are sent by a thread in the background. If the collector is away or slow, spans are dropped, and no request waits.
"""

from collections.abc import Iterable
from functools import cache

from django.conf import settings
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

SERVICE = "groq-usage"
SEND_SECONDS = 3
"""How long one attempt to send may take, and so how long the end of a process may wait for the collector."""
_PROPAGATOR = TraceContextTextMapPropagator()


@cache
def tracer() -> Tracer:
    """The tracer of this process, which begins with its first request: a fork would not have the sender's thread."""
    if settings.TRACES_URL:
        trace.set_tracer_provider(_provider())
    return trace.get_tracer("usage_dashboard")


def parent_of(headers: Iterable[tuple[bytes, bytes]]) -> Context | None:
    """The span of the caller, if it sent one and traces are wanted."""
    if not settings.TRACES_URL:
        return None
    carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers if name.startswith(b"trace")}
    return _PROPAGATOR.extract(carrier) if carrier else None


def _provider() -> TracerProvider:
    sampler = TraceIdRatioBased(settings.TRACES_PERCENT / 100)
    provider = TracerProvider(sampler=sampler, resource=Resource.create({SERVICE_NAME: SERVICE}))
    exporter = OTLPSpanExporter(settings.TRACES_URL, headers=settings.TRACES_HEADERS or None, timeout=SEND_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter, export_timeout_millis=SEND_SECONDS * 1000))
    return provider
