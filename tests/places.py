"""Directories for the data of servers that tests start."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


@contextmanager
def open_directory() -> Iterator[Path]:
    """A directory that every user may enter, unlike those of pytest. A server that root starts runs as another user,
    and would otherwise keep its data in a place that no test cleans up."""
    with TemporaryDirectory(prefix="usage-", ignore_cleanup_errors=True) as name:
        path = Path(name)
        path.chmod(0o755)
        yield path
