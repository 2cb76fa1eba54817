"""HttpRecorder while its ledger is away or slow, in a process of its own: ``python -m benchmarks.http_recorder``.

Prints how much memory 100,000 calls take meanwhile, how long a call waits for the recorder, and how fast the calls are
sent once a ledger is there that takes everything at once.
"""

import argparse
import gzip
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil

from groq_client import Attribution, Call, HttpRecorder, Usage

CALLS = 100_000
SLOW_SECONDS = 5.0
DRAIN_SECONDS = 600.0


class Ledger(ThreadingHTTPServer):
    """Takes every event after ``delay`` seconds."""

    daemon_threads = True
    delay = 0.0


class Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = gzip.decompress(self.rfile.read(int(self.headers["content-length"])))
        assert isinstance(self.server, Ledger)
        time.sleep(self.server.delay)
        answer = json.dumps({"results": [{"status": "recorded"}] * len(body.splitlines())}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def a_call(number: int) -> Call:
    """A call with all that an ordinary one tells."""
    who = Attribution(project="website", user=f"u{number % 200}", session_id=f"s{number // 8}", feature="chat")
    sent = Usage(input_tokens=900, estimated=True)
    return Call("chat", "openai/gpt-oss-120b", attribution=who, sent=sent)


def record(recorder: HttpRecorder, number: int) -> list[float]:
    """Microseconds that each call waits for the recorder."""
    waits = []
    for n in range(number):
        call = a_call(n)
        ended = replace(call, model="openai/gpt-oss-120b", http_status=200, attempts=1, latency_ms=700,
                        usage=Usage(input_tokens=912, output_tokens=210, total_tokens=1122))  # fmt: skip
        started = time.perf_counter()
        recorder.start(call)
        recorder.finish(ended)
        waits.append((time.perf_counter() - started) * 1e6)
    return waits


def measure(calls: int, *, is_slow: bool) -> dict[str, float]:
    ledger = Ledger(("127.0.0.1", 0), Door)
    ledger.delay = SLOW_SECONDS
    address = f"http://127.0.0.1:{ledger.server_port}"
    serving = threading.Thread(target=ledger.serve_forever, daemon=True)
    if is_slow:
        serving.start()
    else:
        ledger.socket.close()  # nobody listens
    with tempfile.TemporaryDirectory() as directory:
        recorder = HttpRecorder(address, "gul_bench", directory)
        record(recorder, 1_000)  # so that everything is loaded
        process, memory = psutil.Process(), [0.0]
        before = process.memory_info().rss
        is_over = threading.Event()

        def watch() -> None:
            while not is_over.wait(0.02):
                memory.append((process.memory_info().rss - before) / 1e6)

        watching = threading.Thread(target=watch)
        watching.start()
        waits = record(recorder, calls)
        on_disk = sum(path.stat().st_size for path in Path(directory).iterdir()) / 1e6
        is_over.set()
        watching.join()
        if not is_slow:
            ledger = Ledger(("127.0.0.1", ledger.server_port), Door)
            threading.Thread(target=ledger.serve_forever, daemon=True).start()
        ledger.delay, started = 0.0, time.perf_counter()
        is_drained = recorder.flush(DRAIN_SECONDS)
        took = time.perf_counter() - started
        recorder._writer.close()
    return {
        "memory_mb": max(memory),
        "disk_mb": on_disk,
        "p50_us": statistics.median(waits),
        "p99_us": statistics.quantiles(waits, n=100)[98],
        "lost": recorder.lost if is_drained else calls,
        "drain_seconds": took,
    }


def run() -> None:
    """Print the recorder's figures of docs/benchmarks.md."""
    from benchmarks.setup import report

    for name, option in (("away", []), (f"slow ({SLOW_SECONDS:.0f} s a request)", ["--slow"])):
        command = [sys.executable, "-m", "benchmarks.http_recorder", *option]
        told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        what = f"{CALLS:,} calls over HTTP while the ledger is {name}"
        report(f"{what}: memory | disk", f"+{told['memory_mb']:.0f} MB | {told['disk_mb']:.0f} MB", "memory ≤ 50 MB")
        report(f"{what}: a call waits p50 | p99", f"{told['p50_us']:.0f} µs | {told['p99_us']:.0f} µs")
        report(f"{what}: sent afterwards in, lost", f"{told['drain_seconds']:.0f} s, {told['lost']:.0f}", "0 lost")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument("--slow", action="store_true")
    options = parser.parse_args()
    print(json.dumps(measure(options.calls, is_slow=options.slow)))


if __name__ == "__main__":
    main()
