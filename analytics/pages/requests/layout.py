"""The columns of the list of requests and the length of its pages, as the query string chooses them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from accounts.viewer import Viewer
from analytics.filters.filters import PLACES, Filters
from analytics.filters.query_string import QueryString
from analytics.pages.requests.columns import COLUMNS, KEYS, TIME, Column, chosen_of, offered_to, seconds_of

ROWS = "rows"
"""The name in a query string for the number of requests on a page."""
SIZES = {"25": 25, "50": 50, "100": 100, "200": 200}
USUAL = 50
LONGEST_NAME = 40
"""The length to which an unknown name is cut where the page repeats it."""


@dataclass(frozen=True, slots=True)
class Layout:
    offered: Sequence[Column]
    chosen: Sequence[Column]
    seconds: Mapping[str, Column]
    """The columns that are second lines, by the key of the column that they are in."""
    size: int
    sizes: Sequence[int]
    errors: Sequence[str]
    """Sentences about values in the query string that cannot be followed."""
    kept: QueryString
    """What the form sends besides its own fields."""
    usual: QueryString
    """The address of the list with the usual columns and length."""


def layout_of(viewer: Viewer, filters: Filters) -> Layout:
    keys, rows = filters.query.values(COLUMNS), filters.query.first(ROWS)
    offered = offered_to(viewer)
    chosen = chosen_of(offered, keys)
    usual = (TIME, *(column.key for column in chosen_of(offered, ())))
    kept = filters.query.without(*PLACES, COLUMNS, ROWS)
    return Layout(
        offered=offered,
        chosen=chosen,
        seconds=seconds_of(offered, chosen),
        size=SIZES.get(rows, USUAL),
        sizes=tuple(SIZES.values()),
        errors=[*_column_errors(keys), *_row_errors(rows)],
        kept=kept,
        usual=kept.replaced(COLUMNS, usual).replaced(ROWS, (str(USUAL),)),
    )


def _column_errors(keys: Sequence[str]) -> list[str]:
    unknown = [key for key in keys if key not in KEYS]
    if not unknown:
        return []
    return [f"There is no column “{unknown[0][:LONGEST_NAME]}”. Choose columns from the menu Columns."]


def _row_errors(rows: str) -> list[str]:
    if not rows or rows in SIZES:
        return []
    return [f"A page has {', '.join(SIZES)} requests. This shows {USUAL}."]
