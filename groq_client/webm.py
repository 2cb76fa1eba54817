"""The length of a WebM (Matroska) file: what browsers record, and what tinytag does not read.

A recording that was streamed out has no duration in its head; then the time of its last block is taken.
"""

import struct
from collections.abc import Iterator
from decimal import Decimal
from typing import BinaryIO

MAGIC = b"\x1a\x45\xdf\xa3"

# Elements that hold others. They are gone into; every other element is passed over or read whole.
_SEGMENT, _INFO, _CLUSTER, _BLOCK_GROUP = 0x18538067, 0x1549A966, 0x1F43B675, 0xA0
_CONTAINERS = frozenset({_SEGMENT, _INFO, _CLUSTER, _BLOCK_GROUP})
_TIMESTAMP_SCALE, _DURATION, _CLUSTER_TIMESTAMP, _SIMPLE_BLOCK, _BLOCK = 0x2AD7B1, 0x4489, 0xE7, 0xA3, 0xA1
_READ = frozenset({_TIMESTAMP_SCALE, _DURATION, _CLUSTER_TIMESTAMP})
_HEAD_OF_BLOCK = 12
_NANOSECONDS = Decimal(1_000_000_000)


def webm_seconds(file: BinaryIO) -> Decimal | None:
    """The length of the file in seconds, read from its beginning; ``None`` if it holds no sound."""
    file.seek(0)
    scale, cluster, last = 1_000_000, 0, -1
    for element, content in _elements(file):
        if element == _TIMESTAMP_SCALE:
            scale = int.from_bytes(content, "big")
        elif element == _DURATION and (length := _float(content)) > 0:
            return Decimal(length) * scale / _NANOSECONDS
        elif element == _CLUSTER_TIMESTAMP:
            cluster = int.from_bytes(content, "big")
        elif element in (_SIMPLE_BLOCK, _BLOCK):
            last = max(last, cluster + _block_time(content))
    return Decimal(last) * scale / _NANOSECONDS if last > 0 else None


def _elements(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Every element with the part of its content that matters here; what holds elements is gone into."""
    while True:
        element = _number(file, keep_marker=True)
        size = _number(file, keep_marker=False)
        if element is None or size is None:
            return
        if element in _CONTAINERS:
            continue
        wanted = size if element in _READ and size <= 8 else 0
        if element in (_SIMPLE_BLOCK, _BLOCK):
            wanted = min(size, _HEAD_OF_BLOCK)
        content = file.read(wanted) if wanted else b""
        file.seek(size - wanted, 1)
        if wanted:
            yield element, content


def _number(file: BinaryIO, *, keep_marker: bool) -> int | None:
    """A number of one to eight bytes; how many, the leading zero bits of the first one tell."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    length = 9 - first[0].bit_length()
    rest = file.read(length - 1)
    if len(rest) < length - 1:
        return None
    head = first[0] if keep_marker else first[0] & (0xFF >> length)
    return int.from_bytes(bytes([head]) + rest, "big")


def _float(content: bytes) -> float:
    if len(content) not in (4, 8):
        return 0.0
    (value,) = struct.unpack(">f" if len(content) == 4 else ">d", content)
    return float(value)


def _block_time(content: bytes) -> int:
    """A block begins with its track's number; two signed bytes of time, relative to its cluster, follow."""
    length = 9 - content[0].bit_length() if content and content[0] else 0
    return int.from_bytes(content[length : length + 2], "big", signed=True) if length else 0
