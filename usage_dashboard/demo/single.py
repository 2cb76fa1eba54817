"""Allows one demonstration at a time on the data of VAR_DIR, because a second would overwrite the first one's logs."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings


class AlreadyRunningError(Exception):
    """Another demonstration uses these data. The message has its address and says what to do."""


@contextmanager
def single_demo(address: str, port: int) -> Iterator[None]:
    """A lock for the time that a demonstration runs. Raises AlreadyRunningError if another one holds the lock.

    The kernel drops the lock when the holder ends in any way, so that a file that is left behind does no harm.
    """
    settings.VAR_DIR.mkdir(parents=True, exist_ok=True)
    fd = os.open(settings.VAR_DIR / "demo.lock", os.O_RDWR | os.O_CREAT, 0o640)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunningError(_what_to_do(os.read(fd, 1000).decode(), min(port + 1, 65_535))) from None
        os.ftruncate(fd, 0)
        os.write(fd, f"{address} (process {os.getpid()})".encode())
        yield
    finally:
        os.close(fd)


def _what_to_do(address: str, port: int) -> str:
    return (
        f"A demonstration with the data in {settings.VAR_DIR} is running already: {address}\n"
        f"End that one with Ctrl-C first, or give this one data of its own: VAR_DIR=var/second make demo PORT={port}"
    )
