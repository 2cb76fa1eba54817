"""One Groq call from its start to its end: the request, the people it is for, and the result.

A :class:`Call` is made when a call starts and finished exactly once. It holds numbers and names, never a prompt,
a completion or a key. Durations are milliseconds unless a name says otherwise.
"""

import os
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any, Literal, NamedTuple, Protocol

Operation = Literal["chat", "transcription", "translation", "speech", "embedding", "batch"]
Status = Literal["success", "error"]

MAX_COUNT = 10**9
"""At most this many tokens, characters or seconds in one call; a larger number is wrong and could overflow sums. The
client treats a larger count as not reported; the ledger refuses a call with one. A total may be twice as large, because
it is the sum of two counts.
"""


# Asking the system for random bits costs as much as the rest of an id. A generator of our own does not follow what a
# program makes of Python's common one, and a forked child must not go on with the numbers of its parent.
_random = random.Random()
os.register_at_fork(after_in_child=_random.seed)


def new_request_id() -> str:
    """A UUID version 7 as 32 hexadecimal digits: unique, and ordered in time, which keeps indexes compact."""
    milliseconds = time.time_ns() // 1_000_000 & 0xFFFF_FFFF_FFFF
    bits = _random.getrandbits(74)
    return f"{milliseconds << 80 | 0x7 << 76 | bits >> 62 << 64 | 0x2 << 62 | bits & 0x3FFF_FFFF_FFFF_FFFF:032x}"


@dataclass(frozen=True, slots=True)
class Attribution:
    """The people and things that a call is for, by name and not by database id. An empty string means "not given".

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
        """This attribution, overridden by the non-empty fields of ``other``; metadata is merged key by key."""
        said = zip(_NAMES, _names_of(self), _names_of(other), strict=True)
        names: dict[str, Any] = {name: theirs or own for name, own, theirs in said}
        return Attribution(**names, metadata={**self.metadata, **other.metadata})


_NAMES = tuple(f.name for f in fields(Attribution) if f.name != "metadata")
_names_of = attrgetter(*_NAMES)


@dataclass(frozen=True, slots=True)
class Usage:
    """The usage of a call, reported by Groq or estimated.

    ``estimated`` means that at least one number is not Groq's own: Groq did not report it, or reported one that
    contradicts the others and was mended (:func:`groq_client.usage.consistent`).
    ``cached_tokens`` is a subset of ``input_tokens``, ``reasoning_tokens`` a subset of ``output_tokens``: never add
    them. ``audio_seconds`` is the length of the audio sent, ``characters`` the length of a speech call's input.
    ``parts`` has the usage of each model of a compound system; each part is priced at its own model.
    ``tools`` has the uses of Groq's built-in tools, which are billed by use.
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
    tools: tuple["ToolUse", ...] = ()


@dataclass(frozen=True, slots=True)
class UsagePart:
    """The share that one model had in a compound call."""

    model: str
    usage: Usage


class ToolUse(NamedTuple):
    """The number of times that a built-in tool ran for a call. ``groq_client.executed_tools`` lists the names."""

    name: str
    uses: int


@dataclass(frozen=True, slots=True)
class RateLimit:
    """The rate limits in Groq's response headers: requests per day, tokens per minute; ``None`` means "not given"."""

    limit_requests: int | None = None
    remaining_requests: int | None = None
    limit_tokens: int | None = None
    remaining_tokens: int | None = None


@dataclass(slots=True)
class Call:
    """One call. The client fills it and hands it to the recorder when the call has ended."""

    operation: Operation
    model_requested: str
    stream: bool = False
    attribution: Attribution = field(default_factory=Attribution)
    provider: str = "groq"
    request_id: str = field(default_factory=new_request_id)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    started_ns: int = field(default_factory=time.monotonic_ns)
    """The monotonic clock at the start. Durations are measured with it, since the wall clock may be set meanwhile."""
    sent: Usage = Usage()
    """A rough estimate of what is sent: the usage of a call that gets no answer, or whose process dies."""

    model: str = ""
    """The model that answered; "" if there was no answer."""
    provider_request_id: str = ""
    """The id that the provider gave to the HTTP request (``req_…`` at Groq)."""
    response_id: str = ""
    """The id of the answer itself (``chatcmpl-…``), which other programs that watch the call tell it by."""
    status: Status = "success"
    error_code: str = ""
    error_message: str = ""
    """The message of the error, shortened and without prompts and keys."""
    http_status: int | None = None
    attempts: int = 0
    """The number of HTTP requests that the SDK sent for this call."""
    latency_ms: int = 0
    ttft_ms: int | None = None
    service_tier: str = ""
    usage: Usage = Usage()
    rate_limit: RateLimit = RateLimit()
    reported_cost_usd: Decimal | None = None
    """The cost in US dollars that another program computed. It is only compared with the ledger's own."""


class Recorder(Protocol):
    """The object that the client reports its calls to. The ledger has one; a test may bring its own."""

    def start(self, call: Call) -> None:
        """Called before the call is sent. :class:`CallRefused` stops the call; other errors are logged and ignored."""

    def finish(self, call: Call) -> None:
        """Called exactly once for each started call, when it has ended. Must not raise."""


class CallRefused(Exception):  # noqa: N818 - a decision, not an error
    """Raised by a recorder to forbid a call before it is sent, for example because a budget is spent."""
