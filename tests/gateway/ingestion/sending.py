"""A sender of events for tests: its key, and requests over HTTP to views or to a server."""

import json
from dataclasses import dataclass, field
from typing import Any

from django.test import Client

from accounts import api_keys
from accounts.models import ApiKey, Organization, User
from gateway.rates import shared_windows

EVENTS, TRACES, LOGS = "/api/v1/events", "/otlp/v1/traces", "/otlp/v1/logs"


def new_secret(organization: Organization, **fields: Any) -> str:
    """The secret of a new key for the organization, which may ingest unless told otherwise."""
    by = User.objects.get_or_create(username="maker of keys")[0]
    return api_keys.create(ApiKey(organization=organization, name="ci", **{"may_ingest": True, **fields}), by=by)


def event(**more: Any) -> dict[str, Any]:
    """A successful call, as a sender tells it."""
    values = {
        "timestamp": "2026-11-02T12:00:00Z",
        "model": "openai/gpt-oss-120b",
        "input_tokens": 100,
        "output_tokens": 20,
    }
    return values | more


@dataclass(slots=True)
class Answer:
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Sender:
    """Posts to the views of this process, as an HTTP client does."""

    secret: str

    def post(self, path: str, body: bytes, content_type: str = "application/json", **headers: str) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.secret:
            sent.setdefault("Authorization", f"Bearer {self.secret}")
        client = Client(raise_request_exception=False, enforce_csrf_checks=True)
        got = client.generic("POST", path, body, content_type, headers=sent)
        return Answer(got.status_code, got.content, dict(got.headers.items()))

    def send(self, *events: Any, **headers: str) -> Answer:
        body = events[0] if len(events) == 1 else list(events)
        return self.post(EVENTS, json.dumps(body).encode(), **headers)


def forget_rates() -> None:
    """Begin the last minute anew for all keys: those of another test had the same ids."""
    memory = shared_windows()._memory
    memory[:] = bytes(len(memory))
