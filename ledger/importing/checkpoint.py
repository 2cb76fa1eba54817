"""The checkpoint of an import: a small SQLite file beside the imported file, written after every batch.

The SQLite file also counts lines with equal content, by their digests, so that lines without a request id get the same
ids each time the file is imported. With the counts in this file the import needs little memory, and the counts always
fit the checkpoint.
"""

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Self

from ledger.importing.ids import digest_of, id_of

FINGERPRINT_BYTES = 64 * 1024
TABLES = """
CREATE TABLE IF NOT EXISTS checkpoint (row INTEGER PRIMARY KEY CHECK (row = 1), found TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS alike (digest BLOB PRIMARY KEY, times INTEGER NOT NULL) WITHOUT ROWID;
"""


class NoCheckpointError(Exception):
    """The import cannot be resumed at the place where it stopped; the message says why."""


@dataclass(slots=True)
class Checkpoint:
    """The position of the next line, the totals of the lines before, and the size of the file of refused lines."""

    number: int = 0
    offset: int = 0
    errors_size: int = 0
    read: int = 0
    added: int = 0
    known: int = 0
    refused: int = 0
    ignored: list[str] = field(default_factory=list)


class CheckpointKeeper:
    """Stores a Checkpoint, and the counts that ``stable_id`` needs. Without a path, both are in a temporary file that
    is deleted when the process ends."""

    def __init__(self, path: Path | None, what: Mapping[str, object]) -> None:
        self._path = path
        self.checkpoint = Checkpoint()
        self._what = json.loads(json.dumps(what))
        self._database = sqlite3.connect("" if path is None else path)
        self._database.executescript(f"PRAGMA synchronous = OFF; {TABLES}")

    @classmethod
    def new(cls, path: Path | None, what: Mapping[str, object]) -> Self:
        """A keeper for an import from the beginning. ``what`` identifies the file and the options of the import."""
        if path is not None:
            path.unlink(missing_ok=True)
        return cls(path, what)

    @classmethod
    def found(cls, path: Path, what: Mapping[str, object]) -> Self:
        """The keeper of an import that stopped. NoCheckpointError if the stored checkpoint is damaged, or belongs to
        another file or other options."""
        try:
            keeper = cls(path, what)
            row = keeper._database.execute("SELECT found FROM checkpoint").fetchone()
            kept = json.loads(row[0]) if row else {"what": keeper._what, "checkpoint": {}}
        except (sqlite3.DatabaseError, ValueError) as error:
            raise NoCheckpointError(f"{path} is damaged: {error}.") from error
        if kept["what"] != keeper._what:
            keeper.close()
            raise NoCheckpointError(f"The file or the options are not those of the import that left {path}.")
        keeper.checkpoint = Checkpoint(**kept["checkpoint"])
        return keeper

    def keep(self) -> None:
        """Store the present checkpoint."""
        kept = json.dumps({"what": self._what, "checkpoint": asdict(self.checkpoint)})
        self._database.execute("INSERT OR REPLACE INTO checkpoint VALUES (1, ?)", [kept])
        self._database.commit()

    def stable_id(self, started_at: datetime, content: str) -> str:
        """A request id that depends on the content, and on the number of equal lines before. See ``ids.id_of``."""
        digest = digest_of(content)
        count = "INSERT INTO alike VALUES (?, 1) ON CONFLICT DO UPDATE SET times = times + 1 RETURNING times"
        ((times,),) = self._database.execute(count, [digest[:16]]).fetchall()
        return id_of(started_at, digest, times)

    def close(self) -> None:
        self._database.close()

    def forget(self) -> None:
        """Delete the checkpoint, because the import is complete."""
        self.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def fingerprint(path: Path) -> dict[str, object]:
    """Values that identify a file, without reading all of it: its size, its time of change, and its beginning."""
    stat = path.stat()
    with path.open("rb") as file:
        beginning = hashlib.sha256(file.read(FINGERPRINT_BYTES)).hexdigest()
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "beginning": beginning}
