"""The error codes of failed calls, and the parts of error messages that may be kept.

``Call.error_code`` is Groq's own ``error.code``, else its ``error.type``, else ``http_<status>``. If Groq answered with
no error, it is one of the codes below. Messages are shortened and never hold a prompt, a completion or a key.
"""

import asyncio
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping

import httpx
import pydantic
from groq import APIConnectionError, APIError, APIResponseValidationError, APIStatusError, APITimeoutError

from groq_client.call import CallRefused

TIMEOUT = "timeout"
"""The answer, or its next byte, did not come in time."""
CONNECTION_ERROR = "connection_error"
"""The connection failed, or was cut before the answer was complete."""
CANCELLED = "cancelled"
"""The task was cancelled, by asyncio or Trio."""
INTERRUPTED = "interrupted"
"""Ctrl-C, ``sys.exit`` or the end of the interpreter ended the call."""
ABANDONED = "abandoned"
"""The caller stopped reading. This is no failure: the status is ``success``."""
STREAM_ERROR = "stream_error"
"""Groq reported an error without a code in the middle of the stream."""
INCOMPLETE = "stream_incomplete"
"""The stream ended without its end mark."""
INVALID_RESPONSE = "invalid_response"
"""The SDK could not parse the answer."""
REFUSED = "refused"
"""The recorder refused the call, which was not sent."""
CLIENT_ERROR = "client_error"
"""The caller's process failed, for example by arguments that cannot be sent or a hook that raises."""

MAX_MESSAGE_LENGTH = 300
MAX_CODE_LENGTH = 64
QUOTE_LENGTH = 20
SHORTEST_QUOTE = 6

_KEYS = re.compile(r"\b(?:gsk|gul|sk|pk|rk|xox[a-z]|ghp|AKIA)[_-]?[A-Za-z0-9][\w-]{7,}|\bBearer\s+\S+", re.IGNORECASE)
_CODE = re.compile(r"[^A-Za-z0-9_.:-]+")
_ESCAPES = re.compile(r"\\(?:u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)")
_NOT_TEXT = re.compile(r"[\W_]+")
_WHITESPACE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
# Groq may quote the values of these fields in its messages, as in "The model `x` does not exist": they are not private.
_NAMES_IN_REQUESTS = frozenset({"model", "role", "type", "service_tier", "voice", "language", "response_format"})


class ErrorAnswer(Exception):  # noqa: N818 - an answer, which a program without the SDK has read
    """Ends a call that was answered with an error status. ``body`` is the parsed JSON of the answer, if it is JSON."""

    def __init__(self, status_code: int, body: object) -> None:
        super().__init__(status_code)
        self.status_code = status_code
        self.body = body


def code_of(error: BaseException) -> str:
    """The ``error_code`` for an exception that ended a call."""
    if isinstance(error, APIStatusError | ErrorAnswer):
        return code_of_body(error.body) or f"http_{error.status_code}"
    for kind, code in _CODE_OF_EXCEPTION:
        if isinstance(error, kind):
            return code
    if _is_cancelled(error):
        return CANCELLED
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
)
_NO_CONNECTION = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)


def never_left(error: BaseException) -> bool:
    """Whether ``error`` shows that the request did not reach Groq: connecting failed, or the request is invalid."""
    return isinstance(error, _NO_CONNECTION) or isinstance(error.__cause__, _NO_CONNECTION)


def _is_cancelled(error: BaseException) -> bool:
    trio = sys.modules.get("trio")  # If the program never imported Trio, the error cannot be one of Trio's.
    return isinstance(error, asyncio.CancelledError) or (trio is not None and isinstance(error, trio.Cancelled))


def code_of_body(body: object) -> str:
    """Groq's own code for an error, from ``{"error": {…}}`` or from the inner object; empty if it has none."""
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
    """A message about ``error`` that is safe to keep. ``request`` is the sent body, whose content is private."""
    if isinstance(error, CallRefused):
        return safe_message(str(error), (), api_key)
    if isinstance(error, APIConnectionError):
        cause = error.__cause__
        return f"{error.message} ({type(cause).__name__})" if cause else error.message
    if isinstance(error, APIError | ErrorAnswer) and not isinstance(error, APIResponseValidationError):
        return message_of_body(error.body, request, api_key)
    # Messages of other exceptions may hold private text: those of json and pydantic quote the input that is wrong.
    return type(error).__name__


def message_of_body(body: object, request: object, api_key: str = "") -> str:
    error = error_of_body(body)
    message = error.get("message")
    if not isinstance(message, str):
        return code_of_body(body)
    private = [*private_texts(request), *_texts(error.get("failed_generation"))]
    return safe_message(message, private, api_key) or code_of_body(body)


def safe_message(message: str, private: Iterable[str], api_key: str = "") -> str:
    """``message`` on one line, shortened and without keys; empty if it quotes one of the ``private`` texts."""
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
    """Every text in a request's body, except names of models, roles and the like."""
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
