"""Search for rows by words."""

from collections.abc import Iterable
from typing import TypeVar

from django.db.models import Model, Q, QuerySet

from accounts.names import folded

MAX_WORDS = 8
"""At most this number of words is searched. More words hardly narrow a search down, and each costs a pass over the
rows."""

Row = TypeVar("Row", bound=Model)


def containing(rows: QuerySet[Row], text: str, fields: Iterable[str]) -> QuerySet[Row]:
    """The rows in which each word of the text occurs in one of the fields, ignoring case. A field of keys (``…_key``)
    also ignores spelling, as ``accounts.names`` does. A field ``aliases__…`` is searched in all aliases of a row."""
    names = list(fields)
    for word in text.split()[:MAX_WORDS]:
        rows = rows.filter(Q(*(_has(rows.model, name, word) for name in names), _connector=Q.OR))
    return rows


def _has(model: type[Row], field: str, word: str) -> Q:
    condition = Q((f"{field}__contains", folded(word))) if field.endswith("_key") else Q((f"{field}__icontains", word))
    if field.startswith("aliases__"):  # A join would return a row once for each alias.
        return Q(pk__in=model._default_manager.filter(condition).values("pk"))
    return condition
