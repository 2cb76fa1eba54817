"""Calls the recorder, and keeps the recorder's failures away from the callers of Groq."""

import itertools
import logging
import os
import threading
from contextlib import suppress

from groq_client.call import Call, CallRefused, Recorder

logger = logging.getLogger("groq_client")

URL, KEY, DIRECTORY = "GROQ_LEDGER_URL", "GROQ_LEDGER_KEY", "GROQ_LEDGER_DIR"
"""The environment variables of a process that records over HTTP (``groq_client.http_recorder``)."""

_default: Recorder | None = None
_is_configured = False
_connecting = threading.RLock()
_unrecorded = itertools.count()
_failures = itertools.count(1)
_failure_count = 0


def configure(recorder: Recorder | None) -> None:
    """Sets the recorder of every client that has no recorder of its own; ``None`` turns recording off."""
    global _default, _is_configured
    _default, _is_configured = recorder, True


def default_recorder() -> Recorder | None:
    """The process's default recorder. If none was ever configured, it is made from the environment; if nothing is
    there either, the first call logs a warning."""
    if not _is_configured:
        if os.environ.get(URL):
            _connect_by_environment()
        elif next(_unrecorded) == 0:  # Of several threads exactly one gets the counter's zero.
            _warn_of_no_recorder()
    return _default


def _connect_by_environment() -> None:
    """Connects, once. A mistake in the environment is logged, and then nothing is recorded."""
    from groq_client.http_recorder import connect

    with _connecting:
        if _is_configured:
            return
        try:
            connect()
        except Exception:
            configure(None)
            note_failure(f"connecting by {URL} and {KEY}")


def _after_fork() -> None:
    global _connecting
    _connecting = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)


def _warn_of_no_recorder() -> None:
    with suppress(Exception):  # A filter of the program's own may raise.
        logger.warning(
            "groq_client: nothing is recorded, for no recorder is configured. Call groq_client.connect(url, key) once, "
            "at the start of the program, or usage_dashboard.connect() beside the ledger's own code. "
            "groq_client.configure(None) says that this is meant and keeps this line away."
        )


def failures() -> int:
    """The number of recording failures in this process. Each is in the log, and none was raised into a caller."""
    return _failure_count


def note_failure(what: str) -> None:
    """Logs and counts the exception that is being handled."""
    global _failure_count
    _failure_count = next(_failures)
    logger.exception("groq_client: %s failed; the call itself is not affected", what)


def is_blocking(recorder: Recorder, step: str) -> bool:
    """Whether the recorder's ``step`` (``start`` or ``finish``) may block and must not run on an event loop.

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


def ended(recorder: Recorder, call: Call) -> None:
    """Tells a recorder with an ``ended(call)`` method that a call ended whose usage is still being estimated.

    ``finish`` follows. The method is meant for a journal: it must not block, nor keep ``call``, whose usage is a guess.
    """
    tell = getattr(recorder, "ended", None)
    if tell is None:
        return
    try:
        tell(call)
    except Exception:
        note_failure("the recorder's ended")


def finish(recorder: Recorder, call: Call) -> None:
    """Tells the recorder that ``call`` has ended."""
    try:
        recorder.finish(call)
    except Exception:
        note_failure("the recorder's finish")


def flush(timeout: float | None) -> bool:
    """Makes a default recorder with a ``flush(timeout)`` method write its calls (seconds; ``None``: no limit)."""
    write_out = getattr(_default, "flush", None)
    if write_out is None:
        return True
    try:
        return bool(write_out(timeout))
    except Exception:
        note_failure("the recorder's flush")
        return False
