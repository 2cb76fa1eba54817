"""The length of WAV files, which consist of chunks with sizes.

The length is the number of bytes of sound, divided by the bytes of a second.
"""

import struct
from dataclasses import dataclass

from groq_client.audio.frames import frames_length
from groq_client.audio.source import Length, Source, length

_PCM, _MS_ADPCM, _FLOAT, _A_LAW, _MU_LAW, _IMA_ADPCM, _GSM, _MP2, _MP3, _EXTENSIBLE = (
    1, 2, 3, 6, 7, 0x11, 0x31, 0x50, 0x55, 0xFFFE,
)  # fmt: skip
_MOST_CHUNKS = 1000
_SIZE_IS_ELSEWHERE = 0xFFFFFFFF
"""The size in the head of a file beyond 4 GiB, whose size is in a chunk ``ds64``, or of a file written to a pipe."""


@dataclass(frozen=True, slots=True)
class Format:
    """The format of the sound: a block of ``block`` bytes holds ``samples`` samples of each channel."""

    codec: int
    rate: int
    bytes_per_second: int
    block: int
    samples: int

    @classmethod
    def read(cls, chunk: bytes) -> "Format | None":
        """The format in a chunk ``fmt``, or ``None`` if no player could play it."""
        codec, channels, rate, bytes_per_second, block, bits = struct.unpack_from("<HHIIHH", chunk)
        if codec == _EXTENSIBLE and len(chunk) >= 26:
            (codec,) = struct.unpack_from("<H", chunk, 24)
        samples = _samples_of_block(codec, channels, block, bits)
        return cls(codec, rate, bytes_per_second, block, samples) if rate and block else None


def wav_length(source: Source, start: int) -> Length | None:
    """The length of the sound in the first ``data`` chunk; players read no other."""
    how: Format | None = None
    long_size, at = 0, start + 12
    for _ in range(_MOST_CHUNKS):
        head = source.read(at, 8)
        if len(head) < 8:
            return None
        name, size = struct.unpack("<4sI", head)
        at += 8
        if name == b"fmt ":
            how = Format.read(source.read(at, 40))
        elif name == b"ds64":
            _, long_size = struct.unpack("<QQ", source.read(at, 16))
        elif name == b"data":
            claimed = long_size if size == _SIZE_IS_ELSEWHERE and long_size else size
            return _sound_length(source, at, claimed, how) if how is not None else None
        at += size + size % 2
    return None


def _sound_length(source: Source, at: int, claimed: int, how: Format) -> Length | None:
    """The length of the sound at ``at``. The ``claimed`` bytes are 0 or 4 GiB in a file that was written to a pipe,
    and too many in a file that was cut off."""
    there = source.size - at
    size = min(claimed, there) if claimed else there
    is_certain = size == there or _is_end(source, at + size + size % 2)
    if how.codec in (_MP2, _MP3):
        found = frames_length(source, at, at + size)
        return found and Length(found.seconds, found.is_certain and is_certain)
    if how.samples > 1:  # In compressed sound the blocks behind a lost part may be shifted.
        is_certain = is_certain and size in (claimed, there - there % how.block)
    if how.samples:
        return length(size / how.block * how.samples / how.rate, is_certain=is_certain)
    return length(size / how.bytes_per_second, is_certain=False) if how.bytes_per_second else None


def _is_end(source: Source, at: int) -> bool:
    """Whether only chunks of other kinds follow, and no second file or sound beyond a wrong size."""
    for _ in range(_MOST_CHUNKS):
        head = source.read(at, 8)
        if len(head) < 8:
            return True
        name, size = struct.unpack("<4sI", head)
        if name in (b"RIFF", b"RF64", b"data") or not name.strip().isalnum() or at + 8 + size > source.size:
            return False
        at += 8 + size + size % 2
    return False


def _samples_of_block(codec: int, channels: int, block: int, bits: int) -> int:
    """The samples of each channel in a block; 0 for a codec whose blocks do not tell."""
    if not channels:
        return 0
    if codec in (_PCM, _FLOAT, _A_LAW, _MU_LAW):
        return int(block == channels * -(-bits // 8))
    if codec == _IMA_ADPCM:
        return max((block - 4 * channels) * 2 // channels + 1, 0)
    if codec == _MS_ADPCM:
        return max((block - 7 * channels) * 2 // channels + 2, 0)
    return 320 if codec == _GSM and block == 65 else 0
