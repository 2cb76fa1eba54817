"""Asking as the page does."""

import json
from typing import Any

from django.test import Client

PAGE, ANSWERS = "/playground/", "/playground/answers/"
MODEL = "openai/gpt-oss-20b"
FAULTS = {
    "error-401": "did not accept this server's key",
    "error-404": "does not know this model",
    "error-413": "too long for this model",
    "error-429": "rate limit is reached",
    "error-503": "has a problem",
    "cut": "connection to Groq failed",
    "error-midstream": "in the middle of its answer",
    "truncated-json": "could not be read",
    "timeout": "did not answer in time",
    "slow-chunks": "",
}
"""Of the simulator, with what the page says of each."""


def question(message: str = "Hello", **more: Any) -> dict[str, Any]:
    return {"action": "send", "model": MODEL, "message": message, "stream": "on", **more}


def lines_of(response: Any) -> list[dict[str, Any]]:
    content = b"".join(response) if response.streaming else response.content
    return [json.loads(line) for line in content.splitlines()]


def ask(client: Client, message: str = "Hello", query: str = "", **more: Any) -> list[dict[str, Any]]:
    return lines_of(client.post(ANSWERS + query, question(message, **more)))


def text_of(lines: list[dict[str, Any]]) -> str:
    return "".join(line.get("text", "") for line in lines)
