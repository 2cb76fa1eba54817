"""Limits on things that go on at the same time, in this process and for each person."""

import threading
from collections import Counter
from collections.abc import Generator, Hashable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class NoPlaceError(Exception):
    """All places are taken, or the person has all places that one person may have. Later there may be a place again."""


class Places:
    """A number of places in this process. One person can take only ``per_person`` of them, so that others get some."""

    def __init__(self, total: int, per_person: int) -> None:
        self._total = total
        self._per_person = per_person
        self._taken: Counter[Hashable] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def taken(self, person: Hashable) -> Iterator[None]:
        """Hold a place for a person, or whatever stands for one. NoPlaceError if there is none."""
        self.take(person)
        try:
            yield
        finally:
            self.give_back(person)

    def take(self, person: Hashable) -> None:
        """Take a place, which the caller gives back later. NoPlaceError if there is none."""
        with self._lock:
            if self._taken.total() >= self._total or self._taken[person] >= self._per_person:
                raise NoPlaceError
            self._taken[person] += 1

    def give_back(self, person: Hashable) -> None:
        with self._lock:
            self._taken[person] -= 1
            if not self._taken[person]:
                del self._taken[person]

    @property
    def number_taken(self) -> int:
        return self._taken.total()


def in_a_place(places: Places, person: Hashable, chunks: Generator[T, None, None]) -> Generator[T, None, None]:
    """The chunks, made while a place is held. NoPlaceError instead of the first chunk if there is no place."""
    with places.taken(person):
        yield from chunks
