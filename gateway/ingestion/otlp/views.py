"""``POST /otlp/v1/traces`` and ``POST /otlp/v1/logs``: OTLP over HTTP, as an exporter of OpenTelemetry sends it."""

from collections import Counter
from itertools import islice
from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.keyring import KeyEntry
from gateway.ingestion.doors import Door, rates
from gateway.ingestion.intake import take
from gateway.ingestion.items import MAX_EVENTS, Item
from gateway.ingestion.otlp.conventions import event_of
from gateway.ingestion.otlp.messages import JSON, LOGS, PROTOBUF, TRACES, Signal, encoded, encoded_status, telemetry_in
from ledger.importing import RefusedError

SHOWN_REASONS = 3


class OtlpView(Door):
    """Records the calls of models among spans or log records. The others are counted and ignored.

    A span and a log record of one call have the same ids. The first that comes is recorded.
    """

    signal: Signal
    over_rate_status = 503
    """The protocol allows 429 too, but Python's exporters give events up at once then, and try again after 503."""

    def enter(self, request: Request, key: KeyEntry, body: bytes) -> HttpResponse:
        found = telemetry_in(self.signal, body, _content_type(request))
        counts: Counter[str] = Counter()
        reasons: Counter[str] = Counter()
        while part := list(islice(found, MAX_EVENTS)):
            events = [event for one in part if (event := _event(one, key)) is not None]
            counts["ignored"] += len(part) - len(events)
            taken = take(events, key)
            rates().spend(key, taken.tokens)
            for outcome in taken.outcomes:
                counts[outcome.status] += 1
                if outcome.status == "error":
                    reasons[outcome.message] += 1
        why = " ".join(reason for reason, _ in reasons.most_common(SHOWN_REASONS))
        form = _form(request)
        answer = HttpResponse(encoded(self.signal.answer(counts["error"], why), form), content_type=form)
        answer["X-Usage-Recorded"] = counts["recorded"]
        answer["X-Usage-Duplicates"] = counts["duplicate"] + counts["conflict"]
        answer["X-Usage-Ignored"] = counts["ignored"]
        return answer

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Errors are told as a ``google.rpc.Status``, as the protocol wants."""
        if isinstance(response, Response) and isinstance(response.data, dict) and "detail" in response.data:
            form = _form(request)
            body = encoded_status(str(response.data["detail"]), form)
            told = HttpResponse(body, status=response.status_code, content_type=form)
            for name in ("Retry-After", "WWW-Authenticate", "Allow"):
                if name in response:
                    told[name] = response[name]
            response = told
        return super().finalize_response(request, response, *args, **kwargs)


class TracesView(OtlpView):
    signal = TRACES


class LogsView(OtlpView):
    signal = LOGS


def _event(found: Any, key: KeyEntry) -> Item | None:
    try:
        return event_of(found, key)
    except RefusedError as error:
        return error


def _form(request: Request) -> str:
    """The form of the answer: that of the request."""
    return JSON if _content_type(request) == JSON else PROTOBUF


def _content_type(request: Request) -> str:
    return (request.content_type or "").partition(";")[0].strip().lower()
