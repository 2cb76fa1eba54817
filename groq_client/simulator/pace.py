"""The duration of a simulated call, and the sleeping for that time."""

import asyncio
import math
from dataclasses import dataclass

from groq_client.simulator.catalogue import ModelSpec


@dataclass(frozen=True, slots=True)
class Pace:
    """The speed of the simulator's clock: 2 halves every time, ``inf`` never sleeps.

    With a finite speed the reported times are the times slept. With ``inf`` the times of speed 1 are reported, because
    zeros would be useless.
    """

    speed: float = 1.0

    def scaled(self, timing: "Timing") -> "Timing":
        """``timing`` at this speed."""
        return Timing(*map(self.scaled_seconds, (timing.queue, timing.prompt, timing.completion)))

    def scaled_seconds(self, seconds: float) -> float:
        """``seconds`` at this speed."""
        return seconds if math.isinf(self.speed) else seconds / self.speed

    async def sleep(self, seconds: float) -> None:
        """Sleep for ``seconds``, which are scaled already."""
        if seconds > 0 and not math.isinf(self.speed):
            await asyncio.sleep(seconds)

    @property
    def sleeps(self) -> bool:
        """Whether answers take any time at all."""
        return not math.isinf(self.speed)


@dataclass(frozen=True, slots=True)
class Timing:
    """The seconds that a call spends in the queue, on reading the prompt and on writing the answer."""

    queue: float
    prompt: float
    completion: float

    @property
    def total(self) -> float:
        """Groq's ``total_time`` in seconds, which excludes the queue."""
        return self.prompt + self.completion

    @property
    def until_first_token(self) -> float:
        """Seconds from the arrival of the request to the first byte of the answer."""
        return self.queue + self.prompt


def timing_for(spec: ModelSpec, prompt_tokens: int, completion_tokens: int, cached_tokens: int, queue: float) -> Timing:
    """The timing of a call to a model. Cached tokens are read ten times as fast as others."""
    reading = prompt_tokens - cached_tokens * 0.9
    return Timing(
        queue=queue,
        prompt=0.003 + reading / spec.prompt_speed,
        completion=max(completion_tokens, 1) / spec.completion_speed,
    )
