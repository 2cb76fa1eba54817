"""The faults that the simulator can play, and the way to ask for one.

A fault is chosen by the model's name (``sim/<fault>``, or ``sim/<fault>/<real model>`` so that a real model answers)
or by the request header ``x-sim-fault``, which wins over the name.
"""

import re
from dataclasses import dataclass

FAULTS: dict[str, str] = {
    "ok": "no fault at all: a plain answer",
    "error-400": "400, an invalid request",
    "error-400-tool_use_failed": "400, the model wrote a bad tool call; the body has failed_generation",
    "error-400-blocked_api_access": "400, the organization's own spend limit at Groq is reached",
    "error-401": "401, invalid API key",
    "error-403": "403, the project may not use the model",
    "error-404": "404, the model does not exist",
    "error-413": "413, the request is larger than the limit of tokens per minute",
    "error-422": "422, a semantic error in the request",
    "error-424": "424, a dependency (a remote MCP server) failed",
    "error-429": "429, rate limit reached, with retry-after",
    "error-498": "498, capacity of the flex tier exceeded",
    "error-499": "499, the request was cancelled",
    "error-500": "500, internal server error",
    "error-502": "502, bad gateway",
    "error-503": "503, over capacity, with retry-after",
    "retry-then-success": "429 for the first N attempts (retry-then-success-N, default 1), then success; "
    "the attempt is read from the SDK's header x-stainless-retry-count",
    "timeout": "never answers; with x-sim-delay-ms it answers after that long",
    "slow-first-byte": "nothing is sent for x-sim-delay-ms (2000), then a normal answer",
    "slow-chunks": "x-sim-chunk-delay-ms (200) between the chunks of a stream",
    "error-midstream": "a stream stops half-way with `event: error`; without a stream: 500",
    "error-midstream-data": "a stream stops half-way with the error as plain data; without a stream: 500",
    "x-groq-error": "the last chunk of a stream carries x_groq.error (and the usage)",
    "cut": "the connection is cut in the middle of the stream or of the body",
    "no-usage": "an answer without any usage",
    "usage-twice": "the usage in x_groq.usage and in an extra chunk with empty choices, without being asked",
    "usage-zero": "token counts of zero, beside text",
    "usage-then-zero": "the usage, and then once more with token counts of zero",
    "usage-contradicts": "floats, under the names of the Responses API beside empty ones; a total that is not the sum; "
    "more cached and reasoning tokens than there are",
    "usage-negative": "negative token counts",
    "usage-huge": "token counts of 2^63",
    "usage-nan": "times that are NaN and infinity",
    "split-utf8": "emoji, CJK, U+2028 and U+0085 in the text, characters split between TCP writes",
    "no-done": "a stream that ends without [DONE]",
    "never-done": "a stream that has come but for [DONE], and does not end; without a stream: no fault",
    "half": "a stream that ends half-way, without a word; without a stream: no fault",
    "empty-choices": "chunks with `choices: []` at the start and in the middle of a stream; an answer without choices",
    "compound": "usage_breakdown with two models, as groq/compound answers by itself",
    "bad-json": "200 with an HTML page",
    "truncated-json": "200 with the first half of a JSON body, or a stream with a chunk that is not JSON",
    "unknown-model-answer": "the answer names another model than the one asked, and one that nobody has a price for",
}

HEADERS: dict[str, str] = {
    "x-sim-fault": "a fault by its name; wins over the one in the model's name",
    "x-sim-chunks": "how many chunks of text a stream has; the text is repeated until it is long enough",
    "x-sim-chunk-delay-ms": "real time between the chunks of a stream, at any speed",
    "x-sim-delay-ms": "real time before the first byte, at any speed",
    "x-sim-cached-tokens": "how many tokens of the prompt came from the cache",
    "x-sim-retry-after": "the seconds in retry-after, where the fault sends that header",
}

UNKNOWN_MODEL = "unlisted/preview-model-1"
"""The model that an answer with the fault ``unknown-model-answer`` names."""

_COUNTED = re.compile(r"(retry-then-success)-(\d{1,3})")


class UnknownFaultError(ValueError):
    """The fault is not in the registry. A test has probably misspelt it, so the name is refused rather than ignored."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault to play. ``count`` is the number of failures before a success."""

    name: str = "ok"
    count: int = 1


NO_FAULT = Fault()


def parse_fault(text: str) -> Fault:
    """The fault that ``text`` names, with its count if it takes one. Raises :class:`UnknownFaultError`."""
    if match := _COUNTED.fullmatch(text):
        return Fault(match[1], int(match[2]))
    if text not in FAULTS:
        raise UnknownFaultError(f"The simulator has no fault {text!r}; --list-faults shows them.")
    return Fault(text)


def split_model(model: str) -> tuple[Fault, str]:
    """The fault in a model's name, and the model that has to answer: ``sim/cut/qwen/x`` → ``cut``, ``qwen/x``."""
    prefix, _, rest = model.partition("/")
    if prefix != "sim":
        return NO_FAULT, model
    fault, _, real = rest.partition("/")
    return parse_fault(fault), real or model
