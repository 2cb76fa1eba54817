"""Runs the simulator in the foreground for the command, or in a thread for tests."""

import asyncio
import contextlib
import math
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass

from aiohttp import web

from groq_client.simulator import counting
from groq_client.simulator.app import Simulator
from groq_client.simulator.incoming import ReceivedRequest

_KEEP = 10_000
_START_TIMEOUT = 120


class CannotListenError(Exception):
    """The address cannot be used. The message can be shown to the user."""


@dataclass(frozen=True, slots=True)
class SimulatorHandle:
    """A running simulator: its address (without ``/openai/v1``) and the requests it received, oldest first."""

    base_url: str
    simulator: Simulator

    @property
    def requests(self) -> deque[ReceivedRequest]:
        """The last 10,000 requests; ``.clear()`` empties the list."""
        return self.simulator.requests


async def serve(
    simulator: Simulator, host: str, port: int, stop: asyncio.Event, ready: Callable[[str], None], grace: float = 1.0
) -> None:
    """Serve until ``stop`` is set. Calls ``ready`` with the address. Running answers get ``grace`` seconds to end."""
    counting.warm_up()
    runner = web.AppRunner(
        simulator.application(),
        access_log=None,  # A log of requests would tell who asked what.
        handler_cancellation=True,  # A client that disconnects ends its stream.
        shutdown_timeout=grace,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, backlog=1024)
        try:
            await site.start()
        except OSError as error:
            raise CannotListenError(f"Cannot listen on {host}:{port}: {error.strerror or error}") from error
        ready(_address(runner))
        await stop.wait()
    finally:
        await runner.cleanup()


def run(host: str, port: int, speed: float, ready: Callable[[str], None]) -> None:
    """Serve in the foreground until SIGTERM or SIGINT."""

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            # On Windows event loops have no signal handlers, and Ctrl+C raises KeyboardInterrupt.
            with contextlib.suppress(NotImplementedError):
                loop.add_signal_handler(number, stop.set)
        await serve(Simulator(speed), host, port, stop, ready)

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())


@contextlib.contextmanager
def running_simulator(port: int = 0, *, speed: float = math.inf) -> Iterator[SimulatorHandle]:
    """A simulator in a thread of this process, on a free port if ``port`` is 0. By default it never sleeps."""
    simulator = Simulator(speed, keep=_KEEP)
    background = _Background(simulator, port)
    address = background.start()
    try:
        yield SimulatorHandle(address, simulator)
    finally:
        background.stop()


class _Background:
    """The server in a thread with its own event loop, so that a test may block its own thread."""

    def __init__(self, simulator: Simulator, port: int) -> None:
        self._simulator = simulator
        self._port = port
        self._stop = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._started: Future[str] = Future()
        self._thread = threading.Thread(target=self._run, name="groq-simulator", daemon=True)

    def start(self) -> str:
        """Start the server and return its address once it listens."""
        self._thread.start()
        return self._started.result(_START_TIMEOUT)

    def stop(self) -> None:
        """Stop the server and cut the open connections."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # The loop may be closed already.
                self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout=10)

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except Exception as error:
            if self._started.done():
                raise
            self._started.set_exception(error)

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        await serve(self._simulator, "127.0.0.1", self._port, self._stop, self._started.set_result, grace=0.05)


def _address(runner: web.AppRunner) -> str:
    host, port = runner.addresses[0][:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
