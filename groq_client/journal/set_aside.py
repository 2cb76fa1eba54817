"""Files beside the journals for calls that can never arrive, so that somebody can examine them."""

import os
from pathlib import Path


def append_line(path: Path, line: str, limit: int) -> None:
    """Add a line to a file and sync it to the disk. OSError if the disk has no room, or if the file is larger than
    ``limit`` bytes."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        size, whole = os.fstat(fd).st_size, f"{line}\n".encode()
        if size > limit:
            raise OSError(f"{path.name} has reached its limit")
        if os.write(fd, whole) < len(whole):
            os.ftruncate(fd, size)  # the next line must not be joined to a part of this one
            raise OSError(f"the disk has no room for a line of {path.name}")
        os.fsync(fd)
    finally:
        os.close(fd)
