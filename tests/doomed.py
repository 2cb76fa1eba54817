"""Processes that make calls until they are killed: ``python -m tests.doomed BASE_URL TRIALS SEED FILE``.

A parent process, which has imported everything but opened no connections, forks a child for each trial and kills it
after a random time. A child writes the request id of each call that has returned, and each failure, into FILE.
"""

import asyncio
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

MODEL = "openai/gpt-oss-20b"
MESSAGES = [{"role": "user", "content": "Name three rivers of Asia, please."}]
CALL = "x-call"
"""The header that tells the simulator which call it is."""
STREAM = {"x-sim-chunks": "12", "x-sim-chunk-delay-ms": "3"}
DELAYS = ("0", "5", "20")
FAILED = "failed:"
LIFE = (0.2, 4)
"""From when to when a child is killed, in units of the time that its first call takes."""


def main() -> None:
    import django

    django.setup()
    from django.db import connections

    connections["default"].settings_dict["NAME"] = os.environ["TEST_DATABASE"]
    base_url, trials, seed, path = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    dice = random.Random(seed)
    children = Children(base_url, path)
    moment = time_of_a_call(children, path)
    for _ in range(trials):
        with doomed(children):
            time.sleep(dice.uniform(*LIFE) * moment)


@contextmanager
def doomed(children: "Children") -> Iterator[None]:
    """Fork a child, and kill it at the end of the block."""
    child = os.fork()
    if not child:
        children.work()
    yield
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL, status


def time_of_a_call(children: "Children", path: str) -> float:
    """The seconds until the first call of a child has returned, which may be long on a busy machine."""
    started = time.monotonic()
    with doomed(children):
        while not os.path.getsize(path):
            time.sleep(0.001)
    return time.monotonic() - started


class Children:
    """The work of all children. The clients are made before the fork, and connect after it."""

    def __init__(self, base_url: str, path: str) -> None:
        import httpx

        from groq_client import AsyncGroq, Groq

        self._load_what_the_first_call_loads()
        self.client = Groq(api_key="gsk_test", base_url=base_url, max_retries=0, http_client=httpx.Client(verify=False))
        self.asynchronous = AsyncGroq(
            api_key="gsk_test", base_url=base_url, max_retries=0, http_client=httpx.AsyncClient(verify=False)
        )
        self.is_over = threading.Event()
        self.threads: list[threading.Thread] = []
        self.fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def _load_what_the_first_call_loads(self) -> None:
        """Make calls by the SDK's own clients, which are not recorded, so that the children need no further imports."""
        import httpx
        from groq import AsyncGroq, Groq

        async def ask(client: AsyncGroq) -> None:
            with suppress(Exception):
                await client.chat.completions.create(model=MODEL, messages=MESSAGES)  # type: ignore[arg-type]

        nowhere = httpx.MockTransport(lambda _: httpx.Response(400, json={}))
        options = {"api_key": "gsk_test", "max_retries": 0}
        asyncio.run(ask(AsyncGroq(**options, http_client=httpx.AsyncClient(transport=nowhere))))
        with suppress(Exception):
            client = Groq(**options, http_client=httpx.Client(transport=nowhere))
            client.chat.completions.create(model=MODEL, messages=MESSAGES)  # type: ignore[arg-type]

    def work(self) -> None:
        self.begin()
        time.sleep(60)
        os._exit(1)

    def begin(self) -> None:
        for make_calls in (self._plain, self._stream, self._asynchronous):
            self.threads.append(threading.Thread(target=self._guarded, args=(make_calls,), daemon=True))
            self.threads[-1].start()

    def end(self) -> None:
        """End the child after the running calls."""
        self.is_over.set()
        for thread in self.threads:
            thread.join(30)

    def _guarded(self, make_calls: Callable[[], None]) -> None:
        try:
            make_calls()
        except BaseException as error:
            self._say(f"{FAILED} {error!r}")

    def _say(self, line: str) -> None:
        os.write(self.fd, f"{line}\n".encode())

    def _plain(self) -> None:
        from groq_client import usage_context
        from groq_client.call import new_request_id

        while not self.is_over.is_set():
            name = new_request_id()
            headers = {CALL: name, "x-sim-delay-ms": random.choice(DELAYS)}
            with usage_context(request_id=name, organization="acme"):
                self.client.chat.completions.create(model=MODEL, messages=MESSAGES, extra_headers=headers)  # type: ignore[arg-type]
            self._say(name)

    def _stream(self) -> None:
        from groq_client import usage_context
        from groq_client.call import new_request_id

        while not self.is_over.is_set():
            name = new_request_id()
            with usage_context(request_id=name, organization="acme", user=f"u{random.randrange(3)}"):
                stream = self.client.chat.completions.create(
                    model=MODEL,
                    messages=MESSAGES,  # type: ignore[arg-type]
                    stream=True,
                    extra_headers={CALL: name, **STREAM},
                )
                for _ in stream:
                    pass
            self._say(name)

    def _asynchronous(self) -> None:
        async def run() -> None:
            await asyncio.gather(self._one_by_one(stream=False), self._one_by_one(stream=True))

        asyncio.run(run())

    async def _one_by_one(self, *, stream: bool) -> None:
        from groq_client import usage_context
        from groq_client.call import new_request_id

        while not self.is_over.is_set():
            name = new_request_id()
            headers = {CALL: name, **(STREAM if stream else {"x-sim-delay-ms": random.choice(DELAYS)})}
            with usage_context(request_id=name, organization="acme", session_id="one"):
                answer = await self.asynchronous.chat.completions.create(
                    model=MODEL,
                    messages=MESSAGES,  # type: ignore[arg-type]
                    stream=stream,
                    extra_headers=headers,
                )
                if stream:
                    async for _ in answer:  # type: ignore[union-attr]
                        pass
            self._say(name)


if __name__ == "__main__":
    main()
