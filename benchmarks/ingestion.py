"""Measures ingestion over HTTP: batches of 1,000 events to a server of two workers, beside bulk recording of the same
batches by two processes without HTTP."""

import gzip
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.client import HTTPConnection
from typing import Any

from django.db import connections

from accounts import api_keys
from accounts.models import ApiKey, Organization, User
from benchmarks.recording import calls
from benchmarks.setup import report
from gateway.ingestion.items import MAX_EVENTS
from groq_client.call import Call, new_request_id
from ledger.recording.record import record

BATCHES, WARM = 40, 6
WORKERS = SENDERS = 2
PORT = 8765
GOAL = 8_000


def _ids() -> dict[str, str]:
    """Ids that no other call has. Calls with one id of the provider would be one call."""
    return {"request_id": (request_id := new_request_id()), "provider_request_id": f"req_{request_id}"}


def line_of(call: Call) -> dict[str, Any]:
    """The call as a program would send it."""
    who, usage = call.attribution, call.usage
    return {
        **_ids(),
        "timestamp": call.started_at.isoformat(),
        "model": call.model,
        "project": who.project,
        "user": who.user,
        "expert_id": who.expert_id,
        "template_id": who.template_id,
        "feature": who.feature,
        "session_id": who.session_id,
        "http_status": 200,
        "stream": True,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_tokens": usage.cached_tokens,
        "latency_ms": call.latency_ms,
        "ttft_ms": call.ttft_ms,
        "cost_usd": 0.000094,
    }


def batches(slug: str, seed: int) -> list[list[Call]]:
    """Batches of calls of one organization, as a sender with one key has them."""
    made = calls(BATCHES * MAX_EVENTS, seed)
    for call in made:
        call.attribution = replace(call.attribution, organization=slug)
    return [made[at : at + MAX_EVENTS] for at in range(0, len(made), MAX_EVENTS)]


def _record(share: list[list[Call]]) -> None:
    for batch in share:
        record(batch)


def _send(secret: str, encoding: str, bodies: list[bytes]) -> None:
    link = HTTPConnection("127.0.0.1", PORT)
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
    if encoding == "gzip":
        headers["Content-Encoding"] = encoding
    for body in bodies:
        link.request("POST", "/api/v1/events", body, headers)
        answer = link.getresponse()
        told = json.loads(answer.read())
        assert (answer.status, told["recorded"]) == (200, MAX_EVENTS), told


@contextmanager
def server() -> Iterator[None]:
    command = [sys.executable, "-m", "gunicorn", "usage_dashboard.asgi:application", "--worker-class", "asgi"]
    command += ["--workers", str(WORKERS), "--bind", f"127.0.0.1:{PORT}", "--no-control-socket"]
    process = subprocess.Popen(command, env={**os.environ, "ALLOWED_HOSTS": "127.0.0.1"})
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                HTTPConnection("127.0.0.1", PORT).connect()
                break
            except OSError:
                time.sleep(0.2)
        yield
    finally:
        process.terminate()
        process.wait(20)


def per_second(work: Callable[[Any], None], shares: list[Any]) -> float:
    """Events per second of a process for each share. Processes are started before the clock is."""
    connections.close_all()
    with ProcessPoolExecutor(len(shares), multiprocessing.get_context("fork")) as pool:
        list(pool.map(time.sleep, [0.2] * len(shares)))
        start = time.perf_counter()
        list(pool.map(work, shares))
        return BATCHES * MAX_EVENTS / (time.perf_counter() - start)


def parted(items: list[Any]) -> list[list[Any]]:
    return [items[n::SENDERS] for n in range(SENDERS)]


def run() -> None:
    organization = Organization.objects.order_by("pk").filter(slug__startswith="org-").first()
    assert organization is not None
    by = User.objects.get_or_create(username="benchmark")[0]
    secret = api_keys.create(
        ApiKey(organization=organization, name=f"benchmark {new_request_id()}", may_ingest=True), by=by
    )
    _record(batches(organization.slug, 1)[:WARM])
    bulk = per_second(_record, parted(batches(organization.slug, 2)))
    made = [json.dumps([line_of(call) for call in batch]).encode() for batch in batches(organization.slug, 3)]
    report("Bulk recording of batches of 1,000, two processes", f"{bulk:,.0f}/s")
    for name, bodies in (("plain", made), ("gzip", [gzip.compress(again(body), 1) for body in made])):
        with server():
            over_http = per_second(partial(_send, secret, name), parted(bodies))
        report(f"Ingestion over HTTP, batches of 1,000, {name}", f"{over_http:,.0f}/s", f"goal ≥ {GOAL:,}/s")
        report("The same as a share of bulk recording", f"{over_http / bulk:.0%}", "or goal ≥ 85 %")


def again(body: bytes) -> bytes:
    """The same events under other request ids."""
    return json.dumps([event | _ids() for event in json.loads(body)]).encode()
