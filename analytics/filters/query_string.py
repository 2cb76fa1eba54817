"""The query string as a value. Every link on a page is the page's own query string with a change."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlencode


@dataclass(frozen=True, slots=True)
class QueryString:
    """Pairs in a fixed order, so that one state has one address."""

    pairs: tuple[tuple[str, str], ...] = ()

    def values(self, name: str) -> tuple[str, ...]:
        return tuple(value for key, value in self.pairs if key == name)

    def first(self, name: str) -> str:
        """The first value of a name; empty if there is none."""
        return next((value for key, value in self.pairs if key == name), "")

    def replaced(self, name: str, values: Iterable[str]) -> "QueryString":
        """This query string with other values for one name."""
        others = tuple(pair for pair in self.pairs if pair[0] != name)
        return QueryString(others + tuple((name, value) for value in values))

    def without(self, *names: str) -> "QueryString":
        return QueryString(tuple(pair for pair in self.pairs if pair[0] not in names))

    @property
    def string(self) -> str:
        return "&".join(map(_encoded, self.pairs))

    def __str__(self) -> str:
        """The query string as a relative address. A bare question mark leads back to the defaults."""
        return f"?{self.string}"


@lru_cache(maxsize=10_000)
def _encoded(pair: tuple[str, str]) -> str:
    """The pair, encoded for an address. The results are cached, because the links of a page share most pairs."""
    return urlencode((pair,))
