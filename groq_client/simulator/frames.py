"""The frames of a whole stream, with the faults that a stream can have."""

from groq_client.simulator.answers import Answer, Asked
from groq_client.simulator.chunks import Chunks
from groq_client.simulator.errors import midstream
from groq_client.simulator.payloads import Envelope
from groq_client.simulator.wire import dumps


def stream_frames(asked: Asked, answer: Answer, envelope: Envelope) -> list[bytes]:
    """All frames of a stream, faults included. The last frame is ``[DONE]`` unless a fault changes that."""
    chunks = Chunks(asked, envelope)
    frames = [frame for number, choice in enumerate(answer.choices) for frame in chunks.of_choice(number, choice)]
    opening = chunks.opening(len(answer.choices))
    endings = chunks.endings(answer)
    return _FAULTY.get(envelope.fault, _faultless)(chunks, opening, frames, endings)


def _faultless(_: Chunks, opening: list[bytes], frames: list[bytes], endings: list[bytes]) -> list[bytes]:
    return opening + frames + endings


def _half(opening: list[bytes], frames: list[bytes]) -> list[bytes]:
    return opening + frames[: max(len(frames) // 2, 1)]


def _cut(_: Chunks, opening: list[bytes], frames: list[bytes], endings: list[bytes]) -> list[bytes]:
    return _half(opening, frames)


def _error_event(_: Chunks, opening: list[bytes], frames: list[bytes], endings: list[bytes]) -> list[bytes]:
    return [*_half(opening, frames), b"event: error\ndata: " + dumps(midstream().body()) + b"\n\n"]


def _error_data(_: Chunks, opening: list[bytes], frames: list[bytes], endings: list[bytes]) -> list[bytes]:
    return [*_half(opening, frames), b"data: " + dumps(midstream().body()) + b"\n\n"]


def _stopped_early(_: Chunks, opening: list[bytes], frames: list[bytes], endings: list[bytes]) -> list[bytes]:
    return [*_half(opening, frames), *endings]


def _broken_chunk(_: Chunks, opening: list[bytes], frames: list[bytes], endings: list[bytes]) -> list[bytes]:
    broken = opening[0][: len(opening[0]) // 2] + b"\n\n"
    return [*_half(opening, frames), broken, *endings]


def _without_done(_: Chunks, opening: list[bytes], frames: list[bytes], endings: list[bytes]) -> list[bytes]:
    return opening + frames + endings[:-1]


def _with_empty(chunks: Chunks, opening: list[bytes], frames: list[bytes], endings: list[bytes]) -> list[bytes]:
    middle = len(frames) // 2
    return [chunks.empty(), *opening, *frames[:middle], chunks.empty(), *frames[middle:], *endings]


_FAULTY = {
    "cut": _cut,
    "error-midstream": _error_event,
    "error-midstream-data": _error_data,
    "x-groq-error": _stopped_early,
    "truncated-json": _broken_chunk,
    "no-done": _without_done,
    "never-done": _without_done,
    "half": _cut,
    "empty-choices": _with_empty,
}
