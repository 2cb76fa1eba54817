"""``manage.py groq_chat "prompt"``: makes one call through our client and shows the call's row in the ledger."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError
from groq import GroqError

import groq_client
from groq_client import Groq, usage_context
from groq_client.call import new_request_id
from groq_client.simulator.server import running_simulator
from ledger.models import Status, UsageEvent

DEFAULT_MODEL = "openai/gpt-oss-20b"
UNKNOWN_MODEL = "no-such-model"
FLUSH_SECONDS = 10.0
CONTEXT = ("organization", "project", "user", "expert", "template", "feature", "session")


class Command(BaseCommand):
    help = "Ask Groq something and show the answer and what was recorded. Without GROQ_API_KEY a simulator answers."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("prompt")
        parser.add_argument("--model", default=DEFAULT_MODEL, help=f"default {DEFAULT_MODEL}")
        parser.add_argument("--stream", action="store_true", help="show the answer as it comes")
        parser.add_argument("--force-error", action="store_true", help="ask for a model that does not exist")
        for name in CONTEXT:
            parser.add_argument(f"--{name}", help="what the call is booked on")

    def handle(self, *, prompt: str, model: str, stream: bool, force_error: bool, **options: Any) -> None:
        request_id = new_request_id()
        context: Any = {name: options[name] for name in CONTEXT}
        with self._client() as client, usage_context(request_id=request_id, **context):
            try:
                self._ask(client, prompt, UNKNOWN_MODEL if force_error else model, stream)
            except GroqError as error:
                self.stderr.write(f"Error: {' '.join(str(error).split())}")
            groq_client.flush(FLUSH_SECONDS)
        self._show(_event(request_id, options["organization"] or ""))

    @contextmanager
    def _client(self) -> Iterator[Groq]:
        if settings.GROQ_API_KEY or settings.GROQ_BASE_URL:
            key = settings.GROQ_API_KEY or "none"
            with Groq(api_key=key, base_url=settings.GROQ_BASE_URL or None) as client:
                yield client
            return
        self.stderr.write("No GROQ_API_KEY is set: a simulator answers.")
        with running_simulator(speed=1.0) as simulator, Groq(api_key="none", base_url=simulator.base_url) as client:
            yield client

    def _ask(self, client: Groq, prompt: str, model: str, stream: bool) -> None:
        if not stream:
            answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": prompt}])
            self.stdout.write(answer.choices[0].message.content or "" if answer.choices else "")
            return
        for chunk in client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": prompt}], stream=True
        ):
            self.stdout.write("".join(choice.delta.content or "" for choice in chunk.choices), ending="")
            self.stdout.flush()
        self.stdout.write("")

    def _show(self, event: UsageEvent) -> None:
        rows = list(_rows(event))
        width = max(len(name) for name, _ in rows)
        self.stdout.write("")
        self.stdout.write(self.style.MIGRATE_HEADING("Recorded"))
        for name, value in rows:
            self.stdout.write(f"  {name.ljust(width)}  {value}")


def _event(request_id: str, organization: str) -> UsageEvent:
    """The call's row in the ledger. A call for an unknown organization is booked on the default one."""
    slugs = {organization, settings.DEFAULT_ORGANIZATION}
    try:
        rows = UsageEvent.objects.select_related("organization", "project", "user", "price")
        event = rows.filter(organization__slug__in=slugs, request_id=request_id).first()
    except DatabaseError as error:
        raise CommandError(f"The call was not recorded, the database is away: {error}") from error
    if event is None:
        raise CommandError("The call was not recorded; the log above says why.")
    return event


def _rows(event: UsageEvent) -> Iterator[tuple[str, str]]:
    yield "model", event.model + (f" (asked: {event.model_requested})" if event.model != event.model_requested else "")
    yield "status", _status(event)
    yield "tokens", _tokens(event)
    yield "latency", f"{event.latency_ms:,} ms" + _first_token(event)
    yield "cost", "unpriced" if event.cost_usd is None else f"${event.cost_usd:.9f}{_without(event)}"
    yield "tools", ", ".join(f"{name} {uses}" for name, uses in sorted(event.tool_uses.items())) or "–"
    yield "price", str(event.price) if event.price else "–"
    yield "attempts", str(event.attempts)
    yield "request id", event.request_id
    yield "Groq's id", event.provider_request_id or "–"
    yield "time", f"{event.timestamp:%Y-%m-%d %H:%M:%S} UTC"
    yield "organization", event.organization.name
    yield "project", event.project.slug if event.project else "–"
    yield "user", event.user.handle if event.user else "–"
    yield "expert", event.expert_id or "–"
    yield "template", event.template_id or "–"
    yield "feature", event.feature
    yield "session", event.session_id or "–"


def _status(event: UsageEvent) -> str:
    http = f", HTTP {event.http_status}" if event.http_status else ""
    if event.status == Status.SUCCESS:
        return f"{event.status}{http}"
    return f"{event.status}: {event.error_code}{http}, {event.error_message}"


def _tokens(event: UsageEvent) -> str:
    read = f"{event.input_tokens:,} input ({event.cached_tokens:,} cached)"
    written = f"{event.output_tokens:,} output ({event.reasoning_tokens:,} reasoning)"
    return f"{read}, {written}, {event.total_tokens:,} in all" + (", estimated" if event.tokens_estimated else "")


def _without(event: UsageEvent) -> str:
    return " without tool fees" if event.without_tool_fees else ""


def _first_token(event: UsageEvent) -> str:
    return "" if event.ttft_ms is None else f", first token after {event.ttft_ms:,} ms"
