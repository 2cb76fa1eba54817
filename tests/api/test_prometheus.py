"""A real Prometheus scrapes the real server: its figures are those of the page, and every query of every dashboard and
every rule of ``deploy/`` finds something in it."""

import json
import math
import re
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.test import Client
from django.utils import timezone

from accounts.models import Organization
from accounts.viewer import Viewer
from analytics.reports import Report
from analytics.reports.selection import Selection
from groq_client.call import Call, RateLimit
from groq_client.metadata import clean_metadata
from ledger.recording.record import record
from tests.api.prometheus import DEPLOY, NEEDED, Prometheus, prometheus, promtool
from tests.ledger.calls import MODEL, call, failed, timed_out, usage
from tests.ledger.folding import fold_now
from tests.pricing.prices import make_price
from tests.running_demo import wait_until
from tests.served import served

pytestmark = [NEEDED, pytest.mark.django_db(transaction=True)]

TOKEN = "metrics-token-of-the-tests"
BOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
VARIABLES = {
    "$__rate_interval": "1m", "$__range": "1h", "$provider": ".*", "$model": ".*", "$organization": ".*",
    "$experiment": ".*", "$instance": ".*",
}  # fmt: skip
ABBREVIATED = "metric names should not contain abbreviated units"
IN_MS = {"llm_request_duration_ms", "llm_time_to_first_token_ms", "llm_queue_time_ms"}
"""Names that end as the first of them has to, though promtool would have seconds."""
SECONDS = 60


def more_calls() -> list[Call]:
    now = timezone.now()
    limit = RateLimit(limit_requests=100, remaining_requests=5, limit_tokens=9_000, remaining_tokens=100)
    common: dict[str, Any] = {"organization": "acme", "at": now}
    return [
        call(**common, rate_limit=limit, ttft_ms=80,
             usage=usage(200, 50, cached_tokens=20, reasoning_tokens=9, queue_ms=3.0)),
        call("unpriced", **common),
        call(**common, feature="playground"),
        call(**common, feature="experiment", metadata=clean_metadata({"experiment": "b"})),
        failed(**common, model_requested=MODEL),
        timed_out(**common, model_requested=MODEL),
    ]  # fmt: skip


def expressions() -> Iterator[tuple[str, str]]:
    """The name and the expression of each query of the dashboards, and of each rule. Of an alert it is what is
    compared, since an alert should find nothing."""
    for path in BOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                yield f"{path.stem}: {panel['title']}", target["expr"]
    for group in yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text())["groups"]:
        for rule in group["rules"]:
            compared = re.sub(r" ([<>]) ", r" \1 bool ", rule["expr"]) if "alert" in rule else rule["expr"]
            yield rule.get("alert") or rule["record"], compared


def filled(expression: str) -> str:
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, expression
    return expression


def finds(found: Prometheus, expression: str) -> bool:
    return any(math.isfinite(value) for value in found.values(filled(expression)))


def test_prometheus_agrees_with_the_page_and_every_query_finds_something(acme: Organization, tmp_path: Path) -> None:
    make_price(MODEL)
    record(more_calls())
    with (
        served(METRICS_TOKEN=TOKEN, JOURNAL_DIR=str(tmp_path / "journal")) as url,
        prometheus(url.removeprefix("http://"), TOKEN, tmp_path) as found,
    ):
        fold_now()
        wait_until(lambda: found.values("sum(llm_requests_total)") == [6], SECONDS)
        queries, until = dict.fromkeys(expressions()), time.monotonic() + SECONDS
        left = list(queries)
        assert len(left) > 80
        while left and time.monotonic() < until:
            record(more_calls())
            fold_now()
            left = [(name, expression) for name, expression in left if not finds(found, expression)]
        assert left == []
        agrees_with_the_page(found)
        only_what_is_wanted_went_wrong(found)


def agrees_with_the_page(found: Prometheus) -> None:
    today = timezone.now().date()
    days = Selection(today - timedelta(days=2), today + timedelta(days=2))
    totals = Report(Viewer.of_operator(), days).totals()
    wait_until(lambda: found.values("sum(llm_requests_total)") == [totals.requests], SECONDS)
    assert found.values("sum(llm_cost_usd_total)") == [pytest.approx(float(totals.cost_usd or 0))]
    for name, shown in {
        'llm_requests_total{status!="success"}': totals.errors,
        'llm_requests_total{status="timeout"}': totals.timeouts,
        "llm_tokens_input_total": totals.input_tokens,
        "llm_tokens_output_total": totals.output_tokens,
        "llm_tokens_cached_total": totals.cached_tokens,
        "llm_unpriced_requests": totals.unpriced,
        "llm_request_duration_ms_sum": totals.latency_ms_sum,
        "llm_time_to_first_token_ms_count": totals.ttft_count,
    }.items():
        assert found.values(f"sum({name})") == [shown], name


def only_what_is_wanted_went_wrong(found: Prometheus) -> None:
    """No counter went back, though two processes answered, and every rule could be evaluated."""
    counters = [name for name in found.ask("label/__name__/values") if name.endswith(("_total", "_bucket", "_count"))]
    assert len(counters) > 15
    reset = {name for name in counters if any(found.values(f"resets({name}[1h])"))}
    assert reset == set()
    assert found.values('count(count by (pid) (process_cpu_seconds_total{job="groq-usage"}))') == [3]
    assert [rule for rule in rules_of(found) if rule["health"] != "ok"] == []
    wanted = {"ManyErrors", "RateLimitNear", "TokenLimitNear", "UnpricedCalls"}
    wait_until(lambda: wanted <= alerts_of(found), SECONDS)
    assert not alerts_of(found) & {"LedgerDown", "LedgerDatabaseAway", "LedgerSumsLag", "LedgerRefusedCalls"}


def rules_of(found: Prometheus) -> list[dict[str, Any]]:
    return [rule for group in found.ask("rules")["groups"] for rule in group["rules"]]


def alerts_of(found: Prometheus) -> set[str]:
    """The names of the alerts whose condition holds."""
    return {rule["name"] for rule in rules_of(found) if rule.get("state") in ("firing", "pending")}


@pytest.mark.parametrize("names", ["llm", "opentelemetry"])
def test_promtool_finds_nothing_wrong_with_the_metrics(acme: Organization, settings: Any, names: str) -> None:
    settings.METRICS_NAMES = names
    record(more_calls())
    fold_now()
    told = Client(headers={"Host": "localhost"}).get("/metrics").content
    checked = promtool("check", "metrics", told=told)
    complaints = dict(line.split(" ", 1) for line in checked.stderr.decode().splitlines())
    in_ms = IN_MS if names == "llm" else {"llm_queue_time_ms"}
    assert complaints == dict.fromkeys(in_ms, ABBREVIATED)


def test_promtool_finds_nothing_wrong_with_the_rules_and_the_configuration(tmp_path: Path) -> None:
    rules = promtool("check", "rules", str(DEPLOY / "prometheus" / "rules.yml"))
    assert (rules.returncode, rules.stderr) == (0, b"")
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "rules.yml").write_bytes((DEPLOY / "prometheus" / "rules.yml").read_bytes())
    config = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
    (tmp_path / "prometheus.yml").write_text(config.replace("/run/secrets/metrics_token", str(tmp_path / "token")))
    checked = promtool("check", "config", str(tmp_path / "prometheus.yml"))
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_whole(path: Path) -> None:
    board = json.loads(path.read_text())
    assert board["uid"] == f"groq-usage-{path.stem}"
    datasource = yaml.safe_load((DEPLOY / "grafana" / "provisioning" / "datasources" / "prometheus.yml").read_text())
    uid = datasource["datasources"][0]["uid"]
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    assert {target["datasource"]["uid"] for panel in board["panels"] for target in panel["targets"]} == {uid}
    declared = {f"${variable['name']}" for variable in board["templating"]["list"]}
    used = set(re.findall(r"\$(?!__)\w+", json.dumps([panel["targets"] for panel in board["panels"]])))
    assert used == declared
    places = [tuple(panel["gridPos"].values()) for panel in board["panels"]]
    assert all(x + width <= 24 for x, _, width, _ in places)
    covered = [(x + i, y + j) for x, y, width, height in places for i in range(width) for j in range(height)]
    assert len(set(covered)) == len(covered)
