"""A process that goes on making calls while its database fails: ``python -m tests.persistent BASE_URL FILE``.

The process prints "ready", makes calls until its input is closed, and flushes the recorder. Then it prints as JSON how
long the recorder delayed its callers, and what the ledger contains.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from tests.doomed import Children

FLUSH_SECONDS = 40


def main() -> None:
    import django

    django.setup()
    from django.db import connection

    import groq_client
    from accounts.models import Organization
    from ledger.journal.recorder import LedgerRecorder
    from ledger.journal.replay import replay_journals
    from ledger.models import Tail, UsageEvent
    from ledger.upkeep.reconciliation import reconcile
    from tests.ledger.exact import wrong_sums

    Organization.objects.get_or_create(slug="acme", defaults={"name": "Acme"})
    held: list[float] = []
    for name in ("start", "finish"):
        setattr(LedgerRecorder, name, _timed(getattr(LedgerRecorder, name), held))
    children = Children(*sys.argv[1:])
    children.begin()
    print("ready", flush=True)  # noqa: T201
    sys.stdin.read()
    children.end()
    is_drained = groq_client.flush(FLUSH_SECONDS)
    connection.close()  # Django's connection, which may have been lost
    replayed = replay_journals()
    deadline = time.monotonic() + FLUSH_SECONDS
    while Tail.objects.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    held.sort()
    told = {
        "is_drained": is_drained,
        "waiting": replayed.waiting,
        "refused": os.path.exists(os.path.join(os.environ["JOURNAL_DIR"], "dead_letters.jsonl")),
        "events": list(UsageEvent.objects.values_list("request_id", "status")),
        "tail": Tail.objects.count(),
        "wrong_sums": len(wrong_sums()),
        "drifted": reconcile(repair=False).drifted,
        "p99_ms": 1000 * held[len(held) * 99 // 100],
        "longest_ms": 1000 * held[-1],
    }
    print(json.dumps(told), flush=True)  # noqa: T201


def _timed(function: Callable[..., Any], held: list[float]) -> Callable[..., Any]:
    def timed(*arguments: Any) -> Any:
        begin = time.perf_counter()
        try:
            return function(*arguments)
        finally:
            held.append(time.perf_counter() - begin)

    return timed


if __name__ == "__main__":
    main()
