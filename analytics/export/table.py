"""The grouped table as a file for spreadsheets: CSV, and XLSX with real numbers and dates.

Neither file has a line of totals, so that a spreadsheet can sum a column. CSV has costs with all digits. A number of
XLSX is a double by definition, which keeps fifteen digits: costs below a million dollars are exact.
"""

import csv
import io
import re
from collections.abc import Callable, Generator, Iterator
from datetime import date
from decimal import Decimal
from tempfile import TemporaryFile

from xlsxwriter import Workbook
from xlsxwriter.worksheet import Worksheet

from analytics.export.export import Format
from analytics.reports import GroupedRow, GroupedTable, Totals, snapshot
from ledger.event_columns import FORMULA

CHUNK_BYTES = 64 * 1024
ROWS_OF_A_CHUNK = 500
LOOKS_LIKE_FORMULA = re.compile(f"'*[{FORMULA}]")
"""The same pattern as in the export of events."""
NAMES = {
    "organization_id": "organization",
    "project_id": "project",
    "user_id": "user",
    "expert_id": "expert",
    "template_id": "template",
}
"""The names of columns of dimensions that are called otherwise in the ledger."""
BY_ID = frozenset({"organization_id", "project_id", "user_id"})
"""Dimensions with a second column for the id, because names may repeat."""
SUMS: dict[str, Callable[[Totals], int | Decimal | None]] = {
    "requests": lambda totals: totals.requests,
    "errors": lambda totals: totals.errors,
    "timeouts": lambda totals: totals.timeouts,
    "input_tokens": lambda totals: totals.input_tokens,
    "cached_tokens": lambda totals: totals.cached_tokens,
    "output_tokens": lambda totals: totals.output_tokens,
    "reasoning_tokens": lambda totals: totals.reasoning_tokens,
    "total_tokens": lambda totals: totals.total_tokens,
    "audio_seconds": lambda totals: totals.audio_seconds,
}
COSTS: dict[str, Callable[[Totals], int | Decimal | None]] = {
    "cost_usd": lambda totals: totals.cost_usd,
    "unpriced_requests": lambda totals: totals.unpriced,
}
"""The sums that only viewers who see cost get."""
WIDTHS = {"date": 12, "text": 28, "number": 16}
"""The widths of columns in characters."""
FORMATS = {"cost_usd": "#,##0.000000000", "audio_seconds": "#,##0.000"}
WHOLE = "#,##0"

Cell = str | int | Decimal | None


def table_csv(table: GroupedTable) -> Generator[bytes, None, None]:
    """The table as chunks of CSV. TooManyRowsError before the first chunk."""
    with snapshot():
        rows = table.rows()
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_header(table))
    text_of_day = date.isoformat if table.period == "day" else "{:%Y-%m}".format
    yield b"\xef\xbb\xbf"
    for number, row in enumerate(rows, 1):
        writer.writerow([text_of_day(row.day), *map(csv_cell, _cells(table, row))])
        if number % ROWS_OF_A_CHUNK == 0:
            yield _taken(text)
    yield _taken(text)


def table_xlsx(table: GroupedTable) -> Generator[bytes, None, None]:
    """The table as chunks of XLSX, which is complete on disk before its first chunk. TooManyRowsError as well."""
    with snapshot():
        rows = table.rows()
    with TemporaryFile() as file:
        # In constant memory each row goes to disk when the next one begins. Texts are never formulas or links.
        options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
        with Workbook(file, options) as book:
            _write(book, table, rows)
        file.seek(0)
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


TABLE_FILES = {
    "csv": Format("csv", "text/csv; charset=utf-8", table_csv),
    "xlsx": Format("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", table_xlsx),
}


def _write(book: Workbook, table: GroupedTable, rows: list[GroupedRow]) -> None:
    sheet: Worksheet = book.add_worksheet("Usage")
    header = _header(table)
    formats = [book.add_format({"num_format": form}) for form in _formats(table)]
    for place, name in enumerate(header):
        sheet.set_column(place, place, _width(table, name), formats[place])
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, len(rows), len(header) - 1)
    bold = book.add_format({"bold": True})
    for place, name in enumerate(header):
        sheet.write_string(0, place, name, bold)
    for line, row in enumerate(rows, 1):
        sheet.write_datetime(line, 0, row.day, formats[0])
        for place, cell in enumerate(_cells(table, row), 1):
            if isinstance(cell, str):
                sheet.write_string(line, place, cell)
            elif cell is not None:
                sheet.write_number(line, place, cell, formats[place])


def _formats(table: GroupedTable) -> Iterator[str]:
    for name in _header(table):
        if name == table.period:
            yield "yyyy-mm-dd" if name == "day" else "yyyy-mm"
        elif name in SUMS or name in COSTS:
            yield FORMATS.get(name, WHOLE)
        else:
            yield "General"


def _width(table: GroupedTable, name: str) -> int:
    if name == table.period:
        return WIDTHS["date"]
    return WIDTHS["number" if name in SUMS or name in COSTS or name in BY_ID else "text"]


def _sums(table: GroupedTable) -> dict[str, Callable[[Totals], int | Decimal | None]]:
    return SUMS | COSTS if table.viewer.sees_cost else SUMS


def _header(table: GroupedTable) -> list[str]:
    names = [table.period, *(name for dimension in table.dimensions for name in _columns(dimension))]
    return [*names, *_sums(table)]


def _columns(dimension: str) -> list[str]:
    name = NAMES.get(dimension, dimension)
    return [name, dimension] if dimension in BY_ID else [name]


def _cells(table: GroupedTable, row: GroupedRow) -> Iterator[Cell]:
    """The cells of a row after its day, in the order of the header. A call that names no project has no id of one."""
    for dimension, value, label in zip(table.dimensions, row.values, row.labels, strict=True):
        yield label
        if dimension in BY_ID:
            yield value or None
    for of_totals in _sums(table).values():
        yield of_totals(row.totals)


def csv_cell(cell: Cell) -> str:
    """The text of a cell: decimals without exponent, an apostrophe before what a spreadsheet takes for a formula."""
    if isinstance(cell, Decimal):
        return f"{cell:f}"
    if isinstance(cell, str):
        return f"'{cell}" if LOOKS_LIKE_FORMULA.match(cell) else cell
    return "" if cell is None else str(cell)


def _taken(text: io.StringIO) -> bytes:
    """What was written since the last time."""
    written = text.getvalue().encode()
    text.seek(0)
    text.truncate()
    return written
