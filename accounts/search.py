"""Finding rows by words."""

from collections.abc import Iterable
from typing import TypeVar

from django.db.models import Model, Q, QuerySet

MAX_WORDS = 8
"""More do not narrow a search down, and each is another pass over the rows."""

Row = TypeVar("Row", bound=Model)


def containing(rows: QuerySet[Row], text: str, fields: Iterable[str]) -> QuerySet[Row]:
    """Rows that have each of the text's words in one of the fields, in whatever case."""
    names = list(fields)
    for word in text.split()[:MAX_WORDS]:
        rows = rows.filter(Q(*((f"{name}__icontains", word) for name in names), _connector=Q.OR))
    return rows
