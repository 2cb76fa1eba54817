"""``/metrics``: who may read it, what it says, and that it says the same as the page."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from accounts.models import Organization, User
from accounts.viewer import Viewer
from analytics.reports import Report
from analytics.reports.selection import Selection
from api.metrics import view
from groq_client.call import RateLimit
from ledger.recording.record import record
from ledger.upkeep.price_backfill import BackfillRequest, price_events
from tests.cast import signed_in
from tests.ledger.calls import MODEL, NOON, call, failed, timed_out, usage
from tests.ledger.folding import fold_now
from tests.pricing.prices import make_price
from usage_dashboard.settings import _metrics_token

pytestmark = pytest.mark.django_db(transaction=True)

TOKEN = "metrics-token-of-the-tests"
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]
NEEDLESS = ("user", "request", "session", "project", "person")


def local(**more: str) -> Client:
    return Client(headers={"Host": "127.0.0.1:8000"}, **more)


def scraped(client: Client | None = None) -> Samples:
    response = (client or local()).get("/metrics")
    assert response.status_code == 200, response.content
    families = text_string_to_metric_families(response.content.decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def total(samples: Samples, name: str, **labels: str) -> float:
    return sum(value for (its, told), value in samples.items() if its == name and labels.items() <= dict(told).items())


@pytest.fixture
def ledger(acme: Organization, globex: Organization) -> None:
    make_price(MODEL, at=NOON - timedelta(days=900))
    limit = RateLimit(limit_requests=100, remaining_requests=60, limit_tokens=9_000, remaining_tokens=8_000)
    for slug in ("acme", "globex"):
        record(
            [
                *(call(organization=slug, latency_ms=50 * n, ttft_ms=5 * n, rate_limit=limit, user="ann",
                       usage=usage(100, 20, cached_tokens=40, reasoning_tokens=5, queue_ms=1.5)) for n in range(30)),
                call("unpriced", organization=slug, latency_ms=700),
                call("whisper", organization=slug, operation="transcription"),
                call(organization=slug, operation="embedding", usage=usage(10, 0)),
                call(organization=slug, feature="playground"),
                call(organization=slug, feature="experiment", metadata={"experiment": "b"}),
                failed(organization=slug, model_requested=MODEL),
                timed_out(organization=slug, model_requested=MODEL),
            ]
        )  # fmt: skip
    fold_now()


# Who may read it


@pytest.fixture
def token(settings: Any) -> str:
    settings.METRICS_TOKEN = TOKEN
    return TOKEN


@pytest.mark.parametrize(
    "sent",
    ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", TOKEN, "Bearer Ω"],
)
def test_a_wrong_token_is_refused_from_everywhere(token: str, sent: str) -> None:
    response = local().get("/metrics", headers={"Authorization": sent})
    assert (response.status_code, response["WWW-Authenticate"]) == (401, "Bearer")
    assert token not in response.content.decode()
    assert b"llm_" not in response.content


def test_the_token_opens_from_everywhere_by_any_host(token: str, client: Client) -> None:
    for host in ("web:8000", "10.1.2.3", "testserver"):
        sent = {"Authorization": f"Bearer {token}", "Host": host, "X-Forwarded-For": "1.2.3.4"}
        assert client.get("/metrics", headers=sent).status_code == 200


def test_no_session_and_no_key_opens_it(token: str, super_admin: User) -> None:
    assert signed_in(super_admin).get("/metrics").status_code == 401


@pytest.mark.parametrize(
    ("address", "headers", "status"),
    [
        ("127.0.0.1", {"Host": "127.0.0.1:8000"}, 200),
        ("127.0.0.1", {"Host": "localhost"}, 200),
        ("127.9.9.9", {"Host": "LOCALHOST:1"}, 200),
        ("::1", {"Host": "[::1]:8000"}, 200),
        ("::1", {"Host": "[::1]"}, 200),
        ("10.0.0.5", {"Host": "127.0.0.1:8000"}, 403),
        ("", {"Host": "127.0.0.1:8000"}, 403),
        ("127.0.0.1", {"Host": "usage.example.com"}, 403),
        ("127.0.0.1", {"Host": "evil.example:8000"}, 403),
        ("127.0.0.1", {"Host": "localhost.evil.example"}, 403),
        ("127.0.0.1", {"Host": ""}, 403),
        *(
            ("127.0.0.1", {"Host": "127.0.0.1:8000", header: "127.0.0.1"}, 403)
            for header in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "Via", "X-Forwarded-Proto", "X-Forwarded-Host")
        ),
    ],
)
@pytest.mark.parametrize("proxies", [0, 1])
def test_without_a_token_only_this_machine_reads(
    settings: Any, address: str, headers: dict[str, str], status: int, proxies: int
) -> None:
    settings.PROXY_COUNT = proxies
    response = Client(REMOTE_ADDR=address).get("/metrics", headers=headers)
    assert response.status_code == status
    assert (b"METRICS_TOKEN" in response.content) == (status == 403)


def test_only_get_and_head(token: str) -> None:
    assert local().post("/metrics").status_code == 405


@pytest.mark.parametrize("value", ["short", "has blanks in the middle of it", "ü" * 30])
def test_a_token_that_is_easily_guessed_or_cannot_be_sent_is_refused(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("METRICS_TOKEN", value)
    with pytest.raises(ImproperlyConfigured, match="METRICS_TOKEN must have at least 20") as error:
        _metrics_token()
    assert value not in str(error.value)


# What it says


def test_it_says_what_the_page_says(ledger: None) -> None:
    samples = scraped()
    report = Report(Viewer.of_operator(), Selection(NOON.date() - timedelta(days=2), NOON.date() + timedelta(days=2)))
    totals = report.totals()
    assert total(samples, "llm_requests_total") == totals.requests == 74
    assert total(samples, "llm_requests_total", status="timeout") == totals.timeouts == 2
    assert total(samples, "llm_requests_total", operation="transcription", model="whisper", provider="groq") == 2
    assert total(samples, "llm_tokens_input_total") == totals.input_tokens
    assert total(samples, "llm_tokens_output_total") == totals.output_tokens
    assert total(samples, "llm_tokens_cached_total") == totals.cached_tokens
    assert total(samples, "llm_tokens_reasoning_total") == totals.reasoning_tokens
    assert total(samples, "llm_cost_usd_total") == pytest.approx(float(totals.cost_usd or 0))
    assert total(samples, "llm_unpriced_requests") == totals.unpriced == 4
    assert total(samples, "llm_request_duration_ms_count") == totals.requests
    assert total(samples, "llm_request_duration_ms_bucket", le="+Inf") == totals.requests
    assert total(samples, "llm_request_duration_ms_bucket", le="200", model=MODEL, operation="chat") == 10
    assert total(samples, "llm_request_duration_ms_sum") == totals.latency_ms_sum
    assert total(samples, "llm_time_to_first_token_ms_count") == totals.ttft_count == 60
    assert total(samples, "llm_queue_time_ms_sum") == 90
    assert total(samples, "llm_rate_limit_remaining_requests", model=MODEL) == 60
    assert total(samples, "llm_rate_limit_tokens", model=MODEL) == 9_000
    assert total(samples, "playground_requests_total", organization="acme") == 1
    assert total(samples, "experiment_runs_total", organization="globex", experiment="b") == 1
    assert total(samples, "llm_recorder_database_up") == 1
    assert total(samples, "llm_recorder_tail_events") == 0


def test_nothing_is_unpriced_once_all_is_priced(acme: Organization) -> None:
    """A model has no name of its own before it has answered, so its calls until then are those of another."""
    record([call("late/m", organization="acme", status="error", error_code="cancelled")])
    fold_now()
    record([call("late/m", organization="acme")])
    fold_now()
    assert total(scraped(), "llm_unpriced_requests") == 2
    price_events(BackfillRequest(make_price("late/m")), acme, by=None)
    unpriced = [value for (name, _), value in scraped().items() if name == "llm_unpriced_requests"]
    assert unpriced == [0, 0]


def test_it_tells_of_the_recorder_and_the_processes(ledger: None) -> None:
    samples = scraped()
    names = {name for name, _ in samples}
    assert {
        "llm_recorder_journal_bytes", "llm_recorder_journals_waiting", "llm_recorder_journal_age_seconds",
        "llm_recorder_dead_letters", "llm_recorder_conflicts", "llm_recorder_replayed_calls_total",
        "llm_recorder_tail_age_seconds", "llm_recorder_last_fold_timestamp_seconds",
    } <= names  # fmt: skip
    assert ("llm_recorder_health", (("check", "database"),)) in samples
    assert total(samples, "process_resident_memory_bytes") > 10_000_000
    assert total(samples, "process_cpu_seconds_total") > 0


def test_no_label_tells_a_person_or_a_request(ledger: None) -> None:
    for _, labels in scraped():
        for label, value in labels:
            assert not label.startswith(NEEDLESS), label
            assert "ann" not in value.split("-"), value


def test_opentelemetrys_names(ledger: None, settings: Any) -> None:
    ours = scraped()
    settings.METRICS_NAMES = "opentelemetry"
    theirs = scraped()
    name = "gen_ai_client_operation_duration_seconds"
    assert total(theirs, f"{name}_count") == total(ours, "llm_requests_total")
    assert total(theirs, f"{name}_count", error_type="timeout") == 2
    assert total(theirs, f"{name}_count", error_type="_OTHER") == 2
    assert total(theirs, f"{name}_count", gen_ai_operation_name="embeddings") == 2
    chats = {"gen_ai_request_model": MODEL, "gen_ai_operation_name": "chat", "error_type": ""}
    assert total(theirs, f"{name}_bucket", le="0.2", **chats) == 10
    assert total(theirs, "gen_ai_client_token_usage_sum", gen_ai_token_type="input") == total(
        ours, "llm_tokens_input_total"
    )
    assert total(theirs, "gen_ai_server_time_to_first_token_seconds_count", gen_ai_provider_name="groq") == 60
    assert total(theirs, "llm_cost_usd_total") == total(ours, "llm_cost_usd_total")
    assert not [name for name, _ in theirs if re.match("llm_(requests|tokens_(in|out)put|request_duration)", name)]


def test_without_a_database_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(viewer: Viewer) -> Iterator[None]:
        raise OperationalError("the database is away")

    monkeypatch.setattr(view, "counts", away)
    samples = scraped()
    assert total(samples, "llm_recorder_database_up") == 0
    assert ("llm_recorder_journal_bytes", ()) in samples
    assert not [name for name, _ in samples if name.startswith("llm_requests")]
