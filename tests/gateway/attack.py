"""Sends raw requests from a process of its own, so that those who watch the server meanwhile are not slowed by it."""

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress

AT_ONCE = 4
FIRST_SECONDS, NEXT_SECONDS = 0.25, 0.02
"""How long an answer is waited for, which may never come, and then for another one on the same connection."""
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")

Pieces = Sequence[bytes]
"""A request as it is written, one piece after the other."""


def fire(host: str, port: int, requests: Sequence[Pieces]) -> list[list[int]]:
    """Send all requests, each on a connection of its own, and return the statuses of the answers to each."""
    return asyncio.run(_fire(host, port, requests))


async def _fire(host: str, port: int, requests: Sequence[Pieces]) -> list[list[int]]:
    statuses: list[list[int]] = [[] for _ in requests]
    waiting = iter(enumerate(requests))

    async def send_all() -> None:
        for number, pieces in waiting:
            statuses[number] = await _answers(host, port, pieces)

    await asyncio.gather(*(send_all() for _ in range(AT_ONCE)))
    return statuses


async def _answers(host: str, port: int, pieces: Pieces) -> list[int]:
    reader, writer = await asyncio.open_connection(host, port, limit=1 << 24)
    answers = b""
    try:
        with suppress(ConnectionError):  # The server may have answered and closed already.
            for piece in pieces:
                writer.write(piece)
                await asyncio.wait_for(writer.drain(), 5)
                await asyncio.sleep(0)
        with suppress(TimeoutError, ConnectionError):
            while got := await asyncio.wait_for(reader.read(1 << 16), NEXT_SECONDS if answers else FIRST_SECONDS):
                answers += got
    finally:
        writer.transport.abort()
    return [int(status) for status in STATUS.findall(answers)]
