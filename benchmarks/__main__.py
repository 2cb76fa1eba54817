"""``make bench``: prints every figure of docs/benchmarks.md, each as a ratio within this run.

``make bench ARGS="recording pages"`` runs only these parts. ``--events`` and ``--small`` give the sizes of the large
and the small ledger; ``--keep`` measures the existing ledger.
"""

import argparse
from datetime import UTC, datetime

from benchmarks.setup import prepare, report

OF_A_LARGE_LEDGER = {"pages", "paint", "api", "export", "parquet", "viewers", "metrics"}
PARTS = (
    "client", "http", "recording", "ingestion", "sustained", "pages", "paint", "api", "export", "parquet", "viewers",
    "metrics",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of: {' '.join(PARTS)} (all)")
    parser.add_argument("--events", type=int, default=10_000_000, help="size of the large ledger")
    parser.add_argument("--small", type=int, default=1_000_000, help="size of the one that pages are compared with")
    parser.add_argument("--organizations", type=int, default=50, help="how many a new database gets (VAR_DIR names it)")
    parser.add_argument("--keep", action="store_true", help="measure the ledger that is there instead of loading one")
    parser.add_argument("--minutes", type=float, default=5, help="how long the sustained recording lasts")
    options = parser.parse_args()
    parts = set(options.parts) or set(PARTS)
    prepare()

    from benchmarks import client, generate, http_recorder, ingestion, recording, sustained

    generate.people_and_prices(options.organizations)
    if "client" in parts:
        client.run()
    if "http" in parts:
        http_recorder.run()
    if "recording" in parts:
        recording.run()
    if "ingestion" in parts:
        ingestion.run()
    if "sustained" in parts:
        sustained.run(options.minutes)
    if parts & OF_A_LARGE_LEDGER:
        _of_a_large_ledger(parts, options)


def _of_a_large_ledger(parts: set[str], options: argparse.Namespace) -> None:
    from benchmarks import api, export, generate, metrics, pages, paint, parquet, viewers

    today = datetime.now(UTC).date()
    small, small_log = {}, {}
    if not options.keep:
        if "pages" in parts:
            report("Loading the small ledger", f"{options.small:,} events")
            generate.events(options.small, today)
            small, small_log = pages.measure(), pages.measure_log()
        report("Loading the large ledger", f"{options.events:,} events")
        generate.events(options.events, today)
    if "pages" in parts:
        pages.compare(small, pages.measure())
        pages.compare_log(small_log, pages.measure_log())
    if "paint" in parts:
        paint.run()
    if "api" in parts:
        api.run()
    if "export" in parts:
        export.run()
    if "parquet" in parts:
        parquet.run()
    if "viewers" in parts:
        viewers.run()
    if "metrics" in parts:
        metrics.run()


if __name__ == "__main__":
    main()
