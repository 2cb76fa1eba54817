"""What a client was sent, byte for byte: a relay in front of the gateway reads along, and the client stays as it is."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httptools

PIECE = 65_536


@dataclass
class Passed:
    """An answer on its way to the client. ``body`` is as the client got it, without the framing of HTTP."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def request_id(self) -> str:
        """The id of the call in the ledger; "" for a request that costs nothing."""
        return self.headers.get("x-usage-request-id", "")


@contextmanager
def relay(address: str) -> Iterator[tuple[str, list[Passed]]]:
    """The address of a relay to ``address``, and the answers that have passed, in the order in which they began."""
    url = urlsplit(address)
    answers: list[Passed] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection((url.hostname, url.port)) as upstream:
                asking = threading.Thread(target=_pump, args=(self.request, upstream), daemon=True)
                asking.start()
                _pump(upstream, self.request, _Reader(answers).parser)

    with _Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", answers
        server.shutdown()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False  # A client may keep its connection for longer than the test.
    request_queue_size = 100


class _Reader:
    """What the parser of one connection tells."""

    def __init__(self, answers: list[Passed]) -> None:
        self._answers = answers
        self._answer = Passed()
        self.parser = httptools.HttpResponseParser(self)

    def on_message_begin(self) -> None:
        self._answer = Passed()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._answer.headers[name.decode().lower()] = value.decode()

    def on_headers_complete(self) -> None:
        self._answer.status = self.parser.get_status_code()
        if self._answer.status >= 200:  # "100 Continue" is no answer.
            self._answers.append(self._answer)

    def on_body(self, body: bytes) -> None:
        self._answer.body += body


def _pump(source: socket.socket, target: socket.socket, parser: httptools.HttpResponseParser | None = None) -> None:
    """Pass on what comes until one of the two ends."""
    with suppress(OSError):
        while piece := source.recv(PIECE):
            if parser is not None:
                parser.feed_data(piece)
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
