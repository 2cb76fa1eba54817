"""Groq's official SDK, with every call recorded once: who it was for, what it used, how long it took.

Change ``from groq import Groq`` to ``from groq_client import Groq`` and keep the rest of the program.
"""

from typing import TYPE_CHECKING

from groq_client.call import Attribution, Call, CallRefused, RateLimit, Recorder, ToolUse, Usage, UsagePart
from groq_client.context import carry_context, usage_context
from groq_client.dispatch import flush
from groq_client.http_recorder import HttpRecorder, connect
from groq_client.recorder import configure, failures
from groq_client.sdk import problems

if TYPE_CHECKING:  # Type checkers see every name of the newest SDK.
    from groq import (
        DEFAULT_CONNECTION_LIMITS,
        DEFAULT_MAX_RETRIES,
        DEFAULT_TIMEOUT,
        NOT_GIVEN,
        APIConnectionError,
        APIError,
        APIResponse,
        APIResponseValidationError,
        APIStatusError,
        APITimeoutError,
        AsyncAPIResponse,
        AsyncStream,
        AuthenticationError,
        BadRequestError,
        BaseModel,
        ConflictError,
        DefaultAioHttpClient,
        DefaultAsyncHttpxClient,
        DefaultHttpxClient,
        GroqError,
        InternalServerError,
        NoneType,
        NotFoundError,
        NotGiven,
        Omit,
        PermissionDeniedError,
        ProxiesTypes,
        RateLimitError,
        RequestOptions,
        Stream,
        Timeout,
        Transport,
        UnprocessableEntityError,
        __title__,
        __version__,
        file_from_path,
        not_given,
        omit,
        types,
    )
else:  # At run time the installed SDK's names count: older versions lack some, newer versions may have more.
    from groq import *  # noqa: F403

if TYPE_CHECKING or not problems():
    from groq_client.client import AsyncGroq, Groq
else:
    from groq_client.plain import AsyncGroq, Groq

Client = Groq
AsyncClient = AsyncGroq

__all__ = [
    "DEFAULT_CONNECTION_LIMITS",
    "DEFAULT_MAX_RETRIES",
    "DEFAULT_TIMEOUT",
    "NOT_GIVEN",
    "APIConnectionError",
    "APIError",
    "APIResponse",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "AsyncAPIResponse",
    "AsyncClient",
    "AsyncGroq",
    "AsyncStream",
    "Attribution",
    "AuthenticationError",
    "BadRequestError",
    "BaseModel",
    "Call",
    "CallRefused",
    "Client",
    "ConflictError",
    "DefaultAioHttpClient",
    "DefaultAsyncHttpxClient",
    "DefaultHttpxClient",
    "Groq",
    "GroqError",
    "HttpRecorder",
    "InternalServerError",
    "NoneType",
    "NotFoundError",
    "NotGiven",
    "Omit",
    "PermissionDeniedError",
    "ProxiesTypes",
    "RateLimit",
    "RateLimitError",
    "Recorder",
    "RequestOptions",
    "Stream",
    "Timeout",
    "ToolUse",
    "Transport",
    "UnprocessableEntityError",
    "Usage",
    "UsagePart",
    "__title__",
    "__version__",
    "carry_context",
    "configure",
    "connect",
    "failures",
    "file_from_path",
    "flush",
    "not_given",
    "omit",
    "problems",
    "types",
    "usage_context",
]

if not TYPE_CHECKING:
    __all__ = [name for name in __all__ if name in globals()]
