"""A recorder in memory, and what the tests of the client share."""

import gc
import threading

from groq_client import Call, CallRefused, flush

MODEL = "openai/gpt-oss-120b"
MESSAGES = [{"role": "user", "content": "Name three rivers of Asia, please."}]
SLOWLY = {"x-sim-chunks": "20", "x-sim-chunk-delay-ms": "15"}


class Memory:
    """Remembers what it was told. ``only`` is the one call that ended, after everything on its way has arrived.

    ``known`` are the error codes of calls whose end was told, be it that their usage is still being estimated.
    """

    def __init__(self) -> None:
        self.started: list[Call] = []
        self.finished: list[Call] = []
        self.known: list[str] = []
        self.threads: set[str] = set()

    def start(self, call: Call) -> None:
        self.started.append(call)

    def ended(self, call: Call) -> None:
        self.known.append(call.error_code)

    def finish(self, call: Call) -> None:
        self.threads.add(threading.current_thread().name)
        self.known.append(call.error_code)
        self.finished.append(call)

    @property
    def calls(self) -> list[Call]:
        gc.collect()
        assert flush(10)
        return self.finished

    @property
    def only(self) -> Call:
        calls = self.calls
        assert len(calls) == 1, calls
        assert self.started == calls
        return calls[0]


class Refusing(Memory):
    def start(self, call: Call) -> None:
        super().start(call)
        raise CallRefused("The budget of this project is spent.")


class Failing(Memory):
    """Fails in every way that an ordinary recorder can."""

    def start(self, call: Call) -> None:
        raise RuntimeError("start")

    def finish(self, call: Call) -> None:
        super().finish(call)
        raise RuntimeError("finish")
