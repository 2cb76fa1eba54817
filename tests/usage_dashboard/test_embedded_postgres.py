"""The embedded server through its life: shared by processes, stopped after the last, started again after a crash."""

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.places import open_directory
from usage_dashboard.embedded_postgres import DATABASE, EmbeddedPostgres

ROOT = Path(__file__).parent.parent.parent
SETTINGS = {"fsync": "off", "shared_buffers": "16MB"}
SECONDS = 30

# Uses the server until its standard input ends.
USER = """
import sys
from pathlib import Path
from usage_dashboard.embedded_postgres import EmbeddedPostgres

EmbeddedPostgres(Path(sys.argv[1]), {"fsync": "off", "shared_buffers": "16MB"}).ensure_running()
print("ready", flush=True)
sys.stdin.read()
"""


class OtherProcess:
    """A process that uses the server."""

    def __init__(self, data_dir: Path) -> None:
        command = [sys.executable, "-c", USER, str(data_dir)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def is_ready(self) -> bool:
        assert self.process.stdout is not None
        return self.process.stdout.readline() == "ready\n"

    def end(self) -> None:
        self.process.communicate()
        assert self.process.returncode == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    with open_directory() as path:
        yield path


@pytest.fixture(scope="module")
def data_dir(directory: Path) -> Path:
    return directory / "postgres"


@pytest.fixture
def start(data_dir: Path) -> Iterator[Callable[[], OtherProcess]]:
    """Starts processes that use the server; what a test leaves running ends with it."""
    processes = []

    def start_one() -> OtherProcess:
        processes.append(OtherProcess(data_dir))
        return processes[-1]

    yield start_one
    for other in processes:
        other.kill()
    wait_until(lambda: is_over(data_dir))


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def server_pid(data_dir: Path) -> int | None:
    try:
        return int((data_dir / "postmaster.pid").read_text().split("\n")[0])
    except (FileNotFoundError, ValueError):
        return None


def is_over(data_dir: Path) -> bool:
    """Neither the server nor its watcher is left."""
    with EmbeddedPostgres(data_dir)._locked("watcher", wait=False) as has_no_watcher:
        return has_no_watcher and server_pid(data_dir) is None


def is_answering(data_dir: Path) -> bool:
    host = str(EmbeddedPostgres(data_dir).socket_dir)
    with psycopg.connect(host=host, user="postgres", dbname=DATABASE) as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)


def assert_only_the_server_may_use(socket_dir: Path, data_dir: Path) -> None:
    owner = data_dir.stat().st_uid  # PostgreSQL starts on a data directory of its own user only
    for path in (socket_dir, socket_dir / ".s.PGSQL.5432"):
        found = path.stat()
        assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (owner, 0o700), path


def test_processes_share_one_server(data_dir: Path, start: Callable[[], OtherProcess]) -> None:
    first, second = start(), start()  # at the same time, on a directory that does not exist yet
    assert first.is_ready()
    assert second.is_ready()
    pid = server_pid(data_dir)
    first.end()
    time.sleep(0.3)
    assert server_pid(data_dir) == pid
    assert is_answering(data_dir)


def test_it_stops_when_the_last_process_ends(data_dir: Path, start: Callable[[], OtherProcess]) -> None:
    first, second = start(), start()
    assert first.is_ready()
    assert second.is_ready()
    first.end()
    second.end()
    wait_until(lambda: is_over(data_dir))


def test_it_stops_when_the_last_process_is_killed(data_dir: Path, start: Callable[[], OtherProcess]) -> None:
    other = start()
    assert other.is_ready()
    other.kill()
    wait_until(lambda: is_over(data_dir))


def test_it_comes_back_after_it_was_killed(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, SETTINGS)
    server.ensure_running()
    killed = server_pid(data_dir)
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: not server._is_running())
    server.ensure_running()
    assert is_answering(data_dir)
    assert server_pid(data_dir) != killed
    assert server.release(SECONDS)


def test_a_half_written_file_of_a_killed_server_is_no_obstacle(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, SETTINGS)
    (data_dir / "postmaster.pid").write_text("1\n")
    server.ensure_running()
    assert is_answering(data_dir)
    assert server.release(SECONDS)


def test_it_comes_back_for_another_process(data_dir: Path, start: Callable[[], OtherProcess]) -> None:
    first = start()
    assert first.is_ready()
    killed = server_pid(data_dir)
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: not EmbeddedPostgres(data_dir)._is_running())
    second = start()
    assert second.is_ready()
    first.end()
    assert is_answering(data_dir)
    second.end()
    wait_until(lambda: is_over(data_dir))


def test_processes_that_come_and_go_never_miss_it(data_dir: Path, start: Callable[[], OtherProcess]) -> None:
    """A process may come while the watcher is about to stop the server, or has just done it."""
    for _ in range(4):
        other = start()
        assert other.is_ready()
        assert is_answering(data_dir)
        other.end()
    wait_until(lambda: is_over(data_dir))


def test_who_releases_it_waits_for_its_end(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, SETTINGS)
    server.ensure_running()
    assert server.release(SECONDS)
    assert is_over(data_dir)


def test_who_releases_it_does_not_wait_for_others(data_dir: Path, start: Callable[[], OtherProcess]) -> None:
    other = start()
    assert other.is_ready()
    server = EmbeddedPostgres(data_dir, SETTINGS)
    server.ensure_running()
    began = time.monotonic()
    assert not server.release(SECONDS)
    assert time.monotonic() - began < SECONDS / 2
    assert is_answering(data_dir)


def test_settings_reach_the_server(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, SETTINGS | {"work_mem": "7MB"})
    server.ensure_running()
    with psycopg.connect(host=str(server.socket_dir), user="postgres", dbname=DATABASE) as connection:
        assert connection.execute("SHOW work_mem").fetchone() == ("7MB",)
    assert server.release(SECONDS)


def test_no_other_user_of_the_machine_may_connect(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, SETTINGS)
    server.ensure_running()
    assert_only_the_server_may_use(server.socket_dir, data_dir)
    assert server.release(SECONDS)


def test_a_socket_directory_that_may_be_anothers_is_not_taken(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (directory / "theirs").mkdir()
    (directory / "link").symlink_to(directory / "theirs")
    monkeypatch.setattr(EmbeddedPostgres, "socket_dir", directory / "link")
    with pytest.raises(OSError, match="link"):
        EmbeddedPostgres(directory / "postgres")._give_socket_dir()


def test_a_first_start_that_was_cut_short_is_begun_again(directory: Path) -> None:
    data_dir = directory / "half" / "postgres"
    data_dir.mkdir(parents=True)
    (data_dir / "PG_VERSION").write_text("18\n")
    (data_dir / "global").mkdir()
    (data_dir / "postmaster.pid").write_text("-123\n/some/where\n")
    data_dir.with_name("postgres.unfinished").touch()
    server = EmbeddedPostgres(data_dir, SETTINGS)
    server.ensure_running()
    assert is_answering(data_dir)
    assert server.release(SECONDS)


def test_a_path_may_be_long(directory: Path) -> None:
    """The path of a Unix socket has room for about a hundred characters."""
    data_dir = directory / ("long" * 20) / ("path" * 20) / "postgres"
    server = EmbeddedPostgres(data_dir, SETTINGS)
    server.ensure_running()
    assert len(str(server.socket_dir)) < 100
    assert is_answering(data_dir)
    assert_only_the_server_may_use(server.socket_dir, data_dir)
    assert server.release(SECONDS)


def test_a_child_is_not_forked_while_a_thread_is_in_the_middle(tmp_path: Path) -> None:
    """It would have the thread's lock for good, and never a connection."""
    server, is_in = EmbeddedPostgres(tmp_path / "server"), threading.Event()

    def start() -> None:
        with server._lock:
            is_in.set()
            time.sleep(0.3)

    thread = threading.Thread(target=start)
    thread.start()
    is_in.wait()
    child = os.fork()
    if not child:
        os._exit(0 if server._lock.acquire(timeout=1) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    thread.join()
