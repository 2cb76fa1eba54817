"""What the settings do beyond reading the environment."""

import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from usage_dashboard.settings import _kept_secret


def test_first_starts_at_the_same_time_keep_one_whole_secret(tmp_path: Path) -> None:
    starts, rounds = 8, 50
    together = threading.Barrier(starts)

    def start(path: Path) -> str:
        together.wait(5)
        return _kept_secret(path)

    with ThreadPoolExecutor(starts) as pool:
        for number in range(rounds):
            path = tmp_path / str(number) / "secret_key"
            secrets = set(pool.map(start, [path] * starts))
            assert secrets == {path.read_text()}
            assert len(path.read_text()) > 80
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert list(path.parent.iterdir()) == [path]


def test_a_secret_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "secret_key").write_text("kept\n")
    assert _kept_secret(tmp_path / "secret_key") == "kept"
