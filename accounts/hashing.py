"""Hashing of passwords, which occupies a core for half a second. Only a few hashes run at a time, and none holds a
database connection."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher

from accounts.database import let_go_of_the_database
from accounts.places import NoPlaceError

PATIENCE_SECONDS = 5.0
"""The longest wait for a place."""

_places = threading.BoundedSemaphore(settings.PASSWORD_HASHES_AT_ONCE)


class Hasher(PBKDF2PasswordHasher):
    """Django's hasher with a limit on simultaneous hashes, for every page that checks or sets a password.

    NoPlaceError if no place becomes free within PATIENCE_SECONDS; then no password was checked or changed.
    """

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        let_go_of_the_database()
        with _place():
            return super().encode(password, salt, iterations)


@contextmanager
def _place() -> Iterator[None]:
    if not _places.acquire(timeout=PATIENCE_SECONDS):
        raise NoPlaceError
    try:
        yield
    finally:
        _places.release()
