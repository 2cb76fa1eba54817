"""Chunks that are made by blocking code, sent by an event loop."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

from django.db import connections


async def in_a_thread(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The same chunks, each pulled when it is wanted, all in one thread: a database connection stays in its own.

    The iterator is closed and the thread ends when the chunks are sent, and as well when the reader goes away.
    """
    loop, thread = asyncio.get_running_loop(), ThreadPoolExecutor(1, "export")
    try:
        while (chunk := await loop.run_in_executor(thread, next, chunks, None)) is not None:
            yield chunk
    finally:
        thread.submit(_close, chunks)
        thread.shutdown(wait=False)


def _close(chunks: Iterator[bytes]) -> None:
    close = getattr(chunks, "close", None)
    try:
        if close:
            close()
    finally:
        connections.close_all()
