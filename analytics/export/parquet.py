"""The events of a log as a Parquet file, for pandas, Polars, DuckDB and the like, with the columns of the other files.

PostgreSQL copies the plain values of rows, and Arrow makes columns of them, one row group at a time: a file of any size
takes the memory of two row groups. Times are UTC, costs are decimals with nine places, texts are unchanged, and JSON is
text.
"""

from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pyarrow as pa
from pyarrow import csv, parquet

from analytics.export.export import Format, columns_of, copied
from analytics.export.sink import Sink
from analytics.reports import Log
from ledger.event_columns import DOLLARS, FLAGS, JSON, TEXTS, TIMES

GROUP_BYTES = 8 << 20
"""A row group is made of this much text, which is about 17,000 rows."""
UNIQUE = frozenset({"timestamp", "request_id", "provider_request_id", "response_id"})
"""Columns whose values hardly ever repeat, so that a dictionary of them would only make the file larger."""
MONEY = pa.decimal128(19, 9)
OTHERS = {
    "day": pa.date32(),
    "hour": pa.int16(),
    "http_status": pa.int16(),
    "attempts": pa.int16(),
    "audio_seconds": pa.decimal128(12, 3),
    "queue_ms": pa.float64(),
    "prompt_ms": pa.float64(),
    "completion_ms": pa.float64(),
}
"""The types of columns that are of none of the kinds. Others are whole numbers."""


def export_parquet(log: Log) -> Generator[bytes, None, None]:
    """The log's events as chunks of Parquet, oldest first."""
    columns = columns_of(log.viewer)
    read = {name: _read_as(name) for name, _ in columns}
    schema = pa.schema([(name, MONEY if name in DOLLARS else kind) for name, kind in read.items()])
    rows = copied(log, ", ".join(f'{_plain(name, sql)} AS "{name}"' for name, sql in columns), "FORMAT csv")
    sink = Sink()
    repeating = [name for name in read if name not in UNIQUE]
    with (
        ThreadPoolExecutor(1, "parquet") as helper,
        parquet.ParquetWriter(sink, schema, compression="zstd", use_dictionary=repeating) as writer,
    ):
        # PostgreSQL sends the next row group while Arrow works on this one, which does not hold Python's lock.
        work: list[Future[None]] = []
        for text in _groups(rows):
            yield from _written(work, sink)
            work.append(helper.submit(_write, writer, text, read, schema))
        yield from _written(work, sink)
    yield sink.taken()


PARQUET = Format("parquet", "application/vnd.apache.parquet", export_parquet)


def _written(work: list[Future[None]], sink: Sink) -> Iterator[bytes]:
    """What was written of the row group that is being worked on, if there is one, once it is complete."""
    for group in work:
        group.result()
        yield sink.taken()
    work.clear()


def _write(writer: parquet.ParquetWriter, text: bytes, read: dict[str, pa.DataType], schema: pa.Schema) -> None:
    writer.write_table(_table(text, read, schema))


def _groups(rows: Iterator[bytes]) -> Iterator[bytes]:
    """The text of each row group. Each piece of ``rows`` has whole rows."""
    pieces: list[bytes] = []
    size = 0
    for piece in rows:
        pieces.append(piece)
        size += len(piece)
        if size >= GROUP_BYTES:
            yield b"".join(pieces)
            pieces, size = [], 0
    if size:
        yield b"".join(pieces)


def _table(text: bytes, read: dict[str, pa.DataType], schema: pa.Schema) -> pa.Table:
    found = csv.read_csv(
        pa.py_buffer(text),
        # One block, because a row must not be longer than one, and one thread, because others serve pages.
        csv.ReadOptions(use_threads=False, column_names=list(read), block_size=len(text) + 1),
        csv.ParseOptions(newlines_in_values=True),
        csv.ConvertOptions(
            column_types=read, null_values=[""], strings_can_be_null=True, true_values=["t"], false_values=["f"]
        ),
    )
    columns = zip(read, found.columns, strict=True)
    return pa.table([_in_dollars(column) if name in DOLLARS else column for name, column in columns], schema)


def _in_dollars(nano: pa.ChunkedArray) -> pa.ChunkedArray:
    """Nano-dollars as decimals with nine places: the same digits, and another place for the point."""
    whole = nano.cast(pa.decimal128(19, 0)).combine_chunks()
    return pa.Array.from_buffers(MONEY, len(whole), whole.buffers())


def _read_as(name: str) -> pa.DataType:
    if name in TEXTS | JSON:
        return pa.string()
    if name in TIMES:
        return pa.timestamp("us", tz="UTC")
    return pa.bool_() if name in FLAGS else OTHERS.get(name, pa.int64())


def _plain(name: str, sql: str) -> str:
    return f"({sql})::text" if name in JSON else sql
