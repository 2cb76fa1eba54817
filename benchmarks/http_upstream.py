"""``python -m benchmarks.http_upstream PORT``: the cheapest Groq that there can be, the same for all gateways.

It answers every POST with one fixed answer, or with a stream of 50 chunks if the request asks for one, as fast as the
loop allows. Each chunk of a stream leaves in a write of its own. A large upload is read at the pace of a line that is
not too fast.
"""

import asyncio
import json
import sys
import time
from itertools import count

import uvloop

MODEL = "openai/gpt-oss-20b"
CHUNKS = 50
LARGE, PAUSE = 1024 * 1024, 0.02
"""An upload of more bytes than the first number is read in pieces, with the second, in seconds, between them."""
UNTIL_THE_LAST_CHUNK = -1
ID = "0123456789012345678"
"""Stands for the id of an answer, which is different in each, in all runs: a ledger records an answer once."""
USAGE = {"prompt_tokens": 78, "completion_tokens": 51, "total_tokens": 129, "queue_time": 0.01, "prompt_time": 0.002}


def whole() -> bytes:
    message = {"role": "assistant", "content": "The Yangtze, the Mekong and the Indus. " * 6}
    answer = {"id": f"chatcmpl-{ID}", "object": "chat.completion", "created": 1_748_000_000, "model": MODEL}
    answer |= {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": USAGE}
    answer |= {"x_groq": {"id": f"req_{ID}"}, "service_tier": "on_demand"}
    body = json.dumps(answer).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    head += f"x-request-id: req_{ID}\r\nx-ratelimit-limit-requests: 14400\r\n\r\n"
    return head.encode() + body


def pieces() -> list[bytes]:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    events = [_event({"delta": {"content": f" word{number}"}}, number == 0) for number in range(CHUNKS)]
    last = {"id": f"chatcmpl-{ID}", "object": "chat.completion.chunk", "created": 1_748_000_000, "model": MODEL}
    last["choices"] = [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    last |= {"x_groq": {"id": f"req_{ID}", "usage": USAGE}}
    events += [_framed(b"data: " + json.dumps(last).encode() + b"\n\n"), _framed(b"data: [DONE]\n\n") + b"0\r\n\r\n"]
    return [head + events[0], *events[1:]]


def _event(choice: dict[str, object], is_first: bool) -> bytes:
    chunk = {"id": f"chatcmpl-{ID}", "object": "chat.completion.chunk", "created": 1_748_000_000, "model": MODEL}
    chunk |= {"choices": [{"index": 0, **choice, "finish_reason": None}]}
    if is_first:
        chunk["x_groq"] = {"id": f"req_{ID}"}
    return _framed(b"data: " + json.dumps(chunk).encode() + b"\n\n")


def content_length(head: bytes) -> int | None:
    """None if the body is chunked."""
    head = head.lower()
    if b"transfer-encoding:" in head:
        return None
    return int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)


def _framed(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


class Answering(asyncio.Protocol):
    WHOLE, PIECES = whole(), pieces()
    ids = count(time.time_ns())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.received = b""
        self.rest = 0
        """The bytes of a large upload that are still to come. They are dropped."""

    def data_received(self, data: bytes) -> None:
        if self.rest:
            self._drop(data)
            return
        self.received += data
        head, found, body = self.received.partition(b"\r\n\r\n")
        if not found:
            return
        length = content_length(head)
        if length is None or length > LARGE:
            self.received = b""
            self.rest = UNTIL_THE_LAST_CHUNK if length is None else length
            self._drop(body)
        elif len(body) >= length:
            self.received = b""
            if b'"stream"' in body:
                self._send(0, self._id())
            else:
                self.transport.write(self.WHOLE.replace(ID.encode(), self._id()))

    def _drop(self, data: bytes) -> None:
        is_last = data.endswith(b"0\r\n\r\n") if self.rest == UNTIL_THE_LAST_CHUNK else len(data) >= self.rest
        if self.rest != UNTIL_THE_LAST_CHUNK:
            self.rest -= len(data)
        if is_last:
            self.rest = 0
            self.transport.write(self.WHOLE.replace(ID.encode(), self._id()))
        else:
            self.transport.pause_reading()
            asyncio.get_running_loop().call_later(PAUSE, self.transport.resume_reading)

    def _id(self) -> bytes:
        return str(next(self.ids)).encode()

    def _send(self, number: int, name: bytes) -> None:
        self.transport.write(self.PIECES[number].replace(ID.encode(), name))
        if number + 1 < len(self.PIECES):
            asyncio.get_running_loop().call_soon(self._send, number + 1, name)


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", int(sys.argv[1]), backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
