"""The messages of OTLP in protobuf and in JSON. Of a span or a log record only the attributes that ``WANTED`` names are
read, so that no prompt and no answer is ever looked at."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from gateway.ingestion.bodies import (
    BodyRefusedError,
    refuse_many_messages_of_protobuf,
    refuse_many_values_of_json,
)
from gateway.ingestion.otlp.conventions import EVENT_NAME, WANTED, Telemetry

SAMPLED = 1
"""The flag of a log record whose span is exported as well (W3C Trace Context)."""
PROTOBUF, JSON = "application/x-protobuf", "application/json"
_TEXTUAL = {"string_value", "bool_value", "int_value", "double_value"}


@dataclass(frozen=True, slots=True)
class Signal:
    """Traces or logs: how a request is read, and how its answer is written."""

    name: str
    request: type[Message]
    read: Callable[[Any, Callable[[bytes], str]], Iterator[Telemetry]]
    answer: Callable[[int, str], Message]


def telemetry_in(signal: Signal, body: bytes, content_type: str) -> Iterator[Telemetry]:
    """The spans or log records of a request. BodyRefusedError if the body is not what its type says, or too much."""
    message = signal.request()
    try:
        if content_type == PROTOBUF:
            refuse_many_messages_of_protobuf(body)
            message.ParseFromString(body)
            return signal.read(message, bytes.hex)
        if content_type == JSON:
            refuse_many_values_of_json(body)
            json_format.ParseDict(_object(json.loads(body)), message, ignore_unknown_fields=True)
            return signal.read(message, _id_of_json)
    except (DecodeError, json_format.ParseError, ValueError, TypeError, AttributeError, RecursionError):
        # Nothing of the error is told, since it may quote a prompt.
        raise BodyRefusedError(400, f"The body is no {signal.request.__name__} in {content_type}.") from None
    raise BodyRefusedError(415, f"The Content-Type must be {PROTOBUF} or {JSON}.")


def encoded(message: Message, content_type: str) -> bytes:
    if content_type == JSON:
        return json_format.MessageToJson(message, indent=None).encode()
    return message.SerializeToString()


def encoded_status(text: str, content_type: str) -> bytes:
    """The ``google.rpc.Status`` of an error, without a code, which clients of HTTP do not read. In protobuf its message
    has the number and the type of ``error_message``, so that one package less is needed."""
    if content_type == JSON:
        return json.dumps({"message": text}).encode()
    return encoded(ExportTracePartialSuccess(error_message=text), content_type)


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError
    return value


def _id_of_json(read: bytes) -> str:
    """An id of JSON. It is hexadecimal there, and not base64 as other bytes, for which the parser has taken it."""
    return b64encode(read).decode().rstrip("=").lower()


def _spans(request: ExportTraceServiceRequest, id_of: Callable[[bytes], str]) -> Iterator[Telemetry]:
    for of_resource in request.resource_spans:
        resource = _attributes(of_resource.resource.attributes)
        for scope in of_resource.scope_spans:
            for span in scope.spans:
                yield _of_span(span, resource, id_of)


def _of_span(span: Span, resource: Mapping[str, Any], id_of: Callable[[bytes], str]) -> Telemetry:
    return Telemetry(
        attributes={**resource, **_attributes(span.attributes)},
        id=f"{id_of(span.trace_id)}{id_of(span.span_id)}",
        started_ns=span.start_time_unix_nano,
        ended_ns=span.end_time_unix_nano,
        has_failed=span.status.code == Status.STATUS_CODE_ERROR,
    )


def _logs(request: ExportLogsServiceRequest, id_of: Callable[[bytes], str]) -> Iterator[Telemetry]:
    for of_resource in request.resource_logs:
        resource = _attributes(of_resource.resource.attributes)
        for scope in of_resource.scope_logs:
            for log in scope.log_records:
                yield _of_log(log, resource, id_of)


def _of_log(log: LogRecord, resource: Mapping[str, Any], id_of: Callable[[bytes], str]) -> Telemetry:
    attributes = {**resource, **_attributes(log.attributes)}
    at = log.time_unix_nano or log.observed_time_unix_nano
    return Telemetry(
        attributes=attributes,
        id=f"{id_of(log.trace_id)}{id_of(log.span_id)}",
        started_ns=at,
        ended_ns=at,
        event_name=log.event_name or str(attributes.get(EVENT_NAME, "")),
        has_span=bool(log.flags & SAMPLED),
    )


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    """The wanted attributes that have a single value."""
    found = {}
    for pair in pairs:
        if pair.key in WANTED and (kind := pair.value.WhichOneof("value")) in _TEXTUAL:
            found[pair.key] = getattr(pair.value, kind)
    return found


def _answer_to_traces(rejected: int, why: str) -> Message:
    answer = ExportTraceServiceResponse()
    if rejected:
        answer.partial_success.rejected_spans = rejected
        answer.partial_success.error_message = why
    return answer


def _answer_to_logs(rejected: int, why: str) -> Message:
    answer = ExportLogsServiceResponse()
    if rejected:
        answer.partial_success.rejected_log_records = rejected
        answer.partial_success.error_message = why
    return answer


TRACES = Signal("traces", ExportTraceServiceRequest, _spans, _answer_to_traces)
LOGS = Signal("logs", ExportLogsServiceRequest, _logs, _answer_to_logs)
