"""Chunks that are made by blocking code. The first one is made before anything is sent: what fails then can say so."""

import asyncio
import weakref
from collections.abc import AsyncIterator, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor

from django.db import connections

Chunks = Generator[bytes, None, None]


class _InAThread:
    """Chunks whose first one is made already; whatever goes wrong with that is raised here. All are made in one thread,
    because a database connection stays in its own, and while they are pulled that one is of no use to anybody else.

    The chunks are closed and the thread ends when all are sent, and as well when the reader goes away, be it before
    the first one is asked for.
    """

    def __init__(self, chunks: Chunks) -> None:
        self._thread, self._chunks = ThreadPoolExecutor(1, "export"), chunks
        self.close = weakref.finalize(self, _end, self._thread, chunks)
        self.close.atexit = False
        try:
            self._first = self._thread.submit(next, chunks, b"").result()
        except BaseException:
            self.close()
            raise


class InAThread(_InAThread):
    """For a server that pulls them itself."""

    def __iter__(self) -> Iterator[bytes]:
        try:
            chunk: bytes | None = self._first
            while chunk is not None:
                yield chunk
                chunk = self._thread.submit(next, self._chunks, None).result()
        finally:
            self.close()


class InAThreadOfALoop(_InAThread):
    """For an event loop, which would read a plain iterator to its end before it sends the first byte."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        try:
            chunk: bytes | None = self._first
            while chunk is not None:
                yield chunk
                chunk = await loop.run_in_executor(self._thread, next, self._chunks, None)
        finally:
            self.close()


def _end(thread: ThreadPoolExecutor, chunks: Chunks) -> None:
    thread.submit(_close, chunks)
    thread.shutdown(wait=False)


def _close(chunks: Chunks) -> None:
    try:
        chunks.close()
    finally:
        connections.close_all()
