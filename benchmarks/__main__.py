"""``make bench``: every figure of docs/benchmarks.md, each as a ratio within this run.

``make bench ARGS="recording pages"`` runs only these parts; ``--events 1000000`` makes the large ledger smaller.
"""

import argparse
from datetime import UTC, datetime

from benchmarks.setup import prepare, report


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", help="of: client recording pages export (all)")
    parser.add_argument("--events", type=int, default=10_000_000, help="size of the large ledger")
    options = parser.parse_args()
    parts = set(options.parts) or {"client", "recording", "pages", "export"}
    prepare()

    from benchmarks import client, export, generate, pages, recording

    today = datetime.now(UTC).date()
    generate.people_and_prices()
    if "client" in parts:
        client.run()
    if "recording" in parts:
        recording.run()
    if parts & {"pages", "export"}:
        report("Loading the small ledger", "1,000,000 events")
        generate.events(1_000_000, today)
        small = pages.measure() if "pages" in parts else {}
        small_log = pages.measure_log() if "pages" in parts else {}
        report("Loading the large ledger", f"{options.events:,} events")
        generate.events(options.events, today)
        if "pages" in parts:
            pages.compare(small, pages.measure())
            pages.compare_log(small_log, pages.measure_log())
        if "export" in parts:
            export.run()


if __name__ == "__main__":
    main()
