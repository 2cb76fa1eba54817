"""How a call that failed is named, and what may be kept of the words of its error.

``Call.error_code`` is Groq's own ``error.code``, else its ``error.type``, else ``http_<status>``. Where Groq said
nothing it is one of the codes below. Messages are shortened and never hold a prompt, a completion or a key.
"""

import asyncio
import json
import re
from collections.abc import Iterable, Iterator, Mapping

import httpx
import pydantic
from groq import APIConnectionError, APIError, APIResponseValidationError, APIStatusError, APITimeoutError

from groq_client.call import CallRefused

TIMEOUT = "timeout"
"""No answer, or no next byte of it, in time."""
CONNECTION_ERROR = "connection_error"
"""No connection, or one that was cut before the answer was complete."""
CANCELLED = "cancelled"
"""The asyncio task was cancelled."""
INTERRUPTED = "interrupted"
"""Ctrl-C, ``sys.exit`` or the end of the interpreter while the call was on its way."""
ABANDONED = "abandoned"
"""The caller stopped reading: no failure, the status is ``success``."""
STREAM_ERROR = "stream_error"
"""Groq reported an error in mid-stream, without naming it."""
INCOMPLETE = "stream_incomplete"
"""The stream ended without its end mark."""
INVALID_RESPONSE = "invalid_response"
"""The answer was not what the SDK could make sense of."""
REFUSED = "refused"
"""The recorder forbade the call; nothing was sent."""
CLIENT_ERROR = "client_error"
"""Something in the caller's process failed: arguments that cannot be sent, a hook that raises."""

MAX_MESSAGE_LENGTH = 300
MAX_CODE_LENGTH = 64
QUOTE_LENGTH = 20
SHORTEST_QUOTE = 6

_KEYS = re.compile(r"\b(?:gsk|sk|pk|rk|xox[a-z]|ghp|AKIA)[_-]?[A-Za-z0-9][\w-]{7,}|\bBearer\s+\S+", re.IGNORECASE)
_CODE = re.compile(r"[^A-Za-z0-9_.:-]+")
_ESCAPES = re.compile(r"\\(?:u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)")
_NOT_TEXT = re.compile(r"[\W_]+")
_WHITESPACE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
# Names that callers send and that Groq quotes back for good reasons: "The model `x` does not exist".
_NAMES_IN_REQUESTS = frozenset({"model", "role", "type", "service_tier", "voice", "language", "response_format"})


def code_of(error: BaseException) -> str:
    """The ``error_code`` for an exception that ended a call."""
    if isinstance(error, APIStatusError):
        return code_of_body(error.body) or f"http_{error.status_code}"
    for kind, code in _CODE_OF_EXCEPTION:
        if isinstance(error, kind):
            return code
    if isinstance(error, APIError):
        return code_of_body(error.body) or STREAM_ERROR
    return CLIENT_ERROR if isinstance(error, Exception) else INTERRUPTED


_CODE_OF_EXCEPTION: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    (CallRefused, REFUSED),
    ((APITimeoutError, httpx.TimeoutException), TIMEOUT),
    ((APIConnectionError, httpx.TransportError, httpx.StreamError), CONNECTION_ERROR),
    (
        (APIResponseValidationError, json.JSONDecodeError, pydantic.ValidationError, httpx.DecodingError),
        INVALID_RESPONSE,
    ),
    (asyncio.CancelledError, CANCELLED),
)


def code_of_body(body: object) -> str:
    """Groq's own name for an error: from ``{"error": {…}}`` or from the inner object. Empty if it gives none."""
    error = error_of_body(body)
    for name in ("code", "type"):
        if (value := error.get(name)) and isinstance(value, str | int):
            return _CODE.sub("_", str(value))[:MAX_CODE_LENGTH]
    return ""


def error_of_body(body: object) -> Mapping[str, object]:
    if not isinstance(body, Mapping):
        return {}
    inner = body.get("error")
    return inner if isinstance(inner, Mapping) else body


def message_of(error: BaseException, request: object, api_key: str = "") -> str:
    """Words about ``error`` that are safe to keep. ``request`` is the body that was sent, whose content is private."""
    if isinstance(error, CallRefused):
        return safe_message(str(error), (), api_key)
    if isinstance(error, APIConnectionError):
        cause = error.__cause__
        return f"{error.message} ({type(cause).__name__})" if cause else error.message
    if isinstance(error, APIError) and not isinstance(error, APIResponseValidationError):
        return message_of_body(error.body, request, api_key)
    # Words of other exceptions may hold anything: json's and pydantic's quote what they could not read.
    return type(error).__name__


def message_of_body(body: object, request: object, api_key: str = "") -> str:
    error = error_of_body(body)
    message = error.get("message")
    if not isinstance(message, str):
        return code_of_body(body)
    private = [*private_texts(request), *_texts(error.get("failed_generation"))]
    return safe_message(message, private, api_key) or code_of_body(body)


def safe_message(message: str, private: Iterable[str], api_key: str = "") -> str:
    """``message`` on one line, shortened, without keys; empty if it quotes a piece of ``private``."""
    if api_key:
        message = message.replace(api_key, "[key]")
    message = _WHITESPACE.sub(" ", _KEYS.sub("[key]", message[: 20 * MAX_MESSAGE_LENGTH])).strip()
    if len(message) > MAX_MESSAGE_LENGTH:
        message = message[: MAX_MESSAGE_LENGTH - 1] + "…"
    return "" if quotes(message, private) else message


def quotes(message: str, private: Iterable[str]) -> bool:
    """Whether ``message`` repeats 20 characters of a private text, or the whole of a shorter one.

    Only letters and digits are compared, so that escapes and line breaks cannot hide a quotation.
    """
    said = _letters(message)
    windows = [said[at : at + QUOTE_LENGTH] for at in range(max(0, len(said) - QUOTE_LENGTH + 1))]
    for text in private:
        kept = _letters(text)
        if len(kept) < QUOTE_LENGTH:
            if len(kept) >= SHORTEST_QUOTE and kept in said:
                return True
        elif any(window in kept for window in windows):
            return True
    return False


def private_texts(request: object) -> Iterator[str]:
    """Every text in a request's body but the names of models, roles and the like."""
    if isinstance(request, Mapping):
        for name, value in request.items():
            if name not in _NAMES_IN_REQUESTS or not isinstance(value, str):
                yield from private_texts(value)
    else:
        yield from _texts(request)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from private_texts(item)
    elif isinstance(value, Mapping):
        yield from private_texts(value)


def _letters(text: str) -> str:
    return _NOT_TEXT.sub("", _ESCAPES.sub("", text)).lower()
