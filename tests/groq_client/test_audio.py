"""How long an audio file is, held against what ffmpeg decodes of it (``tests/data/audio/make.py``)."""

import io
import json
import os
import struct
import time
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groq_client import Groq
from groq_client.answer import Answer
from groq_client.audio import Length, length_of
from groq_client.simulator.server import SimulatorHandle
from tests.groq_client.memory import Memory

DATA = Path(__file__).parent.parent / "data" / "audio"
TRUTH: dict[str, dict[str, float]] = json.loads((DATA / "manifest.json").read_text())
MOST_SECONDS = 3.0
"""Of the processor, for a few megabytes that are made to be hard: what grows with the square of them takes far more."""


def content(name: str) -> bytes:
    return (DATA / name).read_bytes()


def cut(name: str) -> bytes:
    whole = content(name)
    return whole[: len(whole) * 6 // 10]


def is_right(found: Length, truth: float) -> bool:
    return abs(float(found.seconds) - truth) <= 0.01 * truth


def is_honest(found: Length | None, truth: float) -> bool:
    return found is None or not found.is_certain or is_right(found, truth)


# Whole, cut off, joined


@pytest.mark.parametrize("name", TRUTH)
def test_a_whole_file(name: str) -> None:
    found = length_of(content(name))
    assert found is not None
    assert found.is_certain
    assert is_right(found, TRUTH[name]["whole"])


@pytest.mark.parametrize("name", TRUTH)
def test_a_file_that_was_cut_off_is_told_right_or_as_an_estimate(name: str) -> None:
    assert is_honest(length_of(cut(name)), TRUTH[name]["cut"])


@pytest.mark.parametrize("name", TRUTH)
def test_a_file_joined_to_itself_is_told_right_or_as_an_estimate(name: str) -> None:
    assert is_honest(length_of(content(name) * 2), TRUTH[name]["twice"])


@pytest.mark.parametrize("name", ["pcm.wav", "cbr.mp3", "vbr-without-xing.mp3", "adts.aac", "vorbis.ogg", "opus.webm"])
def test_what_is_there_of_a_file_that_was_cut_off_is_certain(name: str) -> None:
    found = length_of(cut(name))
    assert found is not None
    assert found.is_certain


@pytest.mark.parametrize("name", ["piped-pcm.wav", "vbr.mp3", "cover.mp3", "adts.aac", "vorbis.ogg", "opus.ogg"])
def test_files_that_players_play_to_the_end_are_certain_when_joined(name: str) -> None:
    found = length_of(content(name) * 2)
    assert found is not None
    assert found.is_certain


@pytest.mark.parametrize("name", ["tone.m4a", "film.mp4", "alac.m4a"])
def test_without_its_index_the_length_is_unknown(name: str) -> None:
    assert length_of(cut(name)) is None


@pytest.mark.parametrize("name", ["vorbis.ogg", "adts.aac", "opus.webm", "cover.mp3", "tone.m4a", "tone.flac"])
def test_an_open_file_is_measured_like_its_bytes_and_left_where_it_stood(name: str) -> None:
    with (DATA / name).open("rb") as file:
        file.seek(17)
        assert length_of(file) == length_of(content(name))
        assert file.tell() == 17


# Heads that lie


def patched(name: str, mark: bytes, offset: int, value: bytes) -> bytes:
    """The file with other bytes at an offset from the first ``mark``."""
    whole = bytearray(content(name))
    at = whole.index(mark) + offset
    whole[at : at + len(value)] = value
    return bytes(whole)


def flac_with_samples(name: str, samples: int) -> bytes:
    whole = content(name)
    packed = int.from_bytes(whole[18:26], "big") >> 36 << 36 | samples
    return whole[:18] + packed.to_bytes(8, "big") + whole[26:]


def id3(size: int, body: bytes) -> bytes:
    return b"ID3\4\0\0" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0)) + body


LIES: dict[str, tuple[str, Callable[[str], bytes]]] = {
    "a WAV file with less data than there is": ("pcm.wav", lambda name: patched(name, b"data", 4, b"\0\4\0\0")),
    "a WAV file with more data than there is": ("pcm.wav", lambda name: patched(name, b"data", 4, b"\xff\xff\xff\x7f")),
    "a WAV file with no size": ("pcm.wav", lambda name: patched(name, b"data", 4, bytes(4))),
    "a WAV file with another block than its samples take": (
        "pcm.wav",
        lambda name: patched(name, b"fmt ", 8 + 12, b"\2\0"),
    ),
    "a FLAC file with too many samples": ("tone.flac", lambda name: flac_with_samples(name, 8000 * 600)),
    "a FLAC file with too few samples": ("tone.flac", lambda name: flac_with_samples(name, 8000)),
    "a FLAC file in another rate than its frames": ("tone.flac", lambda name: flac_with_samples(name, 0)),
    "an MP3 file whose table counts too many frames": ("vbr.mp3", lambda name: patched(name, b"Xing", 8, b"\0\1\0\0")),
    "an MP4 file with another length": ("tone.m4a", lambda name: patched(name, b"mdhd", 20, b"\0\xff\0\0")),
    "an MP4 file with another film's length": ("tone.m4a", lambda name: patched(name, b"mvhd", 20, b"\0\xff\0\0")),
    "an MP4 file with another unit of time": ("tone.m4a", lambda name: patched(name, b"mdhd", 16, b"\0\0\x0f\xa0")),
    "an MP4 file with longer packets": ("tone.m4a", lambda name: patched(name, b"stts", 16, b"\0\0\x06\0")),
    "an MP4 file with more packets": ("tone.m4a", lambda name: patched(name, b"stts", 12, b"\0\0\1\0")),
    "an MP4 file with fewer packets": ("tone.m4a", lambda name: patched(name, b"stts", 12, b"\0\0\0\x10")),
    "an MP4 file that plays a part": ("tone.m4a", lambda name: patched(name, b"elst", 12, b"\0\0\x07\xd0")),
    "a WebM file with another length": (
        "vorbis.webm",
        lambda name: patched(name, b"\x44\x89\x88", 3, struct.pack(">d", 99_000.0)),
    ),
    "a WebM file of Opus with another length": (
        "opus.webm",
        lambda name: patched(name, b"\x44\x89\x88", 3, struct.pack(">d", 99_000.0)),
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_head_that_lies_is_not_believed(lie: str) -> None:
    name, make = LIES[lie]
    assert is_honest(length_of(make(name)), TRUTH[name]["whole"])


@pytest.mark.parametrize("name", ["cbr.mp3", "adts.aac", "tone.flac"])
def test_large_tags_are_passed_over(name: str) -> None:
    size = 3_000_000
    found = length_of(id3(size, os.urandom(size)) + content(name) + b"TAG" + bytes(125))
    assert found is not None
    assert is_right(found, TRUTH[name]["whole"])
    assert found.is_certain


@pytest.mark.parametrize("name", ["cbr.mp3", "adts.aac", "cover.mp3"])
def test_a_tag_that_reaches_into_the_sound_makes_the_length_an_estimate(name: str) -> None:
    whole = content(name)
    assert is_honest(length_of(id3(len(whole) // 2, b"") + whole), TRUTH[name]["whole"])


def test_files_of_different_kinds_that_were_joined_are_an_estimate() -> None:
    """Players stop, or go on with what they make of the second one."""
    pairs = [("vorbis.ogg", "opus.ogg"), ("opus.webm", "vorbis.webm"), ("film.webm", "opus.webm")]
    for one, other in (*pairs, ("tone.m4a", "alac.m4a"), ("tone.flac", "silence.flac")):
        found = length_of(content(one) + content(other))
        assert found is not None
        assert not found.is_certain


def test_tags_between_joined_files_and_padding_are_no_sound() -> None:
    whole = content("cbr.mp3")
    found = length_of(whole + b"TAG" + bytes(125) + id3(5000, bytes(5000)) + bytes(900) + whole)
    assert found is not None
    assert found.is_certain
    assert is_right(found, TRUTH["cbr.mp3"]["twice"])


# Parts that are missing or do not belong


def pages(ogg: bytes) -> list[bytes]:
    starts = [at for at in range(len(ogg)) if ogg.startswith(b"OggS\0", at)]
    return [ogg[begin:end] for begin, end in pairwise([*starts, len(ogg)])]


@pytest.mark.parametrize("name", ["vorbis.ogg", "opus.ogg", "piped-opus.ogg", "flac.ogg"])
def test_a_recording_that_begins_in_the_middle_is_not_as_long_as_its_last_position_says(name: str) -> None:
    all_pages = pages(content(name))
    heads = [page for page in all_pages if page[6:14] == bytes(8)]
    sound = all_pages[len(heads) :]
    rest = sound[len(sound) // 2 :]
    found = length_of(b"".join(heads + rest))
    assert is_honest(found, TRUTH[name]["whole"] * len(rest) / len(sound))
    assert found is None or float(found.seconds) < TRUTH[name]["whole"] * 0.9


@pytest.mark.parametrize("name", TRUTH)
def test_a_file_with_a_hole_is_told_right_or_as_an_estimate(name: str) -> None:
    whole = content(name)
    holed = whole[: len(whole) // 2] + whole[len(whole) * 7 // 10 :]
    assert is_honest(length_of(holed), TRUTH[name]["holed"])


@pytest.mark.parametrize("name", ["cbr.mp3", "adts.aac", "vorbis.ogg", "opus.webm"])
def test_what_is_no_sound_makes_the_length_an_estimate(name: str) -> None:
    found = length_of(content(name) + b"no sound" * 500)
    assert found is not None
    assert not found.is_certain


def without_a_fragment(name: str) -> bytes:
    whole = content(name)
    starts = [at - 4 for at in range(len(whole)) if whole.startswith(b"moof", at)]
    return whole[: starts[2]] + whole[starts[3] :]


def with_a_block_that_reaches_beyond_the_end(name: str) -> bytes:
    whole = content(name)
    at = whole.index(b"\xa3", len(whole) // 3)
    return whole[:at] + b"\xa3\x08\xff\xff\xff" + whole[at:]


@pytest.mark.parametrize(
    "damaged",
    [
        without_a_fragment("piped-fragmented.mp4"),
        with_a_block_that_reaches_beyond_the_end("piped-opus.webm"),
        content("film.mpeg")[:20_000] + bytes(5000) + content("film.mpeg")[20_000:],
        content("adts.aac")[:20_000] + b"x" * 100 + content("adts.aac")[20_000:],
        content("cbr.mp3")[:5_000] + b"x" * 100 + content("cbr.mp3")[5_000:],
    ],
    ids=["a fragment", "a block", "packs", "ADTS frames", "MP3 frames"],
)
def test_what_is_missing_between_parts_that_are_whole_makes_the_length_an_estimate(damaged: bytes) -> None:
    found = length_of(damaged)
    assert found is not None
    assert not found.is_certain


def test_a_page_that_was_damaged_makes_the_length_an_estimate() -> None:
    whole = bytearray(content("vorbis.ogg"))
    last = whole.rindex(b"OggS")
    whole[last + 6 : last + 14] = (55 * 8000).to_bytes(8, "little")
    found = length_of(bytes(whole))
    assert found is not None
    assert not found.is_certain


def test_a_file_that_groq_would_refuse_for_its_size_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.wav"
    path.write_bytes(content("piped-pcm.wav"))
    os.truncate(path, 300 * 1024 * 1024)
    with path.open("rb") as file:
        assert length_of(file) is None


@pytest.mark.parametrize("noise", [b"", b"noise" * 100, b"\x89PNG\r\n\x1a\n" + bytes(100), b"{}"])
def test_what_is_no_audio_has_no_length(noise: bytes) -> None:
    assert length_of(noise) is None


# Whatever people upload


@st.composite
def damaged(draw: Any) -> bytes:
    """A file of the test data in which bytes were changed, lost or doubled."""
    data = bytearray(content(draw(st.sampled_from(sorted(TRUTH)))))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.one_of(st.integers(0, 300), st.integers(0, max(len(data), 1))))
        size = draw(st.integers(0, 64))
        kind = draw(st.sampled_from(["change", "lose", "double", "cut"]))
        if kind == "change":
            data[at : at + size] = draw(st.binary(min_size=size, max_size=size))
        elif kind == "lose":
            del data[at : at + size]
        elif kind == "double":
            data[at:at] = data[at : at + size]
        else:
            del data[max(at, 100) :]
    return bytes(data)


@settings(max_examples=400, deadline=None)
@given(damaged())
def test_a_damaged_file_is_measured_or_not_but_quickly(data: bytes) -> None:
    begun = time.thread_time()
    found = length_of(data)
    assert time.thread_time() - begun < MOST_SECONDS
    assert found is None or 0 < found.seconds < 1_000_000


MEGABYTES = 4 * 1024 * 1024
HEAD_OF_OGG = content("piped-opus.ogg")[:47]
HARD: dict[str, Callable[[], bytes]] = {
    "one byte": lambda: b"\xff" * MEGABYTES,
    "heads of frames": lambda: b"\xff\xfb\x90" * (MEGABYTES // 3),
    "frames with gaps": lambda: (content("cbr.mp3")[1000:1200] + b"x") * (MEGABYTES // 200),
    "empty ADTS frames": lambda: bytes.fromhex("fff15c4000fffc") * (MEGABYTES // 7),
    "empty tags": lambda: id3(0, b"") * (MEGABYTES // 10),
    "marks of Ogg": lambda: (HEAD_OF_OGG + b"x") * (MEGABYTES // 48),
    "empty pages": lambda: (b"OggS" + bytes(23)) * (MEGABYTES // 27),
    "heads of FLAC": lambda: (content("tone.flac")[:42] + b"\x84\0\0\0") * (MEGABYTES // 46),
    "heads of FLAC frames": lambda: content("piped.flac")[:9000] + b"\xff\xf8\x68\x08\0" * (MEGABYTES // 5),
    "empty chunks": lambda: b"RIFF\0\0\0\0WAVE" + (b"LIST" + bytes(4)) * (MEGABYTES // 8),
    "empty boxes": lambda: (b"\0\0\0\x08free") * (MEGABYTES // 8),
    "an index of chunks that go back": lambda: going_back(MEGABYTES // 40),
    "empty fragments": lambda: (b"\0\0\0\x08moof\0\0\0\x08mdat") * (MEGABYTES // 16),
    "empty elements": lambda: content("opus.webm")[:40] + b"\xec\x80" * (MEGABYTES // 2),
    "empty packs": lambda: content("film.mpeg")[:12] + bytes.fromhex("000001be0000") * (MEGABYTES // 6),
}


def box(name: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return (len(body) + 8).to_bytes(4, "big") + name + body


def going_back(entries: int) -> bytes:
    """An MP4 file whose table of chunks returns to the first one at every other entry."""

    def table(name: bytes, count: int, body: bytes) -> bytes:
        return box(name, bytes(4), count.to_bytes(4, "big"), body)

    runs = (struct.pack(">III", 1, 0, 1) + struct.pack(">III", entries, 0, 1)) * (entries // 2)
    tables = table(b"stco", entries, bytes(4 * entries)) + table(b"stsc", len(runs) // 12, runs)
    handler = box(b"hdlr", bytes(8), b"soun", bytes(12))
    media = box(b"mdia", handler, box(b"minf", box(b"stbl", tables)))
    return box(b"ftyp", b"isom") + box(b"moov", box(b"trak", media))


@pytest.mark.parametrize("kind", HARD)
def test_no_file_is_so_hard_that_measuring_takes_long(kind: str) -> None:
    data = HARD[kind]()
    begun = time.thread_time()
    length_of(data)
    assert time.thread_time() - begun < MOST_SECONDS


@given(st.binary(max_size=300), st.sampled_from([b"", b"RIFF", b"\x1a\x45\xdf\xa3", b"ID3", b"OggS", b"fLaC"]))
def test_measuring_never_raises(rest: bytes, magic: bytes) -> None:
    found = length_of(magic + rest)
    assert found is None or found.seconds > 0


# What the answer tells, and what is recorded


@pytest.mark.parametrize(
    "told",
    [
        {"duration": 12.5},
        {"duration": "12.5"},
        {"usage": {"type": "duration", "seconds": 12.5}},
        {"usage": {"seconds": "12.5"}},
        {"usage": {"duration": 12.5}},
        {"x_groq": {"id": "req_1", "duration": 12.5}},
        {"x_groq": {"usage": {"seconds": 12.5}}},
        {"duration": 12.5, "usage": {"seconds": 13}},
        {"seconds": 12.5},
        {"duration": 0, "usage": {"seconds": 12.5}},
        {"duration": "NaN", "usage": {"seconds": 12.5}},
    ],
    ids=json.dumps,
)
def test_a_length_that_the_answer_tells_in_any_shape(told: dict[str, Any]) -> None:
    answer = Answer("transcription", "application/json")
    answer.feed(json.dumps({"text": "Hello", **told}).encode())
    answer.end()
    assert answer.audio_seconds == Decimal("12.5")


@pytest.mark.parametrize("told", [{}, {"duration": 0}, {"duration": -1}, {"duration": True}, {"usage": 3}], ids=str)
def test_a_length_that_the_answer_does_not_tell(told: dict[str, Any]) -> None:
    answer = Answer("translation", "application/json")
    answer.feed(json.dumps({"text": "Hello", **told}).encode())
    answer.end()
    assert answer.audio_seconds is None


def test_a_length_that_an_event_tells_stays_when_others_follow() -> None:
    answer = Answer("transcription", "text/event-stream")
    answer.feed(b'data: {"usage": {"type": "duration", "seconds": 7}}\n\ndata: {"text": "Hello"}\n\ndata: [DONE]\n\n')
    answer.end()
    assert answer.audio_seconds == 7


@pytest.mark.parametrize("name", ["vorbis.ogg", "adts.aac"])
def test_a_file_is_recorded_with_its_length(sim: SimulatorHandle, memory: Memory, name: str) -> None:
    client = Groq(api_key="gsk_test", base_url=sim.base_url, recorder=memory)
    client.audio.transcriptions.create(model="whisper-large-v3", file=DATA / name)
    usage = memory.only.usage
    assert not usage.estimated
    assert float(usage.audio_seconds) == pytest.approx(TRUTH[name]["whole"], rel=0.01)


def test_a_length_that_is_not_certain_is_recorded_as_an_estimate(sim: SimulatorHandle, memory: Memory) -> None:
    client = Groq(api_key="gsk_test", base_url=sim.base_url, recorder=memory)
    joined = io.BytesIO(content("tone.m4a") * 2)
    joined.name = "joined.m4a"
    client.audio.transcriptions.create(model="whisper-large-v3", file=joined)
    assert (memory.only.usage.audio_seconds, memory.only.usage.estimated) == (Decimal(12), True)
