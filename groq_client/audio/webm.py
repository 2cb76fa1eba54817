"""The length of WebM (Matroska) files, which browsers record: counts the blocks of the first sound track.

A streamed recording has no duration in its head, and its elements have no sizes.
"""

import struct
from dataclasses import dataclass, field

from groq_client.audio.opus import RATE as OPUS_RATE
from groq_client.audio.opus import packet_samples
from groq_client.audio.source import TOLERANCE, WINDOW, Length, Source, agree, length

_HEAD, _SEGMENT, _INFO, _TRACKS, _TRACK, _CLUSTER, _BLOCK_GROUP = (
    0x1A45DFA3, 0x18538067, 0x1549A966, 0x1654AE6B, 0xAE, 0x1F43B675, 0xA0,
)  # fmt: skip
_GONE_INTO = frozenset({_SEGMENT, _INFO, _TRACKS, _TRACK, _CLUSTER, _BLOCK_GROUP})
"""Elements that contain other elements. Every other element is skipped or read."""
_SCALE, _DURATION, _NUMBER, _KIND, _CODEC, _CLUSTER_TIME = 0x2AD7B1, 0x4489, 0xD7, 0x83, 0x86, 0xE7
_DELAY, _DISCARDED = 0x56AA, 0x75A2
"""Elements with the nanoseconds that players leave out at the beginning of a track and at the end of a block."""
_SIMPLE_BLOCK, _BLOCK = 0xA3, 0xA1
_READ = frozenset(
    {_SCALE, _DURATION, _TRACK, _NUMBER, _KIND, _CODEC, _DELAY, _CLUSTER_TIME, _SIMPLE_BLOCK, _BLOCK, _DISCARDED}
)
_MAY_BE_CUT = frozenset({_SIMPLE_BLOCK, _BLOCK, 0xEC, 0x1C53BB6B, 0x1254C367})
"""Blocks, padding, cues and tags: only in one of these may a file end that was cut off. Else it is damaged."""
_SOUND = 2
_LACED = 6
"""The bits of a block's flags that are set if several packets share the block."""
_LONGEST_HEAD = 12
_ROOM = 64
"""At most this many bytes are read of an element: its head and the beginning of its content."""
_NANOSECONDS = 1_000_000_000
_OPUS_SLACK = 0.12
"""Seconds of the longest Opus packet; the last packet may be shorter than the others."""
_MOST_ELEMENTS = 1_000_000
_LONGEST_PAUSE = 4
"""A pause longer than this many usual distances between blocks is a gap. (Vorbis has two lengths of block.)"""


@dataclass(slots=True)
class Segment:
    """The facts of one recording. Times are in units of ``scale`` nanoseconds."""

    scale: int = 1_000_000
    duration: float = 0.0
    track: int = -1
    is_opus: bool = False
    is_laced: bool = False
    cluster: int = 0
    first: int = -1
    last: int = 0
    blocks: int = 0
    longest_pause: int = 0
    is_in_order: bool = True
    opus_samples: int = 0
    delay: int = 0
    discarded: int = 0
    entry: dict[int, bytes] = field(default_factory=dict)
    """The elements read so far of the track whose description is being read."""

    def seconds_of(self, time: float) -> float:
        return time * self.scale / _NANOSECONDS

    def length(self) -> tuple[float, bool]:
        """The length in seconds, and whether it is certain."""
        if not self.blocks:
            return self.seconds_of(self.duration), False
        a_block = (self.last - self.first) / (self.blocks - 1) if self.blocks > 1 else 0.0
        span = self.seconds_of(self.last - self.first + a_block)
        left_out = (self.delay + self.discarded) / _NANOSECONDS
        if self.is_opus and not self.is_laced:
            counted = self.opus_samples / OPUS_RATE
            return counted - left_out, agree(counted, span, _OPUS_SLACK)
        second = self.seconds_of(self.duration) if self.duration else self.seconds_of(self.last - self.first)
        is_known = agree(span, second) and not (self.is_laced and not self.duration)
        is_whole = self.is_in_order and self.longest_pause <= max(
            _LONGEST_PAUSE * a_block, TOLERANCE * (self.last - self.first)
        )
        return span - left_out, is_known and is_whole

    def take(self, element: int, content: bytes) -> None:
        """Takes in the content of an element, or the content's beginning."""
        if element in (_SIMPLE_BLOCK, _BLOCK):
            self._take_block(content)
        elif element == _CLUSTER_TIME:
            self.cluster = int.from_bytes(content, "big")
        elif element == _SCALE:
            self.scale = int.from_bytes(content, "big")
        elif element == _DURATION and len(content) in (4, 8):
            (self.duration,) = struct.unpack(">f" if len(content) == 4 else ">d", content)
        elif element == _DISCARDED:
            self.discarded += max(int.from_bytes(content, "big", signed=True), 0)
        elif element == _TRACK:
            self.entry = {}
        else:
            self.entry[element] = content
            number = int.from_bytes(self.entry.get(_NUMBER, b""), "big")
            if self.track in (-1, number) and number and self.entry.get(_KIND) == bytes([_SOUND]):
                self.track = number
                self.is_opus = self.entry.get(_CODEC) == b"A_OPUS"
                self.delay = int.from_bytes(self.entry.get(_DELAY, b""), "big")

    def _take_block(self, block: bytes) -> None:
        """Takes in the first bytes of a block: its track, its time (relative to its cluster), flags, and a packet."""
        head = _number(block, 0)
        if head is None or head[0] != self.track:
            return
        after = head[1]
        time = self.cluster + int.from_bytes(block[after : after + 2], "big", signed=True)
        if self.first < 0:
            self.first = self.last = max(time, 0)
        self.blocks += 1
        self.longest_pause = max(self.longest_pause, time - self.last)
        self.is_in_order = self.is_in_order and time >= self.last
        self.last = max(self.last, time)
        self.is_laced = self.is_laced or bool(block[after + 2] & _LACED)
        if self.is_opus:
            self.opus_samples += packet_samples(block[after + 3 : after + 5])


def webm_length(source: Source) -> Length | None:
    """The length of the sound. It is not certain for joined recordings, of which some players play only the first."""
    segments, is_whole = _segments(source)
    lengths = [segment.length() for segment in segments]
    is_certain = is_whole and len(segments) == 1 and lengths[0][1]
    return length(sum(seconds for seconds, _ in lengths), is_certain=is_certain)


def _segments(source: Source) -> tuple[list[Segment], bool]:
    """The recordings in the file, and whether the whole file could be read."""
    segments: list[Segment] = []
    data, base, at = b"", 0, 0
    for _ in range(_MOST_ELEMENTS):
        if at >= source.size:
            return segments, True
        offset = at - base
        if offset + _ROOM > len(data) and base + len(data) < source.size:
            data, base, offset = source.read(at, WINDOW), at, 0
        found = _element(data, offset)
        if found is None:
            return segments, source.size - at < _LONGEST_HEAD
        element, size, begin = found
        at = base + begin
        if element == _HEAD:
            segments.append(Segment())
        elif element in _READ and at + size <= source.size:  # Otherwise the file was cut off within this element.
            segments[-1].take(element, data[begin : begin + min(size, _ROOM - _LONGEST_HEAD)])
        if element not in _GONE_INTO:
            if at + size > source.size:
                is_small = source.size - at <= TOLERANCE * source.size
                return segments, is_small and element in _MAY_BE_CUT
            at += size
    return segments, False


def _element(data: bytes, at: int) -> tuple[int, int, int] | None:
    """An element's name, the size of its content, and the offset of its content."""
    name = _number(data, at, is_name=True)
    size = _number(data, name[1]) if name is not None else None
    return (name[0], size[0], size[1]) if name is not None and size is not None else None


def _number(data: bytes, at: int, *, is_name: bool = False) -> tuple[int, int] | None:
    """A number and the offset after it. The leading zero bits of its first byte tell how many bytes it has."""
    first = data[at] if at < len(data) else 0
    if first & 0x80:
        return first if is_name else first & 0x7F, at + 1
    end = at + 9 - first.bit_length()
    if not first or end > len(data):
        return None
    number = int.from_bytes(data[at:end], "big")
    return number if is_name else number & ~(-1 << 7 * (end - at)), end
