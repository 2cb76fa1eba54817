"""Measures the Overview's page beside DuckDB, which computes the same sums over 30 days from a Parquet file."""

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
from django.db import connection
from django.test import Client

from benchmarks.pages import viewers
from benchmarks.setup import median, report

DAYS = 30
REPEAT = 5
COLUMNS = """organization_id, day, hour, provider, model, project_id, user_id, expert_id, template_id, feature, status,
    input_tokens, output_tokens, cached_tokens, reasoning_tokens, total_tokens, cost_usd, latency_ms, ttft_ms"""
SUMS = """
    SELECT count(*), count(*) FILTER (WHERE status = 'error'), count(*) FILTER (WHERE cost_usd IS NULL),
        sum(input_tokens), sum(output_tokens), sum(cached_tokens), sum(total_tokens), sum(cost_usd), sum(latency_ms),
        sum(ttft_ms), count(ttft_ms)
    FROM '{file}' WHERE {scope}
    GROUP BY GROUPING SETS ((), (day), (model), (project_id), (user_id), (expert_id), (template_id), (feature),
        (organization_id), (provider), (status))
"""


def run() -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = _parquet(Path(folder))
        for who, user in viewers():
            client = Client()
            client.force_login(user, backend="accounts.backends.Backend")
            scope = {
                "Super Admin": "true",
                "Admin": f"organization_id = {user.organization_id}",
            }.get(who, f"user_id = {user.pk}")
            sql = SUMS.format(file=file, scope=scope)
            page = median(lambda client=client: client.get("/?range=30d"), REPEAT)
            scan = median(lambda sql=sql: duckdb.sql(sql).fetchall(), REPEAT)
            report(f"Overview against DuckDB, {who}", f"{page:.0f} / {scan:.0f} ms = {page / scan:.2f} ×")


def _parquet(folder: Path) -> Path:
    """A Parquet file with the events of the newest days."""
    first = datetime.now(UTC).date() - timedelta(days=DAYS - 1)
    text, file = folder / "events.csv", folder / "events.parquet"
    with connection.cursor() as cursor, text.open("wb") as out:
        select = f"SELECT {COLUMNS} FROM ledger_usageevent WHERE day >= '{first}'"
        with cursor.copy(f"COPY ({select}) TO STDOUT CSV HEADER") as rows:
            for row in rows:
                out.write(row)
    duckdb.sql(f"COPY (FROM read_csv('{text}')) TO '{file}' (FORMAT parquet)")
    text.unlink()
    return file
