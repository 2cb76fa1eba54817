"""The length of MP4, M4A and fragmented MP4 files, which consist of nested boxes.

The packets of sound that are really in the file are counted. (MP4 calls a packet a sample; an AAC packet mostly has
1,024 samples of sound.)
"""

import struct
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

from groq_client.audio.source import TOLERANCE, Length, Source, agree, length

_MOST_BOXES = 200_000
_LARGEST_INDEX = 8 * 1024 * 1024
_TOP_BOXES = frozenset(
    b"ftyp styp moov moof mdat mfra sidx ssix free skip wide uuid meta udta emsg prft pdin pnot".split()
)
_PACKETS_AT_ENDS = 4
"""At most this many packets are padding that encoders add at both ends and an edit list removes again."""
_AAC_PACKETS = (1024, 960, 2048, 1920, 512, 480, 576, 1152)
"""The possible samples of sound in a packet of the codecs behind ``mp4a``: AAC of all kinds, and MP3."""


@dataclass(slots=True)
class Track:
    """The first track of sound. Times are in the track's units, of which ``scale`` make a second."""

    number: int
    scale: int
    codec: bytes = b""
    rate: int = 0
    packets: int = 0
    """The number of packets that are in the file."""
    time: int = 0
    """The duration of these packets together."""
    is_certain: bool = True
    default_time: int = 0
    is_fragmented: bool = False
    begins: int = 0
    """The time at which the first fragment begins; not 0 if fragments before it were left out."""
    torn: int = 0
    """The duration of a fragment of which only a part is in the file."""
    edits: list[tuple[float, int]] = field(default_factory=list)
    """Seconds of each part that is played (0: to the end), and the time at which the part begins."""


def mp4_length(source: Source) -> Length | None:
    """The length of the first track of sound that is in the file."""
    track: Track | None = None
    is_certain, moof = True, b""
    for name, at, end in _top_boxes(source):
        if not name or (name == b"moov" and track is not None) or (name == b"moof" and end > source.size):
            # The rest is damaged, cut off, or another file; players play nothing of it.
            is_certain = False
            break
        if name == b"moov":
            if end - at > _LARGEST_INDEX:
                return None
            track = _track(source.read(at, end - at), source.size)
            if track is None:
                return None
        elif name == b"moof" and track is not None and end - at <= _LARGEST_INDEX:
            moof = source.read(at, end - at)
        elif name == b"mdat" and moof and track is not None:
            _add_fragment(track, moof, there=min(1.0, (source.size - at) / max(end - at, 1)))
            moof = b""
    if track is None or not track.scale:
        return None
    seconds = _edited(track)
    whole = track.time / track.scale
    slack = _PACKETS_AT_ENDS * whole / max(track.packets, 1)
    return length(seconds, is_certain=is_certain and _is_plausible(track) and agree(seconds, whole, slack))


def _edited(track: Track) -> float:
    """The seconds that are played by the edit list, which leaves out padding of encoders and parts that people cut."""
    whole = track.time / track.scale
    if not track.edits:
        return whole
    parts = ((seconds, max(whole - begin / track.scale, 0.0)) for seconds, begin in track.edits if begin >= 0)
    return sum(min(seconds, rest) if seconds else rest for seconds, rest in parts)


def _is_plausible(track: Track) -> bool:
    """Whether the tables agree and packets last as long as the codec's packets do; otherwise the time unit is wrong."""
    if not track.is_certain or track.torn > TOLERANCE * track.time:
        return False
    if track.codec != b"mp4a" or not track.rate or not track.packets:
        return True
    samples = track.time * track.rate / track.scale
    # A table may give the last packet a shorter duration. Players of fragments play the whole packet.
    slack = 0 if track.is_fragmented else 1
    return any(agree(samples, track.packets * known, slack * known) for known in _AAC_PACKETS)


def _top_boxes(source: Source) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of the content of each box; the end may be beyond the end of the file.

    Data that are no box, or more boxes than allowed, yield a last entry with the name ``b""``.
    """
    at = 0
    for _ in range(_MOST_BOXES):
        head = source.read(at, 16)
        if len(head) < 8:
            return
        size, name = struct.unpack_from(">I4s", head)
        skip = 8
        if size == 1 and len(head) == 16:
            (size,), skip = struct.unpack_from(">Q", head, 8), 16
        if size == 0:
            size = source.size - at
        if size < skip or name not in _TOP_BOXES:
            break
        yield name, at + skip, at + size
        at += size
    yield b"", at, at


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        if size < 8:
            return
        yield name, data[at + 8 : at + size]
        at += size


def _box(data: bytes, *path: bytes) -> bytes:
    """The content of the box at ``path``; empty if there is no such box."""
    for wanted in path:
        data = next((content for name, content in _boxes(data) if name == wanted), b"")
    return data


# Files with an index


def _track(moov: bytes, size: int) -> Track | None:
    movie_scale = _scale(_box(moov, b"mvhd"))
    for name, trak in _boxes(moov):
        if name != b"trak" or _box(trak, b"mdia", b"hdlr")[8:12] != b"soun":
            continue
        head = _box(trak, b"tkhd")
        track = Track(_number(head, 20 if head[:1] == b"\1" else 12), _scale(_box(trak, b"mdia", b"mdhd")))
        table = _box(trak, b"mdia", b"minf", b"stbl")
        entry = _box(table, b"stsd")[8:]
        track.codec, track.rate = entry[4:8], _number(entry, 32) >> 16
        track.edits = list(_edits(_box(trak, b"edts", b"elst"), movie_scale))
        for kind, trex in _boxes(_box(moov, b"mvex")):
            if kind == b"trex" and _number(trex, 4) == track.number:
                track.default_time = _number(trex, 12)
        _count(track, table, size)
        return track
    return None


def _scale(head: bytes) -> int:
    return _number(head, 20 if head[:1] == b"\1" else 12)


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")


def _edits(elst: bytes, movie_scale: int) -> Iterator[tuple[float, int]]:
    entry = struct.Struct(">QqI" if elst[:1] == b"\1" else ">IiI")
    content = elst[8 : 8 + len(elst[8:]) // entry.size * entry.size]
    for time, begin, _ in entry.iter_unpack(content) if movie_scale else ():
        yield time / movie_scale, begin


def _count(track: Track, table: bytes, size: int) -> None:
    """Counts the packets whose bytes are in the file, and their duration."""
    sizes = Sizes.read(_box(table, b"stsz"))
    track.packets = _packets_there(table, sizes, size)
    counted = 0
    for count, time in _records(_box(table, b"stts"), 2):
        track.time += min(count, max(track.packets - counted, 0)) * time
        counted += count
    track.is_certain = counted == sizes.count == track.packets  # Otherwise the file was cut off, or a table is wrong.


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of the packets in bytes: one for all, or the offsets ``ends`` in a row, of which the first is 0."""

    count: int
    same: int
    ends: list[int]

    @classmethod
    def read(cls, stsz: bytes) -> "Sizes":
        same, count = _number(stsz, 4), _number(stsz, 8)
        if same:
            return cls(count, same, [])
        ends = list(accumulate((size for (size,) in _records(stsz[4:], 1)), initial=0))
        return cls(len(ends) - 1, 0, ends)

    def bytes_of(self, first: int, count: int) -> int:
        return count * self.same if self.same else self.ends[first + count] - self.ends[first]

    def fitting(self, first: int, room: int) -> int:
        """The number of packets, from ``first`` on, that fit into ``room`` bytes."""
        if self.same:
            return max(room, 0) // self.same
        return max(bisect_right(self.ends, self.ends[first] + room) - 1 - first, 0)


def _packets_there(table: bytes, sizes: Sizes, size: int) -> int:
    """The number of packets of the index that lie within the ``size`` bytes of the file."""
    offsets = [offset for (offset,) in _records(_box(table, b"stco"), 1)]
    if not offsets:
        offsets = [high << 32 | low for high, low in _records(_box(table, b"co64"), 2)]
    runs = [*_records(_box(table, b"stsc"), 3), (len(offsets) + 1, 0, 0)]
    first = there = chunk = 0
    for (begin, packets, _), (end, *_) in pairwise(runs):
        chunk = max(chunk, begin - 1)
        for offset in offsets[chunk : end - 1]:
            chunk += 1
            count = min(packets, sizes.count - first)
            room = size - offset
            there += count if sizes.bytes_of(first, count) <= room else sizes.fitting(first, room)
            first += count
    return there


def _records(table: bytes, width: int) -> Iterator[tuple[int, ...]]:
    """The complete entries of a table, of ``width`` numbers each."""
    entry = struct.Struct(f">{width}I")
    count = min(_number(table, 4), max(len(table) - 8, 0) // entry.size)
    return entry.iter_unpack(table[8 : 8 + count * entry.size])


# Fragments


def _add_fragment(track: Track, moof: bytes, there: float) -> None:
    """Adds the packets of one fragment, of which the share ``there`` is in the file."""
    for name, traf in _boxes(moof):
        head = _box(traf, b"tfhd")
        if name != b"traf" or _number(head, 4) != track.number:
            continue
        _note_begin(track, _box(traf, b"tfdt"))
        default = track.default_time
        if head[3:4] and head[3] & 8:
            default = _number(head, 8 + (8 if head[3] & 1 else 0) + (4 if head[3] & 2 else 0))
        for kind, run in _boxes(traf):
            if kind != b"trun":
                continue
            packets, time = _run(run, default)
            track.packets += round(packets * there)
            track.time += round(time * there)
            if there < 1:
                track.torn += time


def _note_begin(track: Track, tfdt: bytes) -> None:
    """Compares the start time that a fragment claims with the time counted so far; a difference is a gap."""
    begins = int.from_bytes(tfdt[4 : 12 if tfdt[:1] == b"\1" else 8], "big") if tfdt else track.time
    if not track.is_fragmented:
        track.is_fragmented, track.begins = True, begins - track.time
    if begins - track.begins != track.time:
        track.is_certain = False


def _run(trun: bytes, default: int) -> tuple[int, int]:
    """The number of packets in a run, and their duration."""
    flags, count = _number(trun, 0) & 0xFFFFFF, _number(trun, 4)
    width = (flags >> 8 & 15).bit_count()
    begin = 8 + (4 if flags & 1 else 0) + (4 if flags & 4 else 0)
    if width:
        count = min(count, max(len(trun) - begin, 0) // (4 * width))
    if not flags & 0x100:
        return count, count * default
    entries = struct.unpack_from(f">{count * width}I", trun, begin)
    return count, sum(entries[::width])
