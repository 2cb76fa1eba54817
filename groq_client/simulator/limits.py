"""The rate-limit headers: requests are counted per day, tokens per minute, and both refill over time.

The headers tell the limits, but no request is refused for them. Ask for ``sim/error-429`` to get that error.
"""

import time
from dataclasses import dataclass, field

from groq_client.simulator.catalogue import ModelSpec

_DAY = 86_400
_MINUTE = 60
_KEPT = 1000
"""At most this many models are remembered, so that invented names cannot fill the memory."""


def go_duration(seconds: float) -> str:
    """A time as Groq writes it: ``120ms``, ``6s``, ``1.57s``, ``1m26.4s``, ``2h0m3s``."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    minutes, rest = divmod(round(seconds, 3), 60)
    hours, minutes = divmod(int(minutes), 60)
    text = f"{rest:.3f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


@dataclass(slots=True)
class Allowance:
    """A limit of requests or tokens per period, which refills evenly."""

    limit: int
    period: float
    used: float = 0
    since: float = field(default_factory=time.monotonic)

    def take(self, amount: int) -> None:
        """Use ``amount``, down to nothing but never below."""
        now = time.monotonic()
        refilled = (now - self.since) * self.limit / self.period
        self.used = min(max(self.used - refilled, 0) + amount, self.limit)
        self.since = now

    def headers(self, unit: str) -> dict[str, str]:
        """The headers with the limit, the rest of it, and the time until it is full again."""
        return {
            f"x-ratelimit-limit-{unit}": str(self.limit),
            f"x-ratelimit-remaining-{unit}": str(int(self.limit - self.used)),
            f"x-ratelimit-reset-{unit}": go_duration(self.used * self.period / self.limit),
        }


class RateLimits:
    """The allowances of every model."""

    def __init__(self) -> None:
        self._requests: dict[str, Allowance] = {}
        self._tokens: dict[str, Allowance] = {}

    def count(self, spec: ModelSpec, tokens: int) -> dict[str, str]:
        """Count a request of ``tokens`` tokens and return the six headers."""
        if len(self._requests) >= _KEPT and spec.id not in self._requests:
            self._requests.clear()
            self._tokens.clear()
        requests = self._requests.setdefault(spec.id, Allowance(spec.requests_per_day, _DAY))
        minute = self._tokens.setdefault(spec.id, Allowance(spec.tokens_per_minute, _MINUTE))
        requests.take(1)
        minute.take(tokens)
        return {**requests.headers("requests"), **minute.headers("tokens")}
