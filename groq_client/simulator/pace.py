"""Time: how long things take, and really taking that long."""

import asyncio
import math
from dataclasses import dataclass

from groq_client.simulator.catalogue import ModelSpec


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the simulator's clock runs: 2 halves every time, ``inf`` never sleeps.

    With a finite speed the times that are reported are the times that were slept. With ``inf`` they are those of
    speed 1, because zeros would be of no use to a reader.
    """

    speed: float = 1.0

    def scaled(self, timing: "Timing") -> "Timing":
        """The timing as it passes at this speed."""
        return Timing(*map(self.scaled_seconds, (timing.queue, timing.prompt, timing.completion)))

    def scaled_seconds(self, seconds: float) -> float:
        """A time as it passes at this speed."""
        return seconds if math.isinf(self.speed) else seconds / self.speed

    async def sleep(self, seconds: float) -> None:
        """Sleep for a time that is scaled already."""
        if seconds > 0 and not math.isinf(self.speed):
            await asyncio.sleep(seconds)

    @property
    def sleeps(self) -> bool:
        """Whether answers take any time at all."""
        return not math.isinf(self.speed)


@dataclass(frozen=True, slots=True)
class Timing:
    """The seconds of a call: waiting, reading the prompt, writing the answer."""

    queue: float
    prompt: float
    completion: float

    @property
    def total(self) -> float:
        """Groq's total_time: without the queue."""
        return self.prompt + self.completion

    @property
    def until_first_token(self) -> float:
        """From the arrival to the first byte of the answer."""
        return self.queue + self.prompt


def timing_for(spec: ModelSpec, prompt_tokens: int, completion_tokens: int, cached_tokens: int, queue: float) -> Timing:
    """The time that a model takes for so many tokens; cached ones are read ten times as fast."""
    reading = prompt_tokens - cached_tokens * 0.9
    return Timing(
        queue=queue,
        prompt=0.003 + reading / spec.prompt_speed,
        completion=max(completion_tokens, 1) / spec.completion_speed,
    )
