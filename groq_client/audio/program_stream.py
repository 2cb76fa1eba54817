"""The length of MPEG program streams (``.mpeg``, ``.mpg``), which consist of packs of packets.

The frames of the first track of MP2 or MP3 are counted.
"""

import io

from groq_client.audio.frames import frames_length
from groq_client.audio.source import TOLERANCE, WINDOW, Length, Source

_PACK, _END, _FIRST_SOUND, _LAST_SOUND = 0xBA, 0xB9, 0xC0, 0xDF
_ROOM = 64
_MOST_PACKETS = 500_000


def program_stream_length(source: Source) -> Length | None:
    """The length of the first track of sound; ``None`` for sound of another kind (AC-3, LPCM)."""
    sound, is_whole = _sound(source)
    found = frames_length(Source(io.BytesIO(sound)), 0) if sound else None
    return found and Length(found.seconds, found.is_certain and is_whole)


def _sound(source: Source) -> tuple[bytes, bool]:
    """The content of the packets of the first sound track, and whether the file could be read to its end."""
    parts: list[bytes] = []
    track = at = base = 0
    data = b""
    for _ in range(_MOST_PACKETS):
        offset = at - base
        if offset + _ROOM > len(data):
            data, base, offset = source.read(at, WINDOW), at, 0
        if data[offset : offset + 3] != b"\0\0\1" or offset + 6 > len(data):
            break
        kind = data[offset + 3]
        if kind == _PACK:
            is_mpeg2 = data[offset + 4] >> 6 == 1
            at += 14 + (data[offset + 13] & 7) if is_mpeg2 else 12
            continue
        end = at + 6 + int.from_bytes(data[offset + 4 : offset + 6], "big")
        if kind == _END:
            end = at + 4
        elif _FIRST_SOUND <= kind <= _LAST_SOUND and track in (0, kind):
            track = kind
            packet = source.read(at + 6, end - at - 6)
            parts.append(packet[_after_head(packet) :])
        at = end
    return b"".join(parts), source.size - at <= TOLERANCE * source.size


def _after_head(packet: bytes) -> int:
    """The offset of a packet's content, behind its times. MPEG-2 states the offset; MPEG-1 has to be parsed for it."""
    if packet[0] >> 6 == 2:
        return 9 - 6 + packet[2]
    at = len(packet) - len(packet.lstrip(b"\xff"))
    if packet[at] >> 6 == 1:
        at += 2
    return at + {2: 5, 3: 10}.get(packet[at] >> 4, 1)
