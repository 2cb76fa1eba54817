"""Writes answers to the socket, at their pace, in pieces, or cut off."""

import asyncio
import time
from collections.abc import Iterable

from aiohttp import web

_BATCH = 64
"""At most this many frames are joined into one write if there is no gap between frames."""
_FLUSH = 0.005
"""Seconds to wait after a write, so that the next write leaves in a packet of its own."""


async def write_frames(response: web.StreamResponse, frames: list[bytes], gap: float) -> None:
    """Write the frames with ``gap`` seconds between them. Short gaps are right on average, not one by one."""
    if gap <= 0:
        for start in range(0, len(frames), _BATCH):
            await response.write(b"".join(frames[start : start + _BATCH]))
            await asyncio.sleep(0)
        return
    began = time.monotonic()
    for number, frame in enumerate(frames):
        ahead = began + number * gap - time.monotonic()
        if ahead > 0:
            await asyncio.sleep(ahead)
        await response.write(frame)


async def write_split(response: web.StreamResponse, frames: Iterable[bytes]) -> None:
    """Write every frame in two packets, split inside its first multi-byte character."""
    for frame in frames:
        inside = next((i for i, byte in enumerate(frame) if byte >= 0x80), len(frame) // 2) + 1
        await response.write(frame[:inside])
        await asyncio.sleep(_FLUSH)
        await response.write(frame[inside:])


async def cut_connection(request: web.Request) -> None:
    """Close the connection in the middle of the answer, once the bytes written so far have been sent."""
    await asyncio.sleep(_FLUSH)
    if request.transport is not None:
        request.transport.close()
