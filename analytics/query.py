"""The query string as a value: every link on the page is the present one with a change."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlencode


@dataclass(frozen=True, slots=True)
class Query:
    """Pairs in a fixed order, so that one state has one address."""

    pairs: tuple[tuple[str, str], ...] = ()

    def values(self, name: str) -> tuple[str, ...]:
        return tuple(value for key, value in self.pairs if key == name)

    def replaced(self, name: str, values: Iterable[str]) -> "Query":
        """The same with other values for one name."""
        others = tuple(pair for pair in self.pairs if pair[0] != name)
        return Query(others + tuple((name, value) for value in values))

    def without(self, *names: str) -> "Query":
        return Query(tuple(pair for pair in self.pairs if pair[0] not in names))

    @property
    def string(self) -> str:
        return "&".join(map(_encoded, self.pairs))

    def __str__(self) -> str:
        """As a relative address; a bare question mark goes back to the defaults."""
        return f"?{self.string}"


@lru_cache(maxsize=10_000)
def _encoded(pair: tuple[str, str]) -> str:
    """A page has a hundred links, which hardly differ."""
    return urlencode((pair,))
