"""One Groq call, from its start to its end: what was asked, who for, what came back.

A :class:`Call` is made when a call starts and finished exactly once. It holds numbers and names, never a prompt,
a completion or a key. Durations are milliseconds unless a name says otherwise.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal, Protocol

Operation = Literal["chat", "transcription", "translation", "speech", "embedding", "batch"]
Status = Literal["success", "error"]

MAX_COUNT = 10**9
"""Tokens, characters or seconds of one call; above it a number is wrong, and sums could leave their column. The client
takes a larger count for one that was not reported; the ledger refuses a call that has one. A total is of two counts,
and may be twice as much.
"""


def new_request_id() -> str:
    """A UUID version 7 as 32 hexadecimal digits: unique, and ordered in time, which keeps indexes compact."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | random
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return f"{value:032x}"


@dataclass(frozen=True, slots=True)
class Attribution:
    """Who and what a call is for. An empty string means "not said"; names, not database ids.

    ``organization`` and ``project`` are slugs, ``user`` is a user name, ``metadata`` is small free JSON.
    """

    organization: str = ""
    project: str = ""
    user: str = ""
    expert_id: str = ""
    template_id: str = ""
    feature: str = ""
    session_id: str = ""
    request_id: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def merged(self, other: "Attribution") -> "Attribution":
        """This attribution with everything that ``other`` says laid over it; metadata is merged key by key."""
        said = {f.name: getattr(other, f.name) for f in fields(other) if f.name != "metadata"}
        changes: dict[str, Any] = {name: value for name, value in said.items() if value}
        return replace(self, **changes, metadata={**self.metadata, **other.metadata})


@dataclass(frozen=True, slots=True)
class Usage:
    """What a call used, as Groq reported it, or as estimated.

    ``cached_tokens`` is a subset of ``input_tokens``, ``reasoning_tokens`` a subset of ``output_tokens``: never add
    them. ``audio_seconds`` is the length of the audio sent, ``characters`` the input of a speech call.
    ``parts`` are the models of a compound system, each with its own usage, priced each at its own model.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    audio_seconds: Decimal = Decimal(0)
    characters: int = 0
    estimated: bool = False
    queue_ms: float | None = None
    prompt_ms: float | None = None
    completion_ms: float | None = None
    parts: tuple["UsagePart", ...] = ()


@dataclass(frozen=True, slots=True)
class UsagePart:
    """The share that one model had in a compound call."""

    model: str
    usage: Usage


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Headroom as Groq's response headers tell it: requests are per day, tokens per minute; ``None`` = not said."""

    limit_requests: int | None = None
    remaining_requests: int | None = None
    limit_tokens: int | None = None
    remaining_tokens: int | None = None


@dataclass(slots=True)
class Call:
    """One call on its way. Filled by the client (or by the gateway) and handed to the recorder when it has ended."""

    operation: Operation
    model_requested: str
    stream: bool = False
    attribution: Attribution = field(default_factory=Attribution)
    provider: str = "groq"
    request_id: str = field(default_factory=new_request_id)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    started_ns: int = field(default_factory=time.monotonic_ns)
    """Monotonic clock at the start: durations come from it, so a step of the wall clock cannot spoil them."""
    sent: Usage = field(default_factory=Usage)
    """Roughly what is sent: all that is known of what a call used whose process dies before it ends."""

    model: str = ""
    """The model that answered; empty where none did."""
    provider_request_id: str = ""
    status: Status = "success"
    error_code: str = ""
    error_message: str = ""
    """Shortened, and free of prompts and keys."""
    http_status: int | None = None
    attempts: int = 0
    """HTTP requests that the SDK sent for this one call."""
    latency_ms: int = 0
    ttft_ms: int | None = None
    service_tier: str = ""
    usage: Usage = field(default_factory=Usage)
    rate_limit: RateLimit = field(default_factory=RateLimit)


class Recorder(Protocol):
    """What the client tells about its calls. The ledger is one; a test may bring its own."""

    def start(self, call: Call) -> None:
        """The call is about to be sent. Raising :class:`CallRefused` stops it; anything else is logged and ignored."""

    def finish(self, call: Call) -> None:
        """The call has ended. Called exactly once for each call that started; must not raise."""


class CallRefused(Exception):  # noqa: N818 - a decision, not an error
    """A recorder's way to forbid a call before it is sent (a budget that is spent, for example)."""
