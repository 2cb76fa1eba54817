"""Settings come from the environment; a bad value stops the start with a sentence that says what to do."""

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from usage_dashboard import env


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SETTING", "SETTING_FILE"):
        monkeypatch.delenv(name, raising=False)


def test_what_is_not_set_has_its_default() -> None:
    assert env.text("SETTING") == ""
    assert env.text("SETTING", "x") == "x"
    assert env.flag("SETTING", default=True) is True
    assert env.number("SETTING", 7) == 7
    assert env.words("SETTING", "a,b") == ["a", "b"]
    assert env.pairs("SETTING") == {}


@pytest.mark.parametrize("value", ["1", "true", "Yes", "ON"])
def test_a_flag_that_is_on(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SETTING", value)
    assert env.flag("SETTING") is True


@pytest.mark.parametrize("value", ["0", "false", "No", "off", ""])
def test_a_flag_that_is_off(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SETTING", value)
    assert env.flag("SETTING", default=True) is False


def test_a_flag_that_is_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SETTING", "maybe")
    with pytest.raises(ImproperlyConfigured, match="SETTING must be 1 or 0, not 'maybe'"):
        env.flag("SETTING")


@pytest.mark.parametrize("value", ["", "many", "1.5", "0x10"])
def test_a_number_that_is_none(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SETTING", value)
    with pytest.raises(ImproperlyConfigured, match="SETTING must be a whole number"):
        env.number("SETTING", 1)


def test_a_number_below_its_minimum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SETTING", "49")
    with pytest.raises(ImproperlyConfigured, match="SETTING must be at least 50, not 49"):
        env.number("SETTING", 100, minimum=50)


def test_words_are_trimmed_and_empty_ones_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SETTING", " a.example , ,b.example,")
    assert env.words("SETTING") == ["a.example", "b.example"]


def test_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SETTING", "fsync=off, work_mem = 8MB")
    assert env.pairs("SETTING") == {"fsync": "off", "work_mem": "8MB"}


def test_a_pair_without_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SETTING", "fsync")
    with pytest.raises(ImproperlyConfigured, match="'fsync' has no '='"):
        env.pairs("SETTING")


def test_a_secret_comes_from_its_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret\n")
    monkeypatch.setenv("SETTING_FILE", str(tmp_path / "secret"))
    assert env.text("SETTING") == "s3cret"


def test_a_file_gives_numbers_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "count").write_text("12\n")
    monkeypatch.setenv("SETTING_FILE", str(tmp_path / "count"))
    assert env.number("SETTING", 1) == 12


def test_a_file_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SETTING_FILE", str(tmp_path / "absent"))
    with pytest.raises(ImproperlyConfigured, match=r"SETTING_FILE: cannot read .*absent: No such file"):
        env.text("SETTING")


def test_value_and_file_together_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SETTING", "a")
    monkeypatch.setenv("SETTING_FILE", str(tmp_path / "secret"))
    with pytest.raises(ImproperlyConfigured, match="SETTING or SETTING_FILE, not both"):
        env.text("SETTING")


@pytest.mark.parametrize("value", ["example.com", "ftp://example.com", "https://", "http://[::1", "//example.com"])
def test_what_is_no_whole_address(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SETTING", value)
    with pytest.raises(ImproperlyConfigured, match=r"SETTING must be a whole address, such as https://example\.com\."):
        env.address("SETTING")


@pytest.mark.parametrize("value", ["", "https://example.com", "http://127.0.0.1:4318/v1/traces"])
def test_an_address(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SETTING", value)
    assert env.address("SETTING") == value


def test_a_choice_tells_all_that_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SETTING", "d")
    with pytest.raises(ImproperlyConfigured, match="SETTING must be a, b or c, not 'd'"):
        env.choice("SETTING", ("a", "b", "c"))
    monkeypatch.setenv("SETTING", "B")
    assert env.choice("SETTING", ("a", "b", "c")) == "b"
