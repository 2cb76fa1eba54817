"""The recorder that calls are told to, and the promise that its failures never reach a caller."""

import itertools
import logging

from groq_client.call import Call, CallRefused, Recorder

logger = logging.getLogger("groq_client")

_default: Recorder | None = None
_failures = itertools.count(1)
_failure_count = 0


def configure(recorder: Recorder | None) -> None:
    """Sets the recorder of every client that was not given its own; ``None`` turns recording off."""
    global _default
    _default = recorder


def default_recorder() -> Recorder | None:
    return _default


def failures() -> int:
    """How often recording has failed in this process: each one is in the log, none reached a caller."""
    return _failure_count


def note_failure(what: str) -> None:
    """Logs and counts the exception that is being handled."""
    global _failure_count
    _failure_count = next(_failures)
    logger.exception("groq_client: %s failed; the call itself is not affected", what)


def is_blocking(recorder: Recorder, step: str) -> bool:
    """Whether ``start`` or ``finish`` may block, which keeps it off an event loop.

    A recorder that only appends to memory says so with ``start_is_blocking = False`` or ``finish_is_blocking = False``.
    """
    try:
        return bool(getattr(recorder, f"{step}_is_blocking", True))
    except Exception:
        note_failure(f"asking the recorder whether its {step} blocks")
        return True


def start(recorder: Recorder, call: Call) -> None:
    """Tells the recorder that ``call`` starts. Raises :class:`CallRefused`, and nothing else."""
    try:
        recorder.start(call)
    except CallRefused:
        raise
    except Exception:
        note_failure("the recorder's start")


def finish(recorder: Recorder, call: Call) -> None:
    """Tells the recorder that ``call`` has ended."""
    try:
        recorder.finish(call)
    except Exception:
        note_failure("the recorder's finish")


def flush(timeout: float | None) -> bool:
    """Has the default recorder write what it keeps, where it has a ``flush(timeout)`` (seconds; None: no limit)."""
    write_out = getattr(_default, "flush", None)
    if write_out is None:
        return True
    try:
        return bool(write_out(timeout))
    except Exception:
        note_failure("the recorder's flush")
        return False
