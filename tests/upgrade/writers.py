"""Processes of the present release that record: ``python -m tests.upgrade.writers``, until the input is closed.

Prints "ready" when the first call is recorded, and in the end as JSON how many were, the longest time that one took in
seconds, and what failed.
"""

import json
import sys
import threading
import time
from typing import Any

THREADS = 2
PAUSE_SECONDS = 0.005


def main() -> None:
    import django

    django.setup()
    from ledger.recording.record import record
    from tests.ledger.calls import call

    is_over, took, failed = threading.Event(), [], []  # type: tuple[threading.Event, list[float], list[str]]

    def write() -> None:
        while not is_over.is_set():
            begin = time.perf_counter()
            try:
                record([call(organization="default", user="ann", session_id="one")])
            except Exception as error:
                failed.append(repr(error))
            took.append(time.perf_counter() - begin)
            time.sleep(PAUSE_SECONDS)

    threads = [threading.Thread(target=write) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    while len(took) < THREADS:
        time.sleep(0.01)
    say("ready")
    sys.stdin.read()
    is_over.set()
    for thread in threads:
        thread.join()
    say(json.dumps({"recorded": len(took) - len(failed), "longest": max(took), "failed": failed}))


def say(what: Any) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
