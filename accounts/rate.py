"""A limit on how often one person may ask for something, in this process."""

import threading
import time
from collections import Counter


class Rate:
    """At most ``most`` times in ``seconds`` for each person. A period begins anew when the last one is over, for
    everybody at once."""

    def __init__(self, most: int, seconds: int = 60) -> None:
        self._most = most
        self._seconds = seconds
        self._period = 0
        self._counted: Counter[int] = Counter()
        self._lock = threading.Lock()

    def allows(self, person: int) -> bool:
        """Count one time more for the person with this id; False if that is too often."""
        period = int(time.monotonic()) // self._seconds
        with self._lock:
            if period != self._period:
                self._period = period
                self._counted.clear()
            self._counted[person] += 1
            return self._counted[person] <= self._most
