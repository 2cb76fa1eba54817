"""A ledger's door for events that answers as a test says, over a real socket."""

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

Event = dict[str, Any]


class Answer(NamedTuple):
    status: int
    body: Any = None
    headers: dict[str, str] = {}


def recorded(events: list[Event]) -> Answer:
    results = [{"index": n, "status": "recorded", "request_id": event["request_id"]} for n, event in enumerate(events)]
    return Answer(200, {"recorded": len(events), "results": results})


class ScriptedLedger:
    """``answer`` makes the answer to each batch. ``batches`` are those that came, ``ids`` the request ids in them, and
    ``taken`` those of events that were answered with 200."""

    def __init__(self) -> None:
        self.answer: Callable[[list[Event]], Answer] = recorded
        self.batches: list[list[Event]] = []
        self.taken: list[str] = []
        self.requests: list[dict[str, str]] = []
        self.address = ""

    @property
    def ids(self) -> list[str]:
        return [event["request_id"] for batch in self.batches for event in batch]


@contextmanager
def scripted_ledger() -> Iterator[ScriptedLedger]:
    ledger = ScriptedLedger()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = gzip.decompress(self.rfile.read(int(self.headers["content-length"])))
            events = [json.loads(line) for line in body.splitlines()]
            ledger.requests.append({"path": self.path, **{k.lower(): v for k, v in self.headers.items()}})
            ledger.batches.append(events)
            answer = ledger.answer(events)
            if answer.status == 200:
                ledger.taken += [event["request_id"] for event in events]
            with suppress(OSError):  # the recorder has given up
                self._send(answer)

        def _send(self, answer: Answer) -> None:
            content = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    ledger.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield ledger
    server.shutdown()
    server.server_close()
