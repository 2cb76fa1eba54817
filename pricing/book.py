"""All price versions in memory, for the recorder, which prices many calls."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple, Self

import psycopg
from psycopg.rows import tuple_row

from accounts import generation
from pricing.model_names import canonical
from pricing.models import Price, order

_FIELDS = Price._meta.concrete_fields
_ALL_SQL = f"SELECT {', '.join(str(field.column) for field in _FIELDS)} FROM pricing_price"  # noqa: S608


class Alias(NamedTuple):
    """A row of ``ModelAlias``."""

    id: int
    provider: str
    alias: str
    model: str


_ALIASES_SQL = f"SELECT {', '.join(Alias._fields)} FROM pricing_modelalias"  # noqa: S608 - made of our own words


class PriceBook:
    """The price table and the aliases of models, as of one generation. A book never changes, so threads share it."""

    def __init__(self, versions: Iterable[Price], aliases: Iterable[Alias] = ()) -> None:
        scopes: dict[tuple[str, str, int | None], list[Price]] = defaultdict(list)
        for version in sorted(versions, key=order, reverse=True):
            scopes[version.provider, version.model, version.organization_id].append(version)
        self._scopes = dict(scopes)
        self._priced = {(provider, model) for provider, model, _ in scopes}
        self._aliases = {(alias.provider, alias.alias): alias.model for alias in aliases}

    @classmethod
    def load(cls, connection: psycopg.Connection) -> Self:
        """A book read from both tables, with one statement for each."""
        with connection.cursor(row_factory=tuple_row) as cursor:
            versions = [_version(row) for row in cursor.execute(_ALL_SQL)]
            return cls(versions, [Alias._make(row) for row in cursor.execute(_ALIASES_SQL)])

    def model_called(self, provider: str, name: str) -> str:
        """The model that a name means. See ``model_names.canonical``."""
        return canonical(provider, name, self._aliases, lambda model: (provider, model) in self._priced)

    def in_force(self, provider: str, model: str, organization_id: int | None, at: datetime) -> Price | None:
        """The version in force for the model that a name means, as ``Price.objects.in_force`` finds it; None if there
        is none. See ``pick_in_force``."""
        model = self.model_called(provider, model)
        for scope in (organization_id, None):
            for version in self._scopes.get((provider, model, scope), ()):
                if version.effective_from <= at:
                    if version.follows_everybody:
                        break
                    return version
        return None


def current(connection: psycopg.Connection, now: str | None = None) -> PriceBook:
    """The book of the prices that are in the table now. The tables are only read again in another generation
    (``accounts.generation``). A recorder that knows the generation passes it as ``now`` and saves the round trip."""
    global _current
    if now is None:
        now = generation.current(connection)
    known, book = _current
    if book is None or known != now:
        # A change after the generation was asked for may be in this book already. Then the generation is another one,
        # so the next caller reads again. Of two threads that read, each uses its own book.
        book = PriceBook.load(connection)
        _current = now, book
    return book


_current: tuple[str, PriceBook | None] = "", None


def known() -> PriceBook | None:
    """The book that this process has read last, without a look into the database; None if it has read none yet."""
    return _current[1]


def _version(row: tuple[Any, ...]) -> Price:
    """A row as a model instance. The recorder's connection is not Django's, so this calls Django's converters."""
    values = [
        field.from_db_value(value) if hasattr(field, "from_db_value") else value
        for field, value in zip(_FIELDS, row, strict=True)
    ]
    return Price.from_db("default", [field.attname for field in _FIELDS], values)
