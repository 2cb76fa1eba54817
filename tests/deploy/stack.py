"""What docker-compose.yml starts, on a network of its own: the same commands, environment, secrets and health checks.

In place of the image of PostgreSQL, the programs of the embedded server do what its entry point does.
"""

import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.deploy.container import SECONDS, Network, Root, stop
from tests.deploy.dockerfile import compose

ENTRY_POINT = """
export PGDATA=/var/lib/postgresql/18/docker
mkdir -p "$PGDATA" && chmod 700 "$PGDATA"
initdb --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" --auth=trust >/dev/null
sed -i '/^host/d' "$PGDATA/pg_hba.conf"
echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
echo "listen_addresses = '*'
unix_socket_directories = '/tmp'
fsync = off" >> "$PGDATA/postgresql.conf"
echo "CREATE DATABASE $POSTGRES_DB;" | postgres --single -j postgres >/dev/null
exec "$@"
"""
CHECK_PAUSE = 0.2
NAMES = "127.0.0.1 localhost postgres migrate web worker\n"


class Stack:
    """The services of the file that have no profile. The directory has the volumes, the secrets and the logs."""

    def __init__(self, image: Root, directory: Path, secrets: Path) -> None:
        self.image, self.directory, self.secrets = image, directory, secrets
        self.file = compose()
        self.network = Network()
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        (directory / "hosts").write_text(NAMES)
        for name in self.file["volumes"]:
            (directory / name).mkdir()
            (directory / name).chmod(0o777)

    def up(self) -> None:
        """Start each service after those that it waits for, as docker compose does."""
        waiting = {name: service for name, service in self.file["services"].items() if "profiles" not in service}
        while waiting:
            name = next(name for name in waiting if not set(waiting[name].get("depends_on", ())) & set(waiting))
            service = waiting.pop(name)
            for other, how in service.get("depends_on", {}).items():
                self._wait_for(other, how["condition"])
            self.running[name] = self.run(name, service.get("command") or self.image.command)

    def run(self, name: str, command: list[str]) -> "subprocess.Popen[bytes]":
        """Run a command as in the service, beside what the service runs, like ``docker compose exec``."""
        service = self.file["services"][name]
        if name == "postgres" and name not in self.running:
            command = ["sh", "-euc", ENTRY_POINT, "postgres", *command]
        return self.image.run(
            command,
            user=self.image.user,
            environment={**self.image.environment, **service["environment"]},
            mounts=self._mounts(service),
            writable=not service.get("read_only", name == "postgres"),
            network=self.network,
            log=self.log(name),
        )

    def log(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def is_healthy(self, name: str) -> bool:
        """Whether the health check of the service passes now."""
        check = self.file["services"][name].get("healthcheck")
        command = check["test"][1:] if check else self.image.healthcheck
        return self.run(name, command).wait(SECONDS) == 0

    def wait_until_healthy(self, name: str) -> None:
        begin = time.monotonic()
        while not self.is_healthy(name):
            assert self.running[name].poll() is None, self.log(name).read_text()
            assert time.monotonic() < begin + SECONDS, self.log(name).read_text()
            time.sleep(CHECK_PAUSE)

    def get(self, address: str) -> str:
        """What somebody on the same network gets."""
        command = [*self.network.enter, "curl", "--silent", "--show-error", "--fail-with-body"]
        command += ["--max-time", "30", "--resolve", "web:8000:127.0.0.1"]
        return subprocess.run([*command, address], check=True, capture_output=True, text=True).stdout

    def down(self) -> Mapping[str, int]:
        """Ask all services to end, the last one first. The exit statuses."""
        ended = {name: stop(self.running[name]) for name in reversed(self.running)}
        self.network.close()
        return ended

    def _wait_for(self, name: str, condition: str) -> None:
        if condition == "service_completed_successfully":
            assert self.running[name].wait(SECONDS) == 0, self.log(name).read_text()
        else:
            assert condition == "service_healthy"
            self.wait_until_healthy(name)

    def _mounts(self, service: dict[str, Any]) -> dict[str, Path]:
        mounts = {"/etc/hosts": self.directory / "hosts"}
        for volume in service["volumes"]:
            name, place = volume.split(":")
            mounts[place] = self.directory / name
        for name in service["secrets"]:
            mounts[f"/run/secrets/{name}"] = self.secrets / name
        return mounts
