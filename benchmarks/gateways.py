"""The gateways that ``benchmarks.gateway`` measures, each as a server of its own in front of the same upstream."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
PATH = "/openai/v1/chat/completions"
USUAL_PATH = "/v1/chat/completions"
"""The address at gateways that are not Groq's alone."""
OTHERS = ROOT / "var" / "others"
"""The Makefile installs the other gateways here, each in an environment of its own."""
START_SECONDS = 120


@dataclass(frozen=True)
class Gateway:
    """A running gateway: its address, what its callers have to send, and its process, if it has one."""

    name: str
    port: int
    key: str = "gsk"
    path: str = PATH
    headers: dict[str, str] = field(default_factory=dict)
    process: psutil.Process | None = None

    def memory_mb(self) -> float:
        """The memory of all processes of the gateway; what several of them share is counted once."""
        if self.process is None:
            return 0.0
        found = 0.0
        for process in (self.process, *self.process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                found += process.memory_full_info().pss / 1e6
        return found


@contextlib.contextmanager
def upstream() -> Iterator[int]:
    port = free_port()
    with running([sys.executable, "-m", "benchmarks.http_upstream", str(port)], port):
        yield port


@contextlib.contextmanager
def bare(groq: int) -> Iterator[Gateway]:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "benchmarks.bare:application", "--port", str(port), "--workers", "2"]
    command += ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "error"]
    with running(command, port, GROQ_BASE_URL=f"http://127.0.0.1:{groq}") as process:
        yield Gateway("bare", port, process=process)


@contextlib.contextmanager
def ours(groq: int, **settings: str) -> Iterator[Gateway]:
    """The product's server, with two workers, and a key of its own."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "usage_dashboard.asgi:application", "--worker-class", "asgi"]
    command += ["--workers", "2", "--bind", f"127.0.0.1:{port}", "--no-control-socket", "--log-level", "error"]
    more = {"GROQ_BASE_URL": f"http://127.0.0.1:{groq}", "GROQ_API_KEY": "gsk", "DATABASE_URL": database_url()}
    key = key_of_the_benchmark()
    with running(command, port, **more, **settings) as process:
        yield Gateway("ours", port, key, process=process)


@contextlib.contextmanager
def litellm(groq: int) -> Iterator[Gateway]:
    """LiteLLM's proxy with two workers and without a database. It reads no prices over the network."""
    port = free_port()
    command = [str(OTHERS / "litellm" / "bin" / "litellm"), "--config", str(ROOT / "benchmarks/others/litellm.yaml")]
    command += ["--host", "127.0.0.1", "--port", str(port), "--num_workers", "2", "--telemetry", "False"]
    more = {"LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    with running(command, port, UPSTREAM=f"http://127.0.0.1:{groq}/openai/v1", **more) as process:
        yield Gateway("LiteLLM", port, "sk-benchmark", USUAL_PATH, process=process)


@contextlib.contextmanager
def portkey(groq: int) -> Iterator[Gateway]:
    """Portkey's gateway, without its console. It has no workers: it is one process of Node. With a newer HTTP server
    than our ``package.json`` names, it answers each stream with a 500 (``TypeError: immutable``)."""
    port = free_port()
    script = OTHERS / "portkey" / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    headers = {"x-portkey-provider": "groq", "x-portkey-custom-host": f"http://127.0.0.1:{groq}/openai/v1"}
    with running(["node", str(script), "--headless", f"--port={port}"], port) as process:
        yield Gateway("Portkey", port, path=USUAL_PATH, headers=headers, process=process)


def missing_parts() -> dict[str, str]:
    """The other gateways that cannot be measured here, with the reason."""
    missing = {}
    if not (OTHERS / "litellm" / "installed").exists():
        missing["LiteLLM"] = "its installation failed; see `make var/others/litellm/installed`"
    if shutil.which("node") is None:
        missing["Portkey"] = "there is no Node on this machine"
    elif not (OTHERS / "portkey" / "installed").exists():
        missing["Portkey"] = "its installation failed; see `make var/others/portkey/installed`"
    return missing


def key_of_the_benchmark() -> str:
    from accounts.api_keys import digest_of, new_secret
    from accounts.models import ApiKey, Organization

    organization, _ = Organization.objects.get_or_create(slug="bench", defaults={"name": "Bench"})
    secret = new_secret()
    ApiKey.objects.create(organization=organization, name=secret[-6:], digest=digest_of(secret))
    return secret


def database_url() -> str:
    from tests.served import database_url

    return database_url()


@contextlib.contextmanager
def running(command: list[str], port: int, **environment: str) -> Iterator[psutil.Process]:
    process = psutil.Popen(
        command, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + START_SECONDS
        while not _is_listening(port):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"This did not start: {' '.join(command)}")
            time.sleep(0.05)
        time.sleep(2)  # The master listens before its workers have loaded the application.
        yield process
    finally:
        children = process.children(recursive=True)
        process.terminate()
        psutil.wait_procs([process, *children], 20)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
