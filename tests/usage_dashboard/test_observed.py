"""Request ids, the log as JSON, and traces, of a server as in production."""

import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from accounts import current_request
from accounts.current_request import CurrentRequest
from accounts.models import ApiKey, Organization
from groq_client.simulator.server import running_simulator
from ledger.models import UsageEvent
from tests.gateway.doors import CALL, make_key, question
from tests.running_demo import free_port, wait_until
from tests.served import served
from tests.usage_dashboard.collector import Collector, Told, collector
from usage_dashboard import observed, tracing
from usage_dashboard.logs import OfRequest
from usage_dashboard.observed import Observed

SECONDS = 60
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


@dataclass
class Server:
    url: str
    log: Path
    traces: Collector

    def lines(self) -> list[dict[str, Any]]:
        """The lines of the log that are ours; gunicorn's own are text."""
        text = self.log.read_text()
        return [json.loads(line) for line in text.splitlines() if line.startswith("{") and line.endswith("}")]

    def line_of(self, request_id: str) -> dict[str, Any]:
        def found() -> list[dict[str, Any]]:
            return [
                one for one in self.lines() if one["request_id"] == request_id and one["logger"] == "usage.requests"
            ]

        wait_until(lambda: bool(found()), SECONDS)
        return found()[0]

    def span_of(self, request_id: str) -> Told:
        def found() -> list[Told]:
            return [told for told in self.traces.spans() if told.attributes.get("usage.request_id") == request_id]

        wait_until(lambda: bool(found()), SECONDS)
        return found()[0]


@pytest.fixture(scope="module")
def server(django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("observed") / "log"
    with collector() as traces, running_simulator() as groq, django_db_blocker.unblock():
        settings = {"LOG_FORMAT": "json", "LOG_REQUESTS": "1", "TRACES_URL": traces.url, "GROQ_API_KEY": "gsk"}
        settings |= {"TRACES_HEADERS": "x-team=usage", "GROQ_BASE_URL": groq.base_url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
        with served(log=log, **settings) as url:
            yield Server(url, log, traces)


@pytest.fixture
def key(transactional_db: None, acme: Organization) -> ApiKey:
    return make_key(acme)


@pytest.mark.django_db(transaction=True)
def test_a_page_has_a_request_id_a_line_and_a_span(server: Server) -> None:
    response = httpx.get(f"{server.url}/sign-in/?next=SECRET", headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
    request_id = response.headers["x-request-id"]
    assert len(request_id) == 32
    line = server.line_of(request_id)
    assert (line["method"], line["route"], line["status"], line["level"]) == ("GET", "/sign-in/", 200, "INFO")
    assert (line["key_id"], line["organization"]) == (None, None)
    told = server.span_of(request_id)
    assert (told.span.name, told.service) == ("GET /sign-in/", "groq-usage")
    assert (told.span.trace_id.hex(), told.span.parent_span_id.hex()) == (TRACE, PARENT)
    assert told.attributes["http.response.status_code"] == "200"
    assert server.traces.headers[-1]["x-team"] == "usage"
    assert "SECRET" not in server.log.read_text()
    assert not any(b"SECRET" in body for body in server.traces.bodies)


@pytest.mark.django_db(transaction=True)
def test_a_call_has_a_span_within_that_of_its_request_and_names_its_key(
    server: Server, key: ApiKey, acme: Organization
) -> None:
    bearer = {"authorization": f"Bearer {CALL}"}
    asked = {"x-request-id": "from-the-proxy", **bearer}
    response = httpx.post(f"{server.url}/openai/v1/chat/completions", headers=asked, json=question(), timeout=SECONDS)
    assert response.status_code == 200
    assert response.headers["x-request-id"].startswith("req_")  # Groq's own
    line = server.line_of("from-the-proxy")
    assert (line["route"], line["key_id"], line["organization"]) == ("gateway/chat", key.pk, "acme")
    told = server.span_of("from-the-proxy")
    assert (told.span.name, told.attributes["usage.key_id"]) == ("POST gateway/chat", str(key.pk))
    spans = server.traces.spans()
    (asked_groq,) = [one.span for one in spans if one.span.parent_span_id == told.span.span_id]
    assert (asked_groq.name, asked_groq.trace_id) == ("Groq", told.span.trace_id)
    wait_until(lambda: UsageEvent.objects.exists(), SECONDS)


@pytest.mark.django_db(transaction=True)
def test_the_api_names_its_key(server: Server, acme: Organization, key: ApiKey) -> None:
    sent = {"authorization": f"Bearer {CALL}", "x-request-id": "api-1"}
    assert httpx.get(f"{server.url}/api/v1/usage", headers=sent, timeout=SECONDS).status_code in (200, 403)
    line = server.line_of("api-1")
    assert (line["route"], line["key_id"], line["organization"]) == ("/api/v1/usage", key.pk, "acme")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("given", ["", "has blanks", "a" * 101, "ü", 'quote"'])
def test_an_id_that_is_no_id_is_replaced(server: Server, given: str) -> None:
    response = httpx.get(f"{server.url}/health/live/", headers={"x-request-id": given.encode()})
    assert response.headers["x-request-id"] != given
    assert len(response.headers["x-request-id"]) == 32


# Without a server


def test_a_collector_that_is_away_delays_nothing(settings: Any) -> None:
    settings.TRACES_URL = f"http://127.0.0.1:{free_port()}/v1/traces"
    provider = tracing._provider()
    tracer, start = provider.get_tracer("test"), time.monotonic()
    for _ in range(5_000):  # more than wait for the sender at most
        with tracer.start_as_current_span("request"):
            pass
    assert time.monotonic() - start < 10
    provider.shutdown()
    assert time.monotonic() - start < 10 + 2 * tracing.SEND_SECONDS


async def _receive() -> Any:
    raise AssertionError


async def test_a_failure_is_told_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async def fails(scope: Any, receive: Any, send: Any) -> None:
        current_request.note_caller("acme", 7)
        raise ValueError("SECRET")

    async def send(message: Any) -> None:
        raise AssertionError

    caplog.set_level(logging.INFO, logger="usage.requests")
    scope = {"type": "http", "method": "GET", "headers": []}
    with pytest.raises(ValueError, match="SECRET"):
        await Observed(fails)(scope, _receive, send)
    (record,) = [one for one in caplog.records if one.name == observed.logger.name]
    assert record.getMessage().startswith("GET : 0 in ")
    assert "SECRET" not in record.getMessage()
    assert current_request.current_request() is None


async def test_what_is_no_request_passes() -> None:
    seen = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope, receive, send))

    await Observed(application)({"type": "lifespan"}, 1, 2)  # type: ignore[arg-type]
    assert seen == [({"type": "lifespan"}, 1, 2)]


def test_a_line_outside_of_requests_names_none() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "", (), None)
    assert OfRequest().filter(record)
    assert (record.request_id, record.key_id, record.organization) == (None, None, None)  # type: ignore[attr-defined]
    token = current_request.begin(CurrentRequest("r", key_id=3, organization="acme"))
    OfRequest().filter(record)
    current_request.end(token)
    assert (record.request_id, record.key_id, record.organization) == ("r", 3, "acme")  # type: ignore[attr-defined]
