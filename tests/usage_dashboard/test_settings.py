"""What the settings do beyond reading the environment."""

import base64
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from usage_dashboard.settings import _connection_parts, _fernet_keys, _kept_secret


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


@pytest.mark.parametrize(
    "password",
    ["s3@cret", "s3/cret", "s3%cret", "@", "/", "12/34", "a/b?c", "a?b/c", "a/b?c=d", "a@b/c", "a/b#c", "%zz"],
)
def test_a_raw_password_in_the_database_url_is_explained_and_not_quoted(password: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="Percent-encode") as error:
        _connection_parts(f"postgresql://ledger:{password}@db.example:5432/usage")
    assert "cret" not in str(error.value)
    assert error.value.__cause__ is None


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("postgresql://u:a%40b%2Fc%25@h:5432/n", {"password": "a@b/c%", "host": "h", "port": "5432", "dbname": "n"}),
        ("postgresql://u:a#b?c@h/n", {"password": "a#b?c", "host": "h", "dbname": "n"}),  # libpq reads these as meant
        ("postgresql://u@[::1]:5433/n?sslmode=require", {"host": "::1", "port": "5433", "sslmode": "require"}),
        ("postgresql:///n?host=/run/pg&user=a@b", {"dbname": "n", "host": "/run/pg", "user": "a@b"}),
        ("postgresql://%2Frun%2Fpg/n", {"host": "/run/pg", "dbname": "n"}),
        ("postgresql://u:p@h1:1,h2:2/n", {"host": "h1,h2", "port": "1,2"}),
        ("host=h dbname=n password=a@b/c", {"host": "h", "dbname": "n", "password": "a@b/c"}),
    ],
)
def test_a_database_url_is_read_as_libpq_reads_it(url: str, parts: dict[str, str]) -> None:
    assert parts.items() <= _connection_parts(url).items()


KEYS = [base64.urlsafe_b64encode(bytes([number]) * 32).decode() for number in range(2)]


def test_keys_of_the_encryption_are_a_list_and_may_be_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _fernet_keys("PROVIDER_KEY_SECRET") == []
    (tmp_path / "secret").write_text(f"{KEYS[0]}, {KEYS[1]}\n")
    monkeypatch.setenv("PROVIDER_KEY_SECRET_FILE", str(tmp_path / "secret"))
    assert _fernet_keys("PROVIDER_KEY_SECRET") == KEYS


@pytest.mark.parametrize("bad", ["cret", "s3cret" * 8, KEYS[0][:-4], "crét"])
def test_a_bad_key_of_the_encryption_is_explained_and_not_quoted(bad: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVIDER_KEY_SECRET", f"{KEYS[0]},{bad}")
    with pytest.raises(ImproperlyConfigured, match="value 2 is no Fernet key") as error:
        _fernet_keys("PROVIDER_KEY_SECRET")
    assert bad not in str(error.value)
