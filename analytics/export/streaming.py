"""Chunks of a response that blocking code makes in a thread. The first chunk is made before the response begins, so
that a failure can still become an error page."""

import asyncio
import logging
import threading
import weakref
from collections.abc import AsyncIterator, Generator, Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from queue import Empty, SimpleQueue

from django.conf import settings
from django.db import connections

logger = logging.getLogger(__name__)

Chunks = Generator[bytes, None, None]
Pull = Future[bytes | None]
"""A request for the next chunk. The result None means that there are no more chunks."""


class StalledReaderError(Exception):
    """The reader of an export took nothing for EXPORT_STALL_SECONDS, so that the export was ended."""


class _InAThread:
    """Chunks made by one thread of their own, because a database connection belongs to its thread. The constructor
    makes the first chunk and raises its error.

    The generator is closed and the thread ends when all chunks are sent, when the reader goes away (even before its
    first chunk), or when the reader takes no chunk for EXPORT_STALL_SECONDS.
    """

    def __init__(self, chunks: Chunks) -> None:
        self._source = _Source(chunks)
        self.close = weakref.finalize(self, self._source.end)
        self.close.atexit = False
        try:
            self._first = self._source.pull().result() or b""
        except BaseException:
            self.close()
            raise


class InAThread(_InAThread):
    """The chunks for a WSGI server, which iterates synchronously."""

    def __iter__(self) -> Iterator[bytes]:
        try:
            chunk: bytes | None = self._first
            while chunk is not None:
                yield chunk
                chunk = self._source.pull().result()
        finally:
            self.close()


class InAThreadOfALoop(_InAThread):
    """The chunks for an ASGI server. Django would read a synchronous iterator to its end before sending anything."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            chunk: bytes | None = self._first
            while chunk is not None:
                yield chunk
                chunk = await asyncio.wrap_future(self._source.pull())
        finally:
            self.close()


class _Source:
    """The thread that makes a chunk for each pull."""

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks
        self._pulls: SimpleQueue[Pull | None] = SimpleQueue()
        self._has_ended = threading.Event()
        threading.Thread(target=self._work, name="export", daemon=True).start()

    def pull(self) -> Pull:
        pull: Pull = Future()
        self._pulls.put(pull)
        if self._has_ended.is_set():
            self._refuse_pulls()
        return pull

    def end(self) -> None:
        """Tells the thread that no more chunks are wanted."""
        self._pulls.put(None)

    def _work(self) -> None:
        try:
            while (pull := self._pulls.get(timeout=settings.EXPORT_STALL_SECONDS)) is not None:
                if not pull.set_running_or_notify_cancel():  # The reader's task was cancelled.
                    continue
                try:
                    pull.set_result(next(self._chunks, None))
                except Exception as error:
                    pull.set_exception(error)
        except Empty:
            logger.warning("An export was ended: its reader took nothing for %s s.", settings.EXPORT_STALL_SECONDS)
        finally:
            try:
                self._chunks.close()
            finally:
                connections.close_all()
                self._has_ended.set()
                self._refuse_pulls()

    def _refuse_pulls(self) -> None:
        """Gives StalledReaderError to every pull that came after the end. The thread and the reader both call this,
        because a pull may come at the same moment as the end."""
        with suppress(Empty, InvalidStateError):
            while True:
                if (pull := self._pulls.get_nowait()) is not None:
                    pull.set_exception(StalledReaderError())
