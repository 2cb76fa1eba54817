"""The length of FLAC files. The file's head claims a number of samples; the frames show which samples exist."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from groq_client.audio.source import WINDOW, Length, Source, agree, length

_STREAMINFO = 34
_SYNC = re.compile(rb"\xff[\xf8\xf9][\x10-\xfe][\x00-\xaf]")
_LONGEST_HEAD = 16
_LARGEST_FRAME = 256 * 1024
"""Bytes. A frame that seems larger counts as cut off, so that the length is not called certain."""
_MOST_BLOCKS = 1000
_MOST_HEADS = 300_000
_BYTES_OF_A_STRAY = 1024 * 1024
"""Sound looks like a frame's head about once in 25 MB by chance; more often than once in 1 MB the file is damaged."""


@dataclass(frozen=True, slots=True)
class Info:
    """The needed fields of STREAMINFO. ``samples`` is 0 if the file was streamed and the count never filled in."""

    block: int
    rate: int
    samples: int

    @classmethod
    def read(cls, content: bytes) -> "Info":
        packed = int.from_bytes(content[10:18], "big")
        return cls(int.from_bytes(content[:2], "big"), packed >> 44, packed & 0xF_FFFF_FFFF)


@dataclass(frozen=True, slots=True)
class Frame:
    """The offset of a frame, its first sample, and the sample after its last."""

    at: int
    begin: int
    end: int


@dataclass(slots=True)
class Count:
    """The frames that were found."""

    samples: int = 0
    last: Frame | None = None
    breaks: int = 0
    """The number of places where the sample numbers do not continue: a gap, or the start of another file."""
    heads: int = 0
    frames: int = 0

    def is_of_one_file(self, size: int) -> bool:
        """Whether nearly all heads that were found are real heads of frames that continue each other."""
        return not self.breaks and self.heads - self.frames <= 1 + size // _BYTES_OF_A_STRAY

    def add(self, frame: Frame) -> None:
        self.frames += 1
        self.samples += frame.end - frame.begin
        self.last = frame


def flac_length(source: Source, start: int) -> Length | None:
    """The length of one FLAC stream, or the approximate length of several joined streams."""
    info = Info.read(source.read(start + 8, _STREAMINFO))
    first_frame = _after_metadata(source, start + 4)
    if not info.rate or first_frame is None:
        return None
    claimed = info.samples / info.rate
    count = _counted(source, first_frame, info)
    last = count.last
    if last is None or count.heads >= _MOST_HEADS:
        return length(claimed, is_certain=False)
    found = count.samples / info.rate
    is_of_one_file = count.is_of_one_file(source.size)
    if agree(claimed, found):
        return length(claimed, is_certain=is_of_one_file)
    if _crc16(source.read(last.at, _LARGEST_FRAME)) == 0:
        return length(found, is_certain=is_of_one_file)
    rest = found - (last.end - last.begin) / info.rate  # Without the last frame, within which the file was cut off.
    return length(rest, is_certain=is_of_one_file and agree(rest, found))


def _after_metadata(source: Source, at: int) -> int | None:
    """The offset of the first frame, behind the blocks of metadata (which may hold large pictures)."""
    for _ in range(_MOST_BLOCKS):
        head = source.read(at, 4)
        if len(head) < 4:
            return None
        at += 4 + int.from_bytes(head[1:], "big")
        if head[0] & 0x80:
            return at
    return None


def _counted(source: Source, start: int, info: Info) -> Count:
    """Counts the frames from ``start`` on.

    Sound may look like the head of a frame, so only heads that continue the frame before them count.
    """
    count, stray = Count(), None
    for frame in _heads(source, start, info):
        count.heads += 1
        if frame.begin == count.last.end if count.last else frame.at == start:
            count.add(frame)
        elif stray is not None and frame.begin == stray.end:
            count.breaks += 1
            count.add(stray)
            count.add(frame)
        else:
            stray = frame
            continue
        stray = None
    return count


def _heads(source: Source, start: int, info: Info) -> Iterator[Frame]:
    """The first places, at most ``_MOST_HEADS``, that look like the head of a frame."""
    left = _MOST_HEADS
    for at in range(start, source.size, WINDOW):
        data = source.read(at, WINDOW + _LONGEST_HEAD)
        for match in _SYNC.finditer(data, 0, WINDOW + 3):
            if match.start() < WINDOW and (frame := _frame(data, match.start(), at, info)):
                yield frame
                left -= 1
                if not left:
                    return


def _frame(data: bytes, at: int, base: int, info: Info) -> Frame | None:
    head = data[at : at + _LONGEST_HEAD]
    if len(head) < 6 or head[3] & 1:
        return None
    number, after = _coded_number(head, 4)
    block_code, rate_code = head[2] >> 4, head[2] & 15
    extra = {6: 1, 7: 2}.get(block_code, 0)
    after_block = after + extra
    after_rate = after_block + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if number is None or rate_code == 15 or len(head) <= after_rate or _crc8(head[:after_rate]) != head[after_rate]:
        return None
    if extra:
        block = int.from_bytes(head[after:after_block], "big") + 1
    else:
        block = 192 if block_code == 1 else 576 << (block_code - 2) if block_code < 6 else 256 << (block_code - 8)
    begin = number if head[1] & 1 else number * info.block
    return Frame(base + at, begin, begin + block)


def _coded_number(head: bytes, at: int) -> tuple[int | None, int]:
    """A number that is coded like UTF-8, and the offset after it."""
    first = head[at]
    if first < 0x80:
        return first, at + 1
    more = 8 - (~first & 0xFF).bit_length() - 1
    if not 1 <= more <= 6 or at + 1 + more > len(head):
        return None, at
    number = first & (0x3F >> more)
    for byte in head[at + 1 : at + 1 + more]:
        if byte >> 6 != 2:
            return None, at
        number = number << 6 | byte & 0x3F
    return number, at + 1 + more


def _crc8(head: bytes) -> int:
    crc = 0
    for byte in head:
        crc = _CRC8[crc ^ byte]
    return crc


def _crc16(frame: bytes) -> int:
    """The CRC-16 of a frame. It is 0 for an intact frame, whose last two bytes are the CRC-16 of the others."""
    crc = 0
    for byte in frame:
        crc = (crc << 8 & 0xFF00) ^ _CRC16[crc >> 8 ^ byte]
    return crc


def _crc_table(polynomial: int, bits: int) -> list[int]:
    table = []
    for value in range(256):
        crc = value << bits - 8
        for _ in range(8):
            crc = crc << 1 ^ (polynomial if crc >> bits - 1 else 0)
        table.append(crc)
    return table


_CRC8 = _crc_table(0x107, 8)
_CRC16 = _crc_table(0x18005, 16)
