"""Records the results of a batch when somebody fetches their file. Their ids are Groq's, so that they count once."""

import asyncio
import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime

from groq_client import recorder
from groq_client.call import Attribution, Recorder
from groq_client.dispatch import dispatcher
from ledger.importing import RefusedError
from ledger.importing.columns import Defaults
from ledger.importing.formats import read_json
from ledger.importing.groq_batch import call_of_result
from ledger.importing.lines import MAX_LINE

AT_ONCE = 1024 * 1024
"""Bytes of lines that are read together, in a thread, while the sender waits."""


class Results:
    """A file that passes. Lines that are no results of a batch, as in every other file, are ignored."""

    def __init__(self, attribution: Attribution, told: Recorder) -> None:
        now = datetime.now(UTC)
        self._defaults = Defaults(attribution.organization, attribution.project, attribution.user, at=now)
        self._recorder = told
        self._lines: list[bytes] = []
        self._size = 0
        self._rest = b""
        self._is_too_long = False

    async def take(self, chunk: bytes) -> None:
        """Takes the next bytes of the file, and records the results that are complete."""
        first, *more = chunk.split(b"\n")
        self._rest += first
        if more:
            for line in (self._rest, *more[:-1]):
                self._add(line)
            self._rest = more[-1]
        if len(self._rest) > MAX_LINE:
            self._rest, self._is_too_long = b"", True
        if self._size > AT_ONCE:
            await self._record()

    async def end(self) -> None:
        """Records the last results. They are in the journal when this returns."""
        self._add(self._rest)
        self._rest = b""
        await self._record()

    def _add(self, line: bytes) -> None:
        if self._is_too_long:
            self._is_too_long = False
        elif line.strip():
            self._lines.append(line)
            self._size += len(line)

    async def _record(self) -> None:
        lines, self._lines, self._size = self._lines, [], 0
        if lines:
            await asyncio.wrap_future(dispatcher.submit(lambda: self._record_lines(lines)))

    def _record_lines(self, lines: Iterable[bytes]) -> None:
        now = datetime.now(UTC)
        for line in lines:
            try:
                call = call_of_result(read_json(line), self._defaults, now, _stable_id)
            except RefusedError:
                continue
            recorder.finish(self._recorder, call)


def _stable_id(started_at: datetime, line: str) -> str:
    """An id for a result without one. It does not depend on the moment at which the file is fetched."""
    return f"batch-{hashlib.sha256(line.encode()).hexdigest()[:32]}"
