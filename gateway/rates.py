"""How much a key may use in a minute: requests and tokens, as all processes of a machine count them together."""

import math
import time
from functools import cache

from django.conf import settings

from accounts.keyring import KeyEntry
from gateway.windows import SharedWindows, Window

CALLS, TOLD = 0, 1
"""What is counted: the calls through the gateway, and the events that are told afterwards, each for itself. So what a
program tells of yesterday holds up none of its calls."""
KINDS = 2


class OverRateError(Exception):
    """The key has used what it may use in a minute. There is room again after ``seconds``."""

    def __init__(self, what: str, seconds: int) -> None:
        super().__init__(f"This key may use {what} a minute. Please try again in {seconds}s.")
        self.seconds = seconds


class Rates:
    """What each key has used within the last minute of one kind. Any thread may ask."""

    def __init__(self, windows: SharedWindows, kind: int) -> None:
        self._windows = windows
        self._kind = kind

    def let_in(self, key: KeyEntry) -> None:
        """Count one more request. OverRateError, and nothing is counted, if the last minute has no room for it.

        The tokens of a request are not known before it has ended. So it is let in while there is room for any, and the
        next one waits until they have become few enough.
        """
        if key.requests_per_minute is None and key.tokens_per_minute is None:
            return
        now = time.monotonic()
        if (limit := key.tokens_per_minute) is not None:
            with self._windows.of(self._tokens_of(key), now) as window:
                _check(window, limit, now, f"{limit:,} tokens")
        if (limit := key.requests_per_minute) is not None:
            with self._windows.of(self._requests_of(key), now) as window:
                _check(window, limit, now, f"{limit:,} requests")
                window.add(1, now)

    def spend(self, key: KeyEntry, tokens: int) -> None:
        """Count the tokens of a request that has ended."""
        if key.tokens_per_minute is not None and tokens:
            now = time.monotonic()
            with self._windows.of(self._tokens_of(key), now) as window:
                window.add(tokens, now)

    def _requests_of(self, key: KeyEntry) -> int:
        return 2 * (KINDS * key.id + self._kind)

    def _tokens_of(self, key: KeyEntry) -> int:
        return self._requests_of(key) + 1


@cache
def shared_windows() -> SharedWindows:
    """The windows of this machine. A process opens their file once, since closing it would end the locks on it."""
    return SharedWindows(settings.JOURNAL_DIR / "gateway.limits")


def _check(window: Window, limit: int, now: float, what: str) -> None:
    seconds = window.wait(limit, now)
    if seconds > 0:
        raise OverRateError(what, max(1, math.ceil(seconds)))
