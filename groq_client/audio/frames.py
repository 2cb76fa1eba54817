"""The length of MP3, MP2 and AAC files (``.mp3``, ``.mpga``, ``.aac``), whose frames are counted one by one.

A frame's head tells its size and its duration. The claims at the beginning of a file about its whole length (Xing,
VBRI) or its bit rate are not used, because they may be wrong.
"""

import re
from dataclasses import dataclass
from itertools import product

from groq_client.audio.source import TOLERANCE, Length, Source, length

_SYNC = re.compile(rb"\xff[\xe2-\xe7\xf0-\xff][\x00-\xfb]")
_IN_A_ROW = 3
"""At least this many heads in a row must fit each other to count as frames."""
_MOST_JUNK = 1024 * 1024
"""At most this many bytes that are no frames are skipped; then the search for frames ends."""
_MOST_FRAMES = 1_500_000
_MOST_ROWS = 10_000
"""At most this many gaps and tags between frames are skipped; then the search for frames ends."""
_HEAD = 7
_LARGEST_FRAME = 8191
_WINDOW = 64 * 1024
_ADTS_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_MPEG_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
# Kilobits a second by version (1, or 2 and 2.5) and layer.
_BIT_RATES = {
    (1, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


def _mpeg_frames() -> dict[int, tuple[int, int, int]]:
    """Size in bytes, samples and sample rate of a frame, by the second and third byte of its head."""
    table = {}
    for (version, rates), layer in product(_MPEG_RATES.items(), (1, 2, 3)):
        samples = 384 if layer == 1 else 576 if layer == 3 and version != 3 else 1152
        slot = 4 if layer == 1 else 1
        kilobits = _BIT_RATES[1 if version == 3 else 2, layer]
        for bits, code, padding in product(range(1, 15), range(3), (0, 1)):
            size = (samples * 125 * kilobits[bits] // (rates[code] * slot) + padding) * slot
            for is_unprotected, is_private in product((0, 1), (0, 1)):
                second = 0xE0 | version << 3 | (4 - layer) << 1 | is_unprotected
                third = bits << 4 | code << 2 | padding << 1 | is_private
                table[second << 8 | third] = (size, samples, rates[code])
    return table


_MPEG_FRAMES = _mpeg_frames()


@dataclass(frozen=True, slots=True)
class Table:
    """The first frame of an MP3 file if it holds a table (Xing, VBRI) instead of sound. Times are seconds."""

    seconds: float
    frames: int = 0
    """The claimed number of other frames, used only to see whether the last frame is missing."""
    delay: float = 0.0
    padding: float = 0.0


@dataclass(slots=True)
class Count:
    """The result of counting a row of frames."""

    seconds: float = 0.0
    frames: int = 0
    rows: int = 0
    junk: int = 0
    """Bytes that belong to no frame, no tag and no padding of zeros."""
    has_gap: bool = False
    """There is junk between two frames: some sound is missing, which players treat differently."""
    table: Table | None = None
    last: float = 0.0
    """The duration of the last frame in seconds."""
    doubtful: float = 0.0
    """The duration in seconds of a frame within which the file was cut off. Some players play it, others do not."""
    strayed: bool = False
    """No frame follows a tag, so that the tag's size is wrong and sound may have been skipped with the tag."""

    @property
    def is_too_much(self) -> bool:
        """Whether the file is so large or so damaged that the rest is not read."""
        return self.junk >= _MOST_JUNK or self.frames >= _MOST_FRAMES or self.rows >= _MOST_ROWS

    @property
    def silent_seconds(self) -> float:
        """The seconds that players leave out: the table, and the padding that the encoder added at both ends."""
        table = self.table
        if table is None:
            return 0.0
        is_cut = self.frames - 1 < table.frames
        return table.seconds + table.delay + (0.0 if is_cut else table.padding)

    def add_junk(self, size: int, *, is_after_tag: bool) -> None:
        """Takes in bytes that belong to no frame. The frame before them is probably incomplete."""
        self.junk += size
        self.strayed |= is_after_tag and size > 0


def frames_length(source: Source, start: int, end: int | None = None) -> Length | None:
    """The length of the frames between two offsets, tags among them."""
    end = source.size if end is None else end
    size = max(end - start, 1)
    count, at, is_after_tag = Count(), start, start > 0
    while at < end and not count.is_too_much:
        count.rows += 1
        tag = _tag_size(source, at)
        if tag or (padding := _padding_size(source, at)):
            at, is_after_tag = at + (tag or padding), is_after_tag or tag > 0
            continue
        found = _next_frame(source, at, min(end, at + _MOST_JUNK - count.junk))
        count.add_junk(found - at, is_after_tag=is_after_tag)
        if not count.frames:
            count.table = _table(source, found)
        elif at < found < end:
            count.has_gap = True
        at, is_after_tag = _count_run(source, found, end, count), False
    if count.junk > size / 2:  # A file that is mostly junk holds no sound.
        return None
    if count.is_too_much:
        return length(count.seconds * size / max(at - start, 1), is_certain=False)
    seconds = count.seconds - count.silent_seconds
    is_whole = count.junk <= TOLERANCE * size and count.doubtful <= TOLERANCE * seconds
    return length(seconds, is_certain=is_whole and not count.strayed and not count.has_gap)


def after_tags(source: Source) -> int:
    """The offset behind the ID3 tags at the beginning of a file, which may hold large pictures."""
    at = 0
    for _ in range(_MOST_ROWS):
        tag = _tag_size(source, at)
        if not tag:
            break
        at += tag
    return at


def _count_run(source: Source, at: int, end: int, count: Count) -> int:
    """Counts the frames that follow each other without a gap. Returns the offset behind the last one."""
    while at < end and count.frames < _MOST_FRAMES:
        data = source.read(at, min(_WINDOW, end - at))
        offset, last = 0, len(data) - _HEAD
        while offset <= last:
            frame = _frame(data, offset)
            if frame is None:
                return at + offset
            offset += frame[0]
            count.last = frame[1] / frame[2]
            count.seconds += count.last
            count.frames += 1
        at = at + offset if last >= 0 else end
        if last < 0 or at > end:
            count.doubtful += count.last
    return at


def _frame(data: bytes, at: int) -> tuple[int, int, int] | None:
    """Size in bytes, samples and sample rate of the frame whose head stands at ``at``."""
    if data[at] != 0xFF:
        return None
    second, third = data[at + 1], data[at + 2]
    if second & 0xF6 != 0xF0:
        return _MPEG_FRAMES.get(second << 8 | third)
    rate = third >> 2 & 15
    size = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
    if size < _HEAD or rate >= len(_ADTS_RATES):
        return None
    return size, 1024 * ((data[at + 6] & 3) + 1), _ADTS_RATES[rate]


def _next_frame(source: Source, at: int, end: int) -> int:
    """The offset of the next frame that is followed by further frames, or ``end``."""
    while at < end:
        size = min(_WINDOW, end - at)
        data = source.read(at, size + _IN_A_ROW * _LARGEST_FRAME)
        for match in _SYNC.finditer(data, 0, size + 2):
            if match.start() < size and _is_in_step(data, match.start(), is_end=at + len(data) >= source.size):
                return at + match.start()
        at += size
    return end


def _is_in_step(data: bytes, at: int, *, is_end: bool) -> bool:
    kinds: set[tuple[int, int | None]] = set()
    for _ in range(_IN_A_ROW):
        if at + _HEAD > len(data):
            return is_end and bool(kinds)
        frame = _frame(data, at)
        kinds.add((data[at + 1] & 0xFE, frame and frame[2]))
        if frame is None or len(kinds) > 1:
            return False
        at += frame[0]
    return True


def _table(source: Source, at: int) -> Table | None:
    data = source.read(at, 512)
    frame = _frame(data, 0) if len(data) >= _HEAD else None
    if frame is None:
        return None
    _, samples, rate = frame
    place = max(data.find(b"Xing", 0, 64), data.find(b"Info", 0, 64))
    if place < 0:
        return Table(samples / rate) if data[36:40] == b"VBRI" else None
    flags = data[place + 7]
    encoder = place + 8 + sum(size for bit, size in enumerate((4, 4, 100, 4)) if flags >> bit & 1)
    if data[encoder : encoder + 4] not in (b"LAME", b"Lavf", b"Lavc"):
        return Table(samples / rate)
    frames = int.from_bytes(data[place + 8 : place + 12], "big") if flags & 1 else 0
    added = int.from_bytes(data[encoder + 21 : encoder + 24], "big")
    return Table(samples / rate, frames, (added >> 12) / rate, (added & 0xFFF) / rate)


def _padding_size(source: Source, at: int) -> int:
    data = source.read(at, _WINDOW)
    return len(data) - len(data.lstrip(b"\0"))


def _tag_size(source: Source, at: int) -> int:
    """The size in bytes of the tag at the offset ``at``, or 0 if there is none."""
    head = source.read(at, 16)
    if head.startswith(b"ID3") and len(head) >= 10 and max(head[6:10]) < 0x80:
        size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
        return size + (20 if head[5] & 0x10 else 10)
    if head.startswith(b"TAG"):
        return 128
    if head.startswith(b"APETAGEX") and len(head) == 16:
        return int.from_bytes(head[12:16], "little") + 32
    return 0
