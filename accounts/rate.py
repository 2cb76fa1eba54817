"""A limit on how often somebody may ask for something, in this process."""

import threading
import time
from collections import Counter
from collections.abc import Hashable


class Rate:
    """At most ``most`` times in ``seconds`` for each person or key. A period begins anew when the last one is over, for
    everybody at once."""

    def __init__(self, most: int, seconds: int = 60) -> None:
        self.most = most
        self._seconds = seconds
        self._period = 0
        self._counted: Counter[Hashable] = Counter()
        self._lock = threading.Lock()

    def allows(self, who: Hashable) -> bool:
        """Count one time more for somebody; False if that is too often."""
        return self.left(who) >= 0

    def left(self, who: Hashable) -> int:
        """Count one time more for somebody, and return how many are left in this period; negative if that was too
        often."""
        period = int(time.monotonic()) // self._seconds
        with self._lock:
            if period != self._period:
                self._period = period
                self._counted.clear()
            self._counted[who] += 1
            return self.most - self._counted[who]

    def seconds_left(self) -> int:
        """The whole seconds until the next period begins, at least one."""
        return self._seconds - int(time.monotonic()) % self._seconds
