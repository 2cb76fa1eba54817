"""Groq's errors, as bodies and headers."""

from dataclasses import dataclass

from groq_client.simulator.wire import Json


@dataclass(eq=False)
class GroqError(Exception):
    """An error to answer with. A handler may raise it anywhere; the application writes the answer."""

    status: int
    message: str
    type: str = "invalid_request_error"
    code: str = ""
    param: str = ""
    failed_generation: str = ""
    retry_after: str = ""

    def body(self) -> Json:
        """The JSON body. Empty fields are absent, as in Groq's errors."""
        error: Json = {"message": self.message, "type": self.type}
        for name in ("code", "param", "failed_generation"):
            if value := getattr(self, name):
                error[name] = value
        return {"error": error}


def invalid(message: str, *, param: str = "", code: str = "") -> GroqError:
    """The 400 for a request that Groq would refuse."""
    return GroqError(400, message, param=param, code=code)


def invalid_key() -> GroqError:
    """The 401 for a missing key."""
    return GroqError(401, "Invalid API Key", code="invalid_api_key")


def model_not_found(model: str) -> GroqError:
    """The 404 for a model that is not offered."""
    message = f"The model `{model}` does not exist or you do not have access to it."
    return GroqError(404, message, code="model_not_found")


def unknown_url(method: str, path: str) -> GroqError:
    """The 404 for a path that is not part of the API."""
    message = f"Unknown request URL: {method} {path}. Please check the URL for typos."
    return GroqError(404, message, code="unknown_url")


def midstream() -> GroqError:
    """The error in the middle of a stream."""
    return GroqError(500, "The model stopped unexpectedly. Please try again.", type="internal_server_error")


def scripted_error(name: str, model: str, retry_after: str = "") -> GroqError | None:
    """The error that a fault ``error-…`` asks for; ``None`` for a fault of another kind."""
    if not name.startswith("error-"):
        return None
    return {**_client_errors(model), **_load_errors(model, retry_after), **_server_errors()}.get(name)


def rate_limited(model: str, retry_after: str = "") -> GroqError:
    """The 429. ``retry_after`` (seconds) replaces Groq's usual two seconds."""
    wait = retry_after or "2"
    message = (
        f"Rate limit reached for model `{model}` in organization `org_simulated` service tier `on_demand` on tokens "
        f"per minute (TPM): Limit 250000, Used 249000, Requested 9000. Please try again in {wait}s."
    )
    return GroqError(429, message, type="tokens", code="rate_limit_exceeded", retry_after=wait)


def _client_errors(model: str) -> dict[str, GroqError]:
    return {
        "error-400": invalid("'messages.0.role' : value is not one of the allowed values", param="messages"),
        "error-400-tool_use_failed": GroqError(
            400,
            "Failed to call a function. Please adjust your prompt. See 'failed_generation' for more details.",
            code="tool_use_failed",
            failed_generation='<function=get_weather{"city": "Oslo"</function>',
        ),
        "error-400-blocked_api_access": invalid(
            "API access is blocked: the organization's spend limit is reached.", code="blocked_api_access"
        ),
        "error-401": invalid_key(),
        "error-403": GroqError(
            403,
            f"The model `{model}` is blocked at the project level.",
            type="permissions_error",
            code="model_permission_blocked_project",
        ),
        "error-404": model_not_found(model),
        "error-422": GroqError(422, "The request was well-formed but could not be processed.", code="unprocessable"),
        "error-424": GroqError(424, "A remote MCP server refused the connection.", code="failed_dependency"),
        "error-499": GroqError(499, "The request was cancelled.", code="request_cancelled"),
    }


def _load_errors(model: str, retry_after: str) -> dict[str, GroqError]:
    too_large = f"Request too large for model `{model}` on tokens per minute (TPM): Limit 8000, Requested 90000."
    return {
        "error-413": GroqError(413, too_large, type="tokens", code="rate_limit_exceeded"),
        "error-429": rate_limited(model, retry_after),
        "error-498": GroqError(
            498,
            "Flex tier capacity exceeded. Please try again later.",
            type="capacity_exceeded",
            code="capacity_exceeded",
        ),
        "error-503": GroqError(
            503,
            f"{model} is currently over capacity. Please try again and back off exponentially.",
            type="internal_server_error",
            code="over_capacity",
            retry_after=retry_after or "1",
        ),
    }


def _server_errors() -> dict[str, GroqError]:
    return {
        "error-500": GroqError(500, "Internal Server Error", type="internal_server_error"),
        "error-502": GroqError(502, "Bad Gateway", type="internal_server_error"),
    }
