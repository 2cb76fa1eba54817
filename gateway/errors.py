"""The gateway's own refusals, in the shape that OpenAI's and Groq's clients understand."""

import json
import logging
import traceback
from dataclasses import dataclass, field

from gateway.asgi import RawHeaders

logger = logging.getLogger("usage.gateway")


@dataclass(eq=False)
class Refusal(Exception):  # noqa: N818 - an answer that the gateway gives itself
    """An answer of the gateway in place of Groq's. The message says what to do, and never quotes a key or a prompt."""

    status: int
    message: str
    code: str
    type: str = "invalid_request_error"
    headers: RawHeaders = field(default_factory=list)

    def body(self) -> bytes:
        error = {"message": self.message, "type": self.type, "param": None, "code": self.code}
        return json.dumps({"error": error}).encode()


def invalid_key() -> Refusal:
    message = "Incorrect API key. Send a key of this ledger, which an Admin makes on its page Keys, as a bearer token."
    return Refusal(401, message, "invalid_api_key", headers=[(b"www-authenticate", b"Bearer")])


def lacks_scope() -> Refusal:
    return Refusal(
        403,
        "This API key may not call models. Ask an Admin for a key with the scope 'call'.",
        "insufficient_permissions",
        type="permissions_error",
    )


def no_provider_key() -> Refusal:
    message = "The ledger has no key for Groq. Set GROQ_API_KEY on the server, or enter the organization's own key."
    return Refusal(503, message, "no_provider_key", type="server_error")


def unknown_url(method: str) -> Refusal:
    message = "Unknown request URL. The base URL ends with /openai/v1 or /v1; docs/gateway.md lists what follows it."
    return Refusal(404, message, "unknown_url")


def wrong_method(allowed: str) -> Refusal:
    message = f"This URL takes {allowed}."
    return Refusal(405, message, "method_not_allowed", headers=[(b"allow", allowed.encode())])


def bad_request(message: str, code: str = "bad_request") -> Refusal:
    return Refusal(400, message, code)


def too_large(megabytes: int) -> Refusal:
    return Refusal(413, f"The request body is larger than {megabytes} MB, the limit of the ledger.", "body_too_large")


def too_slow() -> Refusal:
    return Refusal(408, "The request body did not come in time.", "body_too_slow")


def too_many_requests(message: str, seconds: int) -> Refusal:
    retry_after = [(b"retry-after", str(seconds).encode())]
    return Refusal(429, message, "rate_limit_exceeded", type="rate_limit_error", headers=retry_after)


def too_busy() -> Refusal:
    message = "The ledger has as many calls under way as it takes at once. Please try again in a second."
    return Refusal(503, message, "over_capacity", type="server_error", headers=[(b"retry-after", b"1")])


def our_fault(error: Exception) -> Refusal:
    """The answer to an error that should not be. The log names its kind and its place, but not its message, which may
    quote a prompt."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    logger.error("%s in %s, line %s", type(error).__name__, place.filename, place.lineno)
    return Refusal(500, "The ledger failed. Its log names the place.", "internal_error", type="server_error")


def not_ready() -> Refusal:
    message = "The ledger has just started and has not read its keys yet. Please try again in a second."
    return Refusal(503, message, "not_ready", type="server_error", headers=[(b"retry-after", b"1")])


def refused(message: str) -> Refusal:
    """The recorder refused the call, for example because a budget is spent."""
    return Refusal(403, message or "This call is refused.", "refused", type="permissions_error")


def upstream_unreachable() -> Refusal:
    message = "Groq could not be reached, or ended the connection before it answered. Please try again."
    return Refusal(502, message, "upstream_unreachable", type="server_error")


def upstream_timeout() -> Refusal:
    return Refusal(504, "Groq did not answer in time. Please try again.", "upstream_timeout", type="server_error")
