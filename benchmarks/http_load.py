"""``python -m benchmarks.http_load PORT PATH HEADERS CALLERS SECONDS [stream]``: callers that ask one after the other.
``HEADERS`` is a JSON object.

Prints as JSON how many answers came, in how many seconds, and the percentiles of their times in milliseconds.
"""

import asyncio
import json
import statistics
import sys
import time

import uvloop

from benchmarks.http_upstream import MODEL


class Caller(asyncio.Protocol):
    """One connection, kept alive. It reads just as much of HTTP as it takes to see where an answer ends."""

    def __init__(self, request: bytes, until: float) -> None:
        self.request, self.until = request, until
        self.times: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.rest = 0
        self.head, self.tail = b"", b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._ask()

    def _ask(self) -> None:
        self.began = time.perf_counter()
        self.head = self.tail = b""
        self.rest = -1
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        if self.rest == -1:
            self.head += data
            head, found, data = self.head.partition(b"\r\n\r\n")
            if not found:
                return
            if not head.startswith(b"HTTP/1.1 200"):
                self.done.set_exception(RuntimeError(self.head.decode()))
                return
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            self.rest = int(length) if length else -2
        if self.rest >= 0:
            self.rest -= len(data)
            if self.rest == 0:
                self._answered()
            return
        self.tail = (self.tail + data)[-5:]
        if self.tail == b"0\r\n\r\n":
            self._answered()

    def _answered(self) -> None:
        now = time.perf_counter()
        self.times.append((now - self.began) * 1000)
        if now < self.until:
            self._ask()
        else:
            self.transport.close()
            self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(RuntimeError("The connection was closed in the middle of an answer."))


async def main() -> None:
    port, path, headers, callers, seconds = sys.argv[1:6]
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Name three rivers of Asia, please."}]}
    content = json.dumps(body | ({"stream": True} if "stream" in sys.argv else {})).encode()
    request = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
    request += "".join(f"{name}: {value}\r\n" for name, value in json.loads(headers).items())
    request += f"Content-Type: application/json\r\nAccept: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    all_of_them = [Caller(request.encode() + content, began + float(seconds)) for _ in range(int(callers))]
    await asyncio.gather(*(loop.create_connection(lambda c=c: c, "127.0.0.1", int(port)) for c in all_of_them))  # type: ignore[misc]
    await asyncio.gather(*(caller.done for caller in all_of_them))
    took = time.perf_counter() - began
    times = sorted(time for caller in all_of_them for time in caller.times)
    print(json.dumps({
        "answers": len(times), "seconds": took, "p50": statistics.median(times), "p99": times[len(times) * 99 // 100],
    }))  # fmt: skip


if __name__ == "__main__":
    uvloop.run(main())
