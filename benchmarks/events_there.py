"""Whether what a benchmark sent is in the ledger."""

import time


def events() -> int:
    from ledger.models import UsageEvent

    return UsageEvent.objects.count()


def wait_for_events(number: float) -> None:
    """Wait until the ledger has this many events, and no more."""
    while (there := events()) < number:
        time.sleep(0.02)
    assert there == number, f"{there:,} events of {number:,} calls"
