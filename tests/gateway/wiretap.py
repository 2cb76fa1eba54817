"""What the simulator wrote, byte for byte, before HTTP framed it."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from aiohttp.http_writer import StreamWriter


@contextmanager
def wiretap() -> Iterator[list[bytes]]:
    """The pieces of all bodies that servers and clients of aiohttp in this process write meanwhile."""
    pieces: list[bytes] = []
    with _heard(lambda _, piece: pieces.append(piece)):
        yield pieces


@contextmanager
def written_bodies() -> Iterator[Callable[[], list[bytes]]]:
    """A function that returns the bodies that were written since then, each as a whole."""
    bodies: dict[StreamWriter, bytearray] = defaultdict(bytearray)
    with _heard(lambda writer, piece: bodies[writer].extend(piece)):
        yield lambda: [bytes(body) for body in bodies.values()]


@contextmanager
def _heard(hear: Callable[[StreamWriter, bytes], object]) -> Iterator[None]:
    write, write_eof = StreamWriter.write, StreamWriter.write_eof

    async def heard(self: Any, chunk: Any, **options: Any) -> None:
        hear(self, bytes(chunk))
        await write(self, chunk, **options)

    async def heard_last(self: Any, chunk: bytes = b"") -> None:
        hear(self, bytes(chunk))
        await write_eof(self, chunk)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StreamWriter, "write", heard)
        patch.setattr(StreamWriter, "write_eof", heard_last)
        yield
