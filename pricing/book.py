"""All price versions in memory, for those who price many calls: the recorder's view of the price table."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple, Self

import psycopg
from psycopg.rows import tuple_row

from pricing.models import Price, order


class Generation(NamedTuple):
    """Which versions there are. The table only grows, so that this tells; the last two settle it after a truncation."""

    versions: int
    last_id: int | None
    last_created_at: datetime | None


GENERATION_SQL = "SELECT count(*), max(id), max(created_at) FROM pricing_price"
"""The present Generation in one row. Cheap; ``current`` asks it, or a recorder among its other statements."""

_FIELDS = Price._meta.concrete_fields
_ALL_SQL = f"SELECT {', '.join(str(field.column) for field in _FIELDS)} FROM pricing_price"  # noqa: S608


class PriceBook:
    """The price table as of one generation. Never changes, so threads share it."""

    def __init__(self, versions: Iterable[Price]) -> None:
        scopes: dict[tuple[str, str, int | None], list[Price]] = defaultdict(list)
        created = []
        for version in sorted(versions, key=order, reverse=True):
            scopes[version.provider, version.model, version.organization_id].append(version)
            created.append((version.pk, version.created_at))
        self._scopes = dict(scopes)
        self.generation = Generation(
            len(created), max((pk for pk, _ in created), default=None), max((at for _, at in created), default=None)
        )

    @classmethod
    def load(cls, connection: psycopg.Connection) -> Self:
        """Read the table in one statement."""
        with connection.cursor(row_factory=tuple_row) as cursor:
            return cls([_version(row) for row in cursor.execute(_ALL_SQL)])

    def in_force(self, provider: str, model: str, organization_id: int | None, at: datetime) -> Price | None:
        """What ``Price.objects.in_force`` answers. See pick_in_force."""
        for scope in (organization_id, None):
            for version in self._scopes.get((provider, model, scope), ()):
                if version.effective_from <= at:
                    if version.follows_everybody:
                        break
                    return version
        return None


def current(connection: psycopg.Connection, generation: Generation | tuple[Any, ...] | None = None) -> PriceBook:
    """The book of the prices that are in the table now; read again only when there are new ones.

    A recorder that fetched GENERATION_SQL's row already passes it and saves the round trip.
    """
    global _book
    if generation is None:
        with connection.cursor(row_factory=tuple_row) as cursor:
            generation = cursor.execute(GENERATION_SQL).fetchone()
    book = _book
    if book is None or book.generation != generation:
        # Two threads may both read. Each goes on with a book that is no older than what it was told to look for, and
        # an older one that stays behind is found out by the next caller.
        _book = book = PriceBook.load(connection)
    return book


_book: PriceBook | None = None


def _version(row: tuple[Any, ...]) -> Price:
    """A row as a model instance. The recorder's connection is not Django's, so Django's converters are called here."""
    values = [
        field.from_db_value(value) if hasattr(field, "from_db_value") else value
        for field, value in zip(_FIELDS, row, strict=True)
    ]
    return Price.from_db("default", [field.attname for field in _FIELDS], values)
