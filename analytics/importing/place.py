"""How far an import came: a small SQLite file beside the imported one, written after every batch.

It also counts lines that are word for word alike, by their digests, so that those without a request id get ids that are
the same each time: memory stays flat however many there are, and place and counts cannot come apart.
"""

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Self

FINGERPRINT_BYTES = 64 * 1024
TABLES = """
CREATE TABLE IF NOT EXISTS place (row INTEGER PRIMARY KEY CHECK (row = 1), found TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS alike (digest BLOB PRIMARY KEY, times INTEGER NOT NULL) WITHOUT ROWID;
"""


class NoPlaceError(Exception):
    """The import cannot be resumed where it stopped; the message says why."""


@dataclass(slots=True)
class Place:
    """Where the next line begins, what was done before it, and the size of the file of errors then."""

    number: int = 0
    offset: int = 0
    errors_size: int = 0
    read: int = 0
    added: int = 0
    known: int = 0
    refused: int = 0
    ignored: list[str] = field(default_factory=list)


class PlaceKeeper:
    """Keeps a Place and what ``stable_id`` needs. Without a path in a temporary file that is gone with the process."""

    def __init__(self, path: Path | None, what: Mapping[str, object]) -> None:
        self._path = path
        self.place = Place()
        self._what = json.loads(json.dumps(what))
        self._database = sqlite3.connect("" if path is None else path)
        self._database.executescript(f"PRAGMA synchronous = OFF; {TABLES}")

    @classmethod
    def new(cls, path: Path | None, what: Mapping[str, object]) -> Self:
        """From the beginning. ``what`` is the file and how it is read, by which it is known again."""
        if path is not None:
            path.unlink(missing_ok=True)
        return cls(path, what)

    @classmethod
    def found(cls, path: Path, what: Mapping[str, object]) -> Self:
        """Where an import stopped. NoPlaceError if that was another file, or read in another way."""
        try:
            keeper = cls(path, what)
            row = keeper._database.execute("SELECT found FROM place").fetchone()
            kept = json.loads(row[0]) if row else {"what": keeper._what, "place": {}}
        except (sqlite3.DatabaseError, ValueError) as error:
            raise NoPlaceError(f"{path} is damaged: {error}.") from error
        if kept["what"] != keeper._what:
            keeper.close()
            raise NoPlaceError(f"The file or the options are not those of the import that left {path}.")
        keeper.place = Place(**kept["place"])
        return keeper

    def keep(self) -> None:
        kept = json.dumps({"what": self._what, "place": asdict(self.place)})
        self._database.execute("INSERT OR REPLACE INTO place VALUES (1, ?)", [kept])
        self._database.commit()

    def stable_id(self, started_at: datetime, content: str) -> str:
        """32 hexadecimal digits, ordered in time as ``new_request_id`` makes them, which keeps indexes compact."""
        digest = hashlib.sha256(content.encode()).digest()
        count = "INSERT INTO alike VALUES (?, 1) ON CONFLICT DO UPDATE SET times = times + 1 RETURNING times"
        ((times,),) = self._database.execute(count, [digest[:16]]).fetchall()
        unique = hashlib.sha256(digest + str(times).encode()).hexdigest()
        return f"{int(started_at.timestamp() * 1000):012x}{unique[:20]}"

    def close(self) -> None:
        self._database.close()

    def forget(self) -> None:
        """The import is complete."""
        self.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def fingerprint(path: Path) -> dict[str, object]:
    """By which a file is known again without being read whole."""
    stat = path.stat()
    with path.open("rb") as file:
        beginning = hashlib.sha256(file.read(FINGERPRINT_BYTES)).hexdigest()
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "beginning": beginning}
