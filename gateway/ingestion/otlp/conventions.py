"""The conventions by which spans and log records tell of calls of models: OpenTelemetry's for GenAI in their old and
new names, OpenLLMetry's and OpenLIT's additions to them, and OpenInference's."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from accounts.keyring import KeyEntry
from ledger.importing import RefusedError
from ledger.importing.formats import Object, read_json

EVENT_NAME = "event.name"
DETAILS = "gen_ai.client.inference.operation.details"
"""The only event of the conventions that has the usage of a call."""

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "provider": ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system"),
    "model": ("gen_ai.response.model", "llm.response.model", "llm.model_name", "embedding.model_name"),
    "model_requested": ("gen_ai.request.model", "llm.request.model"),
    "input_tokens": (
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.prompt_tokens",
        "llm.usage.prompt_tokens",
        "llm.token_count.prompt",
    ),
    "output_tokens": (
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens",
        "llm.usage.completion_tokens",
        "llm.token_count.completion",
    ),
    "cached_tokens": (
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "llm.token_count.prompt_details.cache_read",
    ),
    "reasoning_tokens": (
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.reasoning_tokens",
        "llm.token_count.completion_details.reasoning",
    ),
    "reported_cost_usd": ("gen_ai.usage.cost", "gen_ai.usage.total_cost", "llm.cost.total"),
    "response_id": ("gen_ai.response.id",),
    "service_tier": (
        "gen_ai.response.service_tier",
        "openai.response.service_tier",
        "gen_ai.openai.response.service_tier",
        "gen_ai.request.service_tier",
    ),
    "stream": ("gen_ai.request.stream", "gen_ai.request.is_stream", "gen_ai.is_streaming", "llm.is_streaming"),
    "http_status": ("http.response.status_code", "http.status_code"),
    "project": ("usage.project",),
    "user": ("usage.user",),
    "expert_id": ("usage.expert", "gen_ai.agent.id"),
    "template_id": ("usage.template", "gen_ai.prompt.name"),
    "feature": ("usage.feature",),
    "session_id": (
        "usage.session",
        "gen_ai.conversation.id",
        "session.id",
        "traceloop.association.properties.session_id",
    ),
}
"""For each column of an event the attributes that can have its value. The first that is there counts."""
USUAL_USER = ("enduser.id", "user.id", "traceloop.association.properties.user_id")
SERVICE = "service.name"
OPERATION = ("gen_ai.operation.name", "llm.request.type", "openinference.span.kind")
METADATA = "usage.metadata"
PARAMETERS = "llm.invocation_parameters"
"""OpenInference's JSON of the request without its messages. In failed calls only this names the model."""
ERROR = "error.type"
SERVER = "server.address"
FIRST_CHUNK = (
    "gen_ai.response.time_to_first_chunk",
    "gen_ai.server.time_to_first_token",
    "gen_ai.client.token.time_to_first",
)
"""In seconds."""
LONGEST_SECONDS = 1_000_000

WANTED = frozenset(
    [name for names in COLUMNS.values() for name in names]
    + [*USUAL_USER, *OPERATION, *FIRST_CHUNK, SERVICE, METADATA, PARAMETERS, ERROR, SERVER, EVENT_NAME]
)

OPERATIONS = {
    "chat": "chat",
    "text_completion": "chat",
    "completion": "chat",
    "generate_content": "chat",
    "llm": "chat",
    "embeddings": "embedding",
    "embedding": "embedding",
}
"""The operations that are calls of a model. An agent's, a chain's or a tool's span contains calls that have spans of
their own, so that its usage would be counted twice."""
SIGNS = frozenset(COLUMNS["provider"] + COLUMNS["model"] + COLUMNS["model_requested"])
"""The attributes by which a call is known if no operation is named, as in the first version of the conventions."""
GROQ = "groq"
GROQ_HOST = "groq.com"
NAMELESS_SERVICE = "unknown_service"


@dataclass(frozen=True, slots=True)
class Telemetry:
    """A span or a log record: those of its attributes, and of its resource's, that are wanted."""

    attributes: Mapping[str, Any]
    id: str
    """The ids of trace and span, as hexadecimal digits."""
    started_ns: int
    ended_ns: int
    has_failed: bool = False
    event_name: str | None = None
    """The name of a log record; None for a span."""
    has_span: bool = False
    """True for a log record within a span that is exported. The span tells more: when the call began, and how long it
    took."""


def event_of(found: Telemetry, key: KeyEntry) -> Object | None:
    """The columns of an event, as a line of an import has them; None for what is no call of a model.

    RefusedError if the metadata is no JSON object.
    """
    said = found.attributes
    operation = _operation(found)
    if operation is None:
        return None
    line: dict[str, Any] = {}
    for column, names in COLUMNS.items():
        if (value := _first(said, names)) is not None:
            line[column] = value
    line |= {
        "request_id": found.id,
        "operation": operation,
        "timestamp": found.started_ns / 1e9,
        "latency_ms": max(0, found.ended_ns - found.started_ns) // 1_000_000,
        "provider": _provider(line.get("provider"), said),
    }
    if found.has_failed or ERROR in said:
        line |= {"status": "error", "error_code": str(said.get(ERROR, "error"))}
    seconds = _first(said, FIRST_CHUNK)
    if isinstance(seconds, float | int) and 0 <= seconds <= LONGEST_SECONDS:
        line["ttft_ms"] = round(seconds * 1000)
        line["latency_ms"] = max(line["latency_ms"], line["ttft_ms"])  # OpenLIT's spans of streams may be too short
    if isinstance(said.get(METADATA), str):
        line["metadata"] = read_json(said[METADATA].encode("utf-8", "surrogatepass"))
    _read_parameters(line, said.get(PARAMETERS))
    _include_cached(line)
    if not line.get("reported_cost_usd"):
        line.pop("reported_cost_usd", None)  # OpenLIT says 0 where it knows no price
    _attribute(line, said, key)
    return line


def _operation(found: Telemetry) -> str | None:
    if found.event_name is not None and (found.event_name != DETAILS or found.has_span):
        return None
    named = _first(found.attributes, OPERATION)
    if named is not None:
        return OPERATIONS.get(str(named).lower())
    return "chat" if found.attributes.keys() & SIGNS else None


def _provider(named: object, said: Mapping[str, Any]) -> str:
    """The provider in small letters, as all names of providers are. Groq answers OpenAI's SDK as well, which then tells
    OpenAI's name but Groq's address."""
    host = str(said.get(SERVER, "")).lower()
    if host == GROQ_HOST or host.endswith(f".{GROQ_HOST}"):
        return GROQ
    return str(named or GROQ).lower()


def _read_parameters(line: dict[str, Any], parameters: object) -> None:
    """Take the model, and whether the answer is streamed, from a request that is told as JSON."""
    if not isinstance(parameters, str):
        return
    with suppress(RefusedError):
        told = read_json(parameters.encode("utf-8", "surrogatepass"))
        for column, name in (("model_requested", "model"), ("stream", "stream"), ("service_tier", "service_tier")):
            if name in told and column not in line:
                line[column] = told[name]


def _include_cached(line: dict[str, Any]) -> None:
    """Some instrumentations of Anthropic's API leave cached tokens out of the input, of which they are a part here."""
    cached, read = line.get("cached_tokens"), line.get("input_tokens")
    if isinstance(cached, int) and isinstance(read, int) and cached > read:
        line["input_tokens"] = read + cached


def _attribute(line: dict[str, Any], said: Mapping[str, Any], key: KeyEntry) -> None:
    """Take the person and the program from the usual attributes, unless ours name them or the key is bound to them:
    these attributes do not ask for somebody else to be charged."""
    service = str(said.get(SERVICE, ""))
    if not key.user and "user" not in line and (user := _first(said, USUAL_USER)) is not None:
        line["user"] = user
    if not key.project and "project" not in line and service and not service.startswith(NAMELESS_SERVICE):
        line["project"] = service


def _first(said: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((said[name] for name in names if name in said), None)
