"""Hashing of passwords, which occupies a core and much memory. Only a few hashes run at a time, and none holds a
database connection.

New passwords are hashed by Argon2. A password that an older release hashed by PBKDF2 is hashed anew when its owner
signs in. As both kinds may be stored, a refused sign-in does the work of both, so that the time of the answer does not
tell which kind a name has, or whether anybody has the name.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher, PBKDF2PasswordHasher, get_hashers

from accounts.database import let_go_of_the_database
from accounts.places import NoPlaceError

PATIENCE_SECONDS = 5.0
"""The longest wait for a place."""

_places = threading.BoundedSemaphore(settings.PASSWORD_HASHES_AT_ONCE)
_work: "ContextVar[Work | None]" = ContextVar("work", default=None)


class Argon2(Argon2PasswordHasher):
    """Django's Argon2id with the parameters that OWASP recommends, and with a limit on simultaneous hashes.

    NoPlaceError if no place becomes free within PATIENCE_SECONDS; then no password was checked or changed.
    """

    time_cost = 2
    memory_cost = 47_104  # KiB: as many times 46 MiB as there are hashes at once
    parallelism = 1

    def encode(self, password: str, salt: str) -> str:
        with _place(type(self)):
            return str(super().encode(password, salt))

    def verify(self, password: str, encoded: str) -> bool:
        with _place(type(self)):
            return bool(super().verify(password, encoded))


class Pbkdf2(PBKDF2PasswordHasher):
    """Django's hasher by PBKDF2, with the same limit. Its ``verify`` calls ``encode``."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        with _place(type(self)):
            return super().encode(password, salt, iterations)


class Work:
    """The kinds of hashes that were computed so far, and whether the others are to be computed too."""

    def __init__(self) -> None:
        self.done: set[type] = set()
        self.is_wanted = True


@contextmanager
def same_work_for_everybody(password: str) -> Iterator[Work]:
    """Compute, at the end, one hash of each kind that was not computed inside. Nothing more is computed after an error,
    or if ``is_wanted`` of the work is set to False."""
    token = _work.set(work := Work())
    try:
        yield work
        for hasher in get_hashers() if work.is_wanted else ():
            if isinstance(hasher, Argon2 | Pbkdf2) and type(hasher) not in work.done:
                hasher.encode(password, hasher.salt())
    finally:
        _work.reset(token)


@contextmanager
def _place(kind: type) -> Iterator[None]:
    let_go_of_the_database()
    if not _places.acquire(timeout=PATIENCE_SECONDS):
        raise NoPlaceError
    try:
        yield
    finally:
        _places.release()
    if work := _work.get():
        work.done.add(kind)
