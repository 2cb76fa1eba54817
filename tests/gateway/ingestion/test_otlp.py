"""POST /otlp/v1/traces and /otlp/v1/logs, with messages made here. ``test_exporters`` has real exporters."""

import gzip
import json
from decimal import Decimal
from typing import Any

import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from accounts.keyring import KeyEntry
from accounts.models import Organization, Project, User
from gateway.ingestion.otlp.conventions import COLUMNS, DETAILS, Telemetry, event_of
from ledger.models import UsageEvent
from tests.gateway.ingestion.conftest import NewSender
from tests.gateway.ingestion.sending import LOGS, TRACES, Answer, Sender

NANO = 1_793_620_800_000_000_000  # noon of 2 November 2026
UNBOUND = KeyEntry(1, 1, "acme", "", "", frozenset(), None, None, None, None)
PROTOBUF = "application/x-protobuf"
CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "groq",
    "gen_ai.request.model": "openai/gpt-oss-120b",
    "gen_ai.response.model": "openai/gpt-oss-120b",
    "gen_ai.response.id": "chatcmpl-1",
    "gen_ai.usage.input_tokens": 100,
    "gen_ai.usage.output_tokens": 20,
}
pytestmark = pytest.mark.django_db(transaction=True)


def value(one: Any) -> dict[str, Any]:
    kinds = {bool: "boolValue", int: "intValue", float: "doubleValue", str: "stringValue"}
    return {kinds[type(one)]: str(one) if type(one) is int else one}


def pairs(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": name, "value": value(one)} for name, one in attributes.items()]


def span(attributes: dict[str, Any], number: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "traceId": "0af7651916cd43dd8448eb211c80319c",
        "spanId": f"{number:016x}",
        "name": "chat",
        "startTimeUnixNano": str(NANO),
        "endTimeUnixNano": str(NANO + 1_500_000_000),
        "attributes": pairs(attributes),
    } | more


def log(attributes: dict[str, Any], name: str = DETAILS, **more: Any) -> dict[str, Any]:
    return {"timeUnixNano": str(NANO), "eventName": name, "attributes": pairs(attributes)} | more


def traces(*spans: dict[str, Any], **resource: str) -> dict[str, Any]:
    resource = {name.replace("_", "."): one for name, one in resource.items()}
    return {"resourceSpans": [{"resource": {"attributes": pairs(resource)}, "scopeSpans": [{"spans": list(spans)}]}]}


def logs(*records: dict[str, Any]) -> dict[str, Any]:
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": list(records)}]}]}


def in_protobuf(message: dict[str, Any]) -> bytes:
    """The same message as protobuf. Ids are hexadecimal in OTLP's JSON, and base64 in protobuf's own."""
    kind = ExportLogsServiceRequest if "resourceLogs" in message else ExportTraceServiceRequest
    request = json_format.ParseDict(message, kind())
    for of_resource in getattr(request, "resource_spans", ()):
        for scope in of_resource.scope_spans:
            for one in scope.spans:
                one.trace_id = bytes.fromhex("0af7651916cd43dd8448eb211c80319c")
                one.span_id = one.span_id and (1).to_bytes(8, "big")
    return request.SerializeToString()


def exported(sender: Sender, message: dict[str, Any]) -> Answer:
    path = LOGS if "resourceLogs" in message else TRACES
    return sender.post(path, json.dumps(message).encode(), "application/json")


def test_a_span_is_an_event(sender: Sender, acme: Organization) -> None:
    more = {
        "gen_ai.usage.cache_read.input_tokens": 30,
        "gen_ai.usage.reasoning_tokens": 5,
        "gen_ai.usage.cost": 0.25,
        "gen_ai.server.time_to_first_token": 0.4,
        "gen_ai.request.stream": True,
        "gen_ai.conversation.id": "talk",
        "enduser.id": "zoe",
        "usage.expert": "lawyer",
        "usage.feature": "rag",
        "usage.metadata": '{"team": "blue"}',
    }
    assert exported(sender, traces(span(CHAT | more), service_name="shop")).json == {}
    event = UsageEvent.objects.select_related("user", "project").get()
    assert event.user is not None
    assert event.project is not None
    assert (event.organization, event.user.handle, event.project.slug) == (acme, "zoe", "shop")
    assert event.request_id == "0af7651916cd43dd8448eb211c80319c0000000000000001"
    assert (event.timestamp.isoformat(), event.latency_ms, event.ttft_ms) == ("2026-11-02T12:00:00+00:00", 1500, 400)
    assert (event.input_tokens, event.output_tokens, event.cached_tokens, event.reasoning_tokens) == (100, 20, 30, 5)
    assert (event.response_id, event.stream, event.session_id) == ("chatcmpl-1", True, "talk")
    assert (event.expert_id, event.feature, event.metadata) == ("lawyer", "rag", {"team": "blue"})
    assert event.reported_cost_usd == Decimal("0.25")


def test_protobuf_says_the_same_as_json(sender: Sender) -> None:
    message = traces(span(CHAT))
    first = sender.post(TRACES, gzip.compress(in_protobuf(message)), PROTOBUF, Content_Encoding="gzip")
    assert (first.status, first.headers["Content-Type"], first.headers["X-Usage-Recorded"]) == (200, PROTOBUF, "1")
    assert not ExportTraceServiceResponse.FromString(first.body).HasField("partial_success")
    assert exported(sender, message).headers["X-Usage-Duplicates"] == "1"


OLD = {
    "gen_ai.system": "Groq",
    "gen_ai.request.model": "llama",
    "gen_ai.usage.prompt_tokens": 100,
    "gen_ai.usage.completion_tokens": 20,
}
OPENINFERENCE = {
    "openinference.span.kind": "LLM",
    "llm.provider": "groq",
    "llm.model_name": "llama",
    "llm.token_count.prompt": 100,
    "llm.token_count.completion": 20,
}


@pytest.mark.parametrize(
    "attributes",
    [
        OLD,
        OLD | {"gen_ai.operation.name": "text_completion"},
        OLD | {"llm.request.type": "chat"},
        OPENINFERENCE,
        OLD | {"gen_ai.system": "openai", "server.address": "api.groq.com"},
    ],
)
def test_names_of_all_conventions_are_understood(sender: Sender, attributes: dict[str, Any]) -> None:
    exported(sender, traces(span(attributes)))
    event = UsageEvent.objects.get()
    assert (event.provider, event.model, event.input_tokens, event.output_tokens) == ("groq", "llama", 100, 20)


@pytest.mark.parametrize("column", COLUMNS)
def test_of_several_names_the_first_counts(column: str) -> None:
    for at in range(len(COLUMNS[column])):
        said = {name: n + 1 for n, name in enumerate(COLUMNS[column]) if n >= at} | {"gen_ai.operation.name": "chat"}
        event = event_of(
            Telemetry(said, "id", NANO, NANO), KeyEntry(1, 1, "acme", "", "", frozenset(), None, None, None, None)
        )
        assert event is not None
        assert str(event[column]) == str(at + 1)


def test_an_embedding_has_no_output(sender: Sender) -> None:
    exported(sender, traces(span({**OLD, "gen_ai.operation.name": "embeddings"})))
    assert UsageEvent.objects.get().operation == "embedding"


def test_a_failed_call_is_an_error_without_its_message(sender: Sender) -> None:
    said = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "llama", "error.type": "RateLimitError"}
    status = {"code": 2, "message": "canary-prompt"}
    exported(sender, traces(span(said, status=status)))
    event = UsageEvent.objects.get()
    assert (event.status, event.error_code, event.error_message) == ("error", "RateLimitError", "")


@pytest.mark.parametrize(
    "attributes",
    [
        {"http.request.method": "POST", "server.address": "api.groq.com"},
        CHAT | {"gen_ai.operation.name": "invoke_agent"},
        CHAT | {"gen_ai.operation.name": "execute_tool"},
        OPENINFERENCE | {"openinference.span.kind": "CHAIN"},
        {},
    ],
)
def test_other_spans_are_counted_and_ignored(sender: Sender, attributes: dict[str, Any]) -> None:
    answer = exported(sender, traces(span(attributes), span(CHAT, 2)))
    assert (answer.json, answer.headers["X-Usage-Ignored"]) == ({}, "1")
    assert UsageEvent.objects.count() == 1


def test_what_cannot_be_recorded_is_a_partial_success(sender: Sender) -> None:
    without = {name: one for name, one in CHAT.items() if "usage" not in name}
    answer = exported(sender, traces(span(CHAT), span(without, 2), span(CHAT | {"gen_ai.usage.input_tokens": -1}, 3)))
    assert answer.status == 200
    told = answer.json["partialSuccess"]
    assert told["rejectedSpans"] == "2"
    assert "input_tokens, output_tokens is missing." in told["errorMessage"]
    assert UsageEvent.objects.count() == 1


def test_a_log_record_is_an_event_unless_its_span_is_exported(sender: Sender) -> None:
    answer = exported(sender, logs(log(CHAT), log(CHAT, flags=1), log(CHAT, "gen_ai.choice")))
    assert (answer.headers["X-Usage-Recorded"], answer.headers["X-Usage-Ignored"]) == ("1", "2")
    assert UsageEvent.objects.get().model == "openai/gpt-oss-120b"
    told = sender.post(LOGS, in_protobuf(logs(log(CHAT | {"gen_ai.usage.input_tokens": -1}))), PROTOBUF)
    assert ExportLogsServiceResponse.FromString(told.body).partial_success.rejected_log_records == 1


def test_a_bound_key_books_on_nobody_else(acme: Organization, user: User, new_sender: NewSender) -> None:
    sender = new_sender(acme, user=user, project=Project.objects.create(organization=acme, slug="rag", name="RAG"))
    spans = [span(CHAT | {"enduser.id": "ben"}), span(CHAT | {"usage.user": "ben"}, 2)]
    answer = exported(sender, traces(*spans, service_name="shop"))
    assert answer.json["partialSuccess"]["rejectedSpans"] == "1"
    event = UsageEvent.objects.select_related("user", "project").get()
    assert (event.user and event.user.handle, event.project and event.project.slug) == ("ann", "rag")


def test_more_than_a_transactions_worth_is_recorded(sender: Sender) -> None:
    answer = exported(sender, traces(*[span(CHAT | {"gen_ai.response.id": f"c-{n}"}, n) for n in range(1, 2_502)]))
    assert answer.headers["X-Usage-Recorded"] == "2501"


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"\xff\xff", PROTOBUF, 400),
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"resourceSpans": 1}', "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"{}", "text/plain", 415),
    ],
)
def test_an_error_is_told_as_the_protocol_wants(sender: Sender, body: bytes, content_type: str, status: int) -> None:
    answer = sender.post(TRACES, body, content_type)
    assert answer.status == status
    if content_type == "application/json":
        assert "ExportTraceServiceRequest" in answer.json["message"]
    else:
        assert answer.body.startswith(b"\x12")  # field 2 of google.rpc.Status, its message


def test_without_a_key_nothing_is_recorded(sender: Sender) -> None:
    answer = Sender("gul_wrong").post(TRACES, in_protobuf(traces(span(CHAT))), PROTOBUF)
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert not UsageEvent.objects.exists()
