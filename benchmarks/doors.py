"""The processor time of the doors of two checkouts in turns, so that a machine that is now fast, now slow, is the same
for both: a request through the gateway, and an event that is sent to ``POST /api/v1/events``.

``python -m benchmarks.doors OLD NEW [ROUNDS]``: two directories, each with a checkout that has a ``.venv``. Each gets a
small ledger of its own under ``var/writers``. Prints microseconds of processor time of the server's workers for a
request or an event, and of the workers with their backends of PostgreSQL; then the rates, which other work on the
machine changes (Linux).
"""

import sys
from pathlib import Path

from benchmarks.turns import medians

SECONDS = 2
"""Seconds of load in a turn, for each kind of request."""

# Runs in each checkout, with its own code: it must work with the older one too.
TURN = """
import json, os, subprocess, sys, time
sys.path.insert(0, ".")
os.environ["VAR_DIR"] = os.path.abspath("var/writers")
os.environ.setdefault("ALLOWED_HOSTS", "127.0.0.1")
from benchmarks.setup import prepare
prepare()
from http.client import HTTPConnection
from itertools import count
import psutil
from benchmarks import generate, ingestion
try:
    from benchmarks.gateways import PATH, ours, upstream
except ImportError:  # before the other gateways came
    from benchmarks.gateway import PATH, ours, upstream
from accounts.api_keys import digest_of, new_secret
from accounts.models import ApiKey, Organization
from django.db import connection

generate.people_and_prices()
organization = Organization.objects.filter(slug__startswith="org-").order_by("pk").first()
secret = new_secret()
ApiKey.objects.create(organization=organization, name=secret[-6:], digest=digest_of(secret), may_ingest=True)
seeds = count(time.time_ns() % 10**6)

def workers():
    server = [p for p in psutil.Process().children(recursive=True) if "gunicorn" in p.cmdline()]
    return sum(sum(process.cpu_times()[:2]) for process in server)

def backends():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'usage-recorder'")
        return sum(sum(psutil.Process(pid).cpu_times()[:2]) for (pid,) in cursor)

def measured(name, work, took):
    before = workers(), backends()
    began = time.perf_counter()
    number = work()
    seconds = time.perf_counter() - began
    spent = workers() - before[0], backends() - before[1]
    took[name + ": workers, us"] = [spent[0] / number * 1e6]
    took[name + ": with PostgreSQL, us"] = [sum(spent) / number * 1e6]
    took[name + ": ms a thousand"] = [seconds / number * 1e6]

def events():
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM ledger_usageevent")
        return cursor.fetchone()[0]

def load(port, key, callers, seconds, stream):
    there = events()
    headers = json.dumps({"Authorization": f"Bearer {key}"})
    arguments = [str(port), PATH, headers, str(callers), str(seconds)] + ["stream"] * stream
    path = os.path.dirname(os.path.dirname(sys.argv[1]))
    environment = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, sys.argv[1], *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
    number = json.loads(done.stdout)["answers"]
    while events() < there + number:
        time.sleep(0.02)
    return number

def send(port, bodies):
    link = HTTPConnection("127.0.0.1", port)
    for body in bodies:
        headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
        link.request("POST", "/api/v1/events", body, headers)
        answer = link.getresponse()
        assert json.loads(answer.read())["recorded"] == 1000, answer.status
    return 1000 * len(bodies)

def bodies():
    made = ingestion.batches(organization.slug, next(seeds))[:12]
    return [json.dumps([ingestion.line_of(call) for call in batch]).encode() for batch in made]

with upstream() as groq, ours(groq) as server:
    port, key = server if isinstance(server, tuple) else (server.port, server.key)
    load(port, key, 16, 1, False)
    print("ready", flush=True)
    for line in sys.stdin:
        took = {}
        for callers, stream in ((1, False), (16, False), (16, True)):
            kind = "stream" if stream else "answer"
            measured(f"{kind}, {callers} callers", lambda: load(port, key, callers, float(line), stream), took)
        made = bodies()
        measured("event, batches of 1,000", lambda: send(port, made), took)
        print(json.dumps(took), flush=True)
"""


def main() -> None:
    old, new, *rounds = sys.argv[1:]
    callers = Path(__file__).resolve().with_name("http_load.py")  # the same for both
    measured = medians(Path(old), Path(new), TURN, SECONDS, int(rounds[0]) if rounds else 5, str(callers))
    for name, (before, after) in measured.items():
        print(f"{name:<46}{before:>8.0f} → {after:>6.0f}   {after / before:.2f} ×")


if __name__ == "__main__":
    main()
