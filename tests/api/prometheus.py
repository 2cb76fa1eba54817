"""Debian's Prometheus with the configuration and the rules of ``deploy/``, and what its tool says of them."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from tests.running_demo import ROOT, free_port, wait_until

DEPLOY = ROOT / "deploy"
NEEDED = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("promtool") is None,
    reason="There is no Prometheus: apt install prometheus",
)


class Prometheus:
    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def ask(self, path: str, **query: str) -> Any:
        with urlopen(f"{self._url}/api/v1/{path}?{urlencode(query)}", timeout=30) as response:
            return json.load(response)["data"]

    def values(self, expression: str) -> list[float]:
        """The values of an expression now. urllib.error.HTTPError if it is none."""
        data = self.ask("query", query=expression)
        found = [data["result"]] if data["resultType"] == "scalar" else [row["value"] for row in data["result"]]
        return [float(value) for _, value in found]

    @property
    def is_ready(self) -> bool:
        try:
            with urlopen(f"{self._url}/-/ready", timeout=5):
                return True
        except (URLError, ConnectionError):
            return False


@contextmanager
def prometheus(target: str, token: str, folder: Path) -> Iterator[Prometheus]:
    """A Prometheus that asks ``target`` (HOST:PORT) four times a second."""
    (folder / "token").write_text(token)
    config = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
    for was, now in {
        "interval: 15s": "interval: 250ms",
        "/run/secrets/metrics_token": str(folder / "token"),
        "web:8000": target,
    }.items():
        assert was in config
        config = config.replace(was, now)
    (folder / "prometheus.yml").write_text(config)
    shutil.copy(DEPLOY / "prometheus" / "rules.yml", folder)
    port = free_port()
    command = ["prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            found = Prometheus(port)
            wait_until(lambda: found.is_ready, 60)
            yield found
        finally:
            process.kill()
            process.wait(30)


def promtool(*arguments: str, told: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["promtool", *arguments], input=told, capture_output=True, timeout=60, check=False)
