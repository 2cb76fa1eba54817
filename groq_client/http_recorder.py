"""Recording in a ledger that is reached over HTTP, for programs that are not on its machine."""

import hashlib
import os
from pathlib import Path

import httpx

from groq_client.events_door import EventsDoor
from groq_client.journal.journal import Journal
from groq_client.journal.recorder import JournalRecorder
from groq_client.journal.writer import Writer
from groq_client.recorder import DIRECTORY, KEY, URL, configure

MEMORY = 2_000
"""At most this many calls wait in memory. Further calls wait only on disk."""
LIMIT_MB = 500


class HttpRecorder(JournalRecorder):
    """Records calls in the ledger at ``url`` (``https://usage.example.com``), with a ``key`` of the scope ``ingest``.

    Each process keeps its calls in a journal in ``directory`` until the ledger has them. The directory may be shared by
    processes with the same address and key, and has to be on a local disk; by default it is under ``XDG_STATE_HOME``.
    When all journals in it together have more than ``limit_mb`` megabytes, and memory is full, the calls that end then
    are lost, and are counted in ``lost``. ValueError if an argument is unusable.
    """

    def __init__(self, url: str, key: str, directory: str | Path | None = None, *, limit_mb: int = LIMIT_MB) -> None:
        url = _checked_url(url)
        key = _checked_key(key)
        path = Path(directory).resolve() if directory else _default_directory(url, key)
        self._door = EventsDoor(url, key, path)
        super().__init__(Writer(self._door, Journal(path, limit_mb * 1_000_000), MEMORY))

    @property
    def lost(self) -> int:
        """The number of calls of this process that are lost, because there was room neither in memory nor on disk."""
        return self._door.lost


def connect(url: str = "", key: str = "", directory: str | Path | None = None) -> HttpRecorder:
    """Record the calls of all clients of this process in the ledger at ``url``. Call it once, at the start.

    Arguments that are left out are read from ``GROQ_LEDGER_URL``, ``GROQ_LEDGER_KEY`` and ``GROQ_LEDGER_DIR``.
    ValueError if the address or the key is missing or unusable.
    """
    environ = os.environ
    directory = directory or environ.get(DIRECTORY)
    recorder = HttpRecorder(url or environ.get(URL, ""), key or environ.get(KEY, ""), directory)
    configure(recorder)
    return recorder


def _checked_url(text: str) -> str:
    """The address without a slash at its end."""
    try:
        url = httpx.URL(text.strip())
    except httpx.InvalidURL as error:
        raise ValueError(f"The ledger's address {text!r} cannot be read: {error}") from None
    if url.scheme not in ("http", "https") or not url.host or url.userinfo or url.query or url.fragment:
        raise ValueError(f"Give the ledger's address, such as https://usage.example.com, not {text!r} (or set {URL}).")
    return str(url).rstrip("/")


def _checked_key(text: str) -> str:
    key = text.strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError(f"Give a key of the ledger, gul_…, that has the scope 'ingest' (or set {KEY}).")
    return key


def _default_directory(url: str, key: str) -> Path:
    """A directory for this address and key, so that no process sends the calls of another organization."""
    name = hashlib.sha256(f"{url} {key}".encode()).hexdigest()[:16]
    try:
        state = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser()
    except RuntimeError:
        raise ValueError(
            f"There is no home directory: give a directory for the journal (or set {DIRECTORY})."
        ) from None
    return state / "groq_client" / name
