"""The length of Ogg files (Vorbis, Opus, FLAC), whose pages tell at which sample they end.

Files may be joined, so that streams follow each other. They may begin in the middle, like a recording of a radio
station, whose positions do not begin at 0. They may have a film beside the sound, or lack pages.
"""

import zlib
from dataclasses import dataclass
from itertools import groupby

from groq_client.audio.opus import LONGEST_PACKET, packet_samples
from groq_client.audio.opus import RATE as OPUS_RATE
from groq_client.audio.source import TOLERANCE, WINDOW, Length, Source, length

_PAGE = b"OggS"
_HEAD = 27
_HEAD_OF_STREAM = 32
_LARGEST_PAGE = _HEAD + 255 + 255 * 255
_NO_POSITION = 0xFFFF_FFFF_FFFF_FFFF
_CONTINUES, _BEGINS = 1, 2
"""Flags of a page: its first packet began on the page before; the page is the first of its stream."""
_MOST_STREAMS = 1000
_BITS_REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))
_MOST_PAGES = 1_000_000
_MOST_GAPS = 100
"""At most this many places without a page are skipped; then the search for pages ends."""


@dataclass(slots=True)
class Stream:
    """One stream of sound. Lengths are in samples."""

    rate: int
    skipped: int
    """The samples that decoders leave out at the beginning."""
    longest_packet: int
    """The most samples that a packet can hold; 0 for Opus, whose packets tell their length."""
    first_page: int = -1
    pages: int = 0
    last_page: int = 0
    start: int = 0
    """The position at which the file begins; not 0 for a recording of a running broadcast."""
    first_position: int = 0
    first_most: int = 0
    position: int = 0
    most: int = 0
    """The most samples that the packets so far can hold."""
    packet: int = 0
    """The samples of the packet that was read last."""

    def add(self, number: int, position: int, packets: int, first_packet: bytes) -> None:
        """Takes in a page: its number, its position, the number of packets that end on it, and the first of them."""
        self.packet = self.longest_packet or packet_samples(first_packet) or self.packet
        samples = packets * self.packet
        if self.first_page < 0:
            self.first_page = number
        self.pages += 1
        self.last_page = max(self.last_page, number)
        if position in (0, _NO_POSITION):
            return
        if not self.most:
            self.start = max(position - samples, 0)
            self.first_position, self.first_most = position, samples
        self.most += samples
        self.position = max(self.position, position)

    @property
    def seconds(self) -> float:
        return max(self.position - self.start - self.skipped, 0) / self.rate

    @property
    def is_certain(self) -> bool:
        """Whether no page is missing and the packets hold as much sound as the last page's position tells."""
        told = self.position - self.start
        is_whole = self.pages == self.last_page - self.first_page + 1 and self.start <= TOLERANCE * self.position
        if not self.longest_packet:
            return is_whole and abs(told - self.most) <= TOLERANCE * self.most + LONGEST_PACKET
        return is_whole and told <= self.most * (1 + TOLERANCE) and not self._is_trimmed

    @property
    def _is_trimmed(self) -> bool:
        """Whether the first page holds more sound than its position tells. Not all players leave the surplus out."""
        rest = self.most - self.first_most
        usual = (self.position - self.first_position) / rest if rest else 0.0
        surplus = self.first_most * usual - self.first_position
        return surplus > TOLERANCE * self.position + self.longest_packet


@dataclass(slots=True)
class Walk:
    """The streams of the file in order. ``link`` counts the joined files."""

    streams: dict[tuple[int, bytes], Stream]
    link: int = 0
    is_in_heads: bool = True
    is_damaged: bool = False
    pages: int = 0
    gaps: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether all pages were read and none of them is damaged."""
        return not self.is_damaged and not self.gaps and self.pages < _MOST_PAGES


def ogg_length(source: Source, at: int) -> Length | None:
    """The length of the sound in all joined files together; in each file the first stream of sound counts."""
    walk = Walk({})
    data, base = b"", at
    while walk.gaps < _MOST_GAPS and walk.pages < _MOST_PAGES:
        if source.size - at < _HEAD:  # Here is the file's end, or the rest of a page that was cut off.
            break
        if at - base + _LARGEST_PAGE > len(data) and base + len(data) < source.size:
            data, base = source.read(at, WINDOW), at
        offset = at - base
        size = _page_size(data, offset)
        if size is None:
            walk.gaps += 1
            at = source.find(_PAGE, at + 1)
            if at < 0:
                break
            data, base = b"", at
            continue
        if offset + size > len(data):  # The file was cut off within this page, unless others follow.
            walk.is_damaged = walk.is_damaged or source.find(_PAGE, at + 1) >= 0
            break
        walk.pages += 1
        walk.is_damaged = walk.is_damaged or not _is_intact(data[offset : offset + size])
        _take_page(walk, data[offset : offset + size])
        at += size
    first_of_each = [next(group)[1] for _, group in groupby(walk.streams.items(), key=lambda item: item[0][0])]
    # Players do not go on with another codec.
    is_of_a_kind = len({(stream.rate, stream.longest_packet) for stream in first_of_each}) == 1
    return length(
        sum(stream.seconds for stream in first_of_each),
        is_certain=walk.is_whole and is_of_a_kind and all(stream.is_certain for stream in first_of_each),
    )


def _page_size(data: bytes, at: int) -> int | None:
    if data[at : at + 4] != _PAGE:
        return None
    segments = data[at + 26]
    return _HEAD + segments + sum(data[at + _HEAD : at + _HEAD + segments])


def _is_intact(page: bytes) -> bool:
    """Whether the page's checksum is right. Ogg's CRC-32 is zlib's with the order of the bits reversed."""
    told = int.from_bytes(page[22:26].translate(_BITS_REVERSED), "big")
    bare = b"%b\0\0\0\0%b" % (page[:22], page[26:])
    return zlib.crc32(bare.translate(_BITS_REVERSED), 0xFFFF_FFFF) ^ 0xFFFF_FFFF == told


def _take_page(walk: Walk, page: bytes) -> None:
    serial, segments = page[14:18], page[26]
    content = _HEAD + segments
    if page[5] & _BEGINS:
        if not walk.is_in_heads:
            walk.link, walk.is_in_heads = walk.link + 1, True
        stream = _stream(page[content : content + _HEAD_OF_STREAM])
        if stream is not None and len(walk.streams) < _MOST_STREAMS:
            walk.streams[walk.link, serial] = stream
    else:
        walk.is_in_heads = False
    found = walk.streams.get((walk.link, serial))
    if found is not None:
        lacing = page[_HEAD:content]
        found.add(
            int.from_bytes(page[18:22], "little"),
            int.from_bytes(page[6:14], "little"),
            segments - lacing.count(0xFF),
            b"" if page[5] & _CONTINUES else page[content : content + 2],
        )


def _stream(head: bytes) -> Stream | None:
    """The stream that begins with this packet; ``None`` if it holds no sound."""
    if head.startswith(b"\x01vorbis") and len(head) >= 29:
        rate, longest = int.from_bytes(head[12:16], "little"), (1 << (head[28] >> 4)) // 2
        return Stream(rate, 0, longest) if rate else None
    if head.startswith(b"OpusHead"):
        return Stream(OPUS_RATE, int.from_bytes(head[10:12], "little"), 0)
    if head.startswith(b"\x7fFLAC"):
        rate = int.from_bytes(head[27:30], "big") >> 4
        return Stream(rate, 0, int.from_bytes(head[19:21], "big")) if rate else None
    return None
