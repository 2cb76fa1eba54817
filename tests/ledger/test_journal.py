"""The journal: its lines, its files, and their replay by other processes."""

import fcntl
import math
import os
import resource
import subprocess
import sys
from dataclasses import replace
from datetime import UTC
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groq_client.call import Attribution, Call, RateLimit, ToolUse, Usage, UsagePart
from groq_client.client import Groq
from groq_client.journal import replay
from groq_client.journal.call_json import call_from_json, call_to_json
from groq_client.journal.destination import Outcome
from groq_client.journal.journal import Journal
from groq_client.simulator.server import running_simulator
from ledger.journal import dead_letters, settle
from ledger.journal.replay import replay_journals
from ledger.models import Rollup, UsageEvent
from tests.groq_client.memory import MESSAGES, Memory
from tests.ledger.calls import call, usage
from tests.ledger.folding import fold_now

LIMIT = 10**9


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path, LIMIT)


def replayed(directory: Path) -> tuple[int, int, int]:
    found = replay_journals(directory)
    return found.ended, found.interrupted, found.torn


def ids() -> list[str]:
    return sorted(UsageEvent.objects.values_list("request_id", flat=True))


def only_file(directory: Path) -> Path:
    (path,) = directory.glob("*.journal")
    return path


# Lines

names = st.text(max_size=20)
counts = st.integers(0, 10**9)
times = st.none() | st.floats(0, 1e6)
usages = st.builds(
    Usage, counts, counts, counts, counts, counts, st.decimals(0, 10**6, places=3), counts, st.booleans(),
    times, times, times, st.just(()), st.lists(st.builds(ToolUse, names, counts), max_size=2).map(tuple),
)  # fmt: skip
attributions = st.builds(
    Attribution, names, names, names, names, names, names, names, names,
    st.dictionaries(names, st.none() | st.integers() | names | st.lists(names)),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    st.builds(
        Call,
        operation=st.sampled_from(["chat", "speech", "batch"]),
        model_requested=names,
        stream=st.booleans(),
        attribution=attributions,
        started_at=st.datetimes(timezones=st.just(UTC)),
        error_message=names,
        http_status=st.none() | st.integers(100, 599),
        usage=st.builds(lambda whole, part: replace(whole, parts=(UsagePart("a", part),)), usages, usages) | usages,
        rate_limit=st.builds(RateLimit, st.none() | counts),
        sent=usages,
    )
)
def test_a_call_comes_back_from_its_line_as_it_was(one: Call) -> None:
    line = call_to_json(one)
    assert "\n" not in line
    assert line.isascii()
    back = call_from_json(line)
    assert back == replace(one, started_ns=back.started_ns)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"operation":"chat"}',
        '{"operation":"nonsense","model_requested":"m","started_at":"2026-01-01T00:00:00+00:00"}',
        '{"operation":"chat","model_requested":"m","started_at":"2026-01-01"}',
        '{"operation":"chat","model_requested":"m","started_at":"2026-01-01T00:00:00+00:00","usage":{"audio_seconds":"x"}}',
        '{"operation":"chat","model_requested":"m","started_at":"2026-01-01T00:00:00+00:00","usage":{"tools":[["a"]]}}',
        '{"operation":"chat","model_requested":"m","started_at":"2026-01-01T00:00:00+00:00","unknown":1}',
        "[" * 100_000,
    ],
)
def test_what_is_no_call_is_said_to_be_none(line: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        call_from_json(line)


def test_a_number_that_is_none_survives_the_line() -> None:
    back = call_from_json(call_to_json(call(usage=usage(queue_ms=math.nan))))
    assert back.usage.queue_ms is not None
    assert math.isnan(back.usage.queue_ms)


def test_neither_prompt_nor_answer_nor_key_is_in_the_journal(tmp_path: Path) -> None:
    class Keeping(Memory):
        def start(self, call: Call) -> None:
            super().start(call)
            journal.started(call)

        def finish(self, call: Call) -> None:
            super().finish(call)
            journal.ended(call)

    journal = Journal(tmp_path, LIMIT)
    with (
        running_simulator() as simulator,
        Groq(api_key="gsk_secret", base_url=simulator.base_url, recorder=Keeping()) as client,
    ):
        answer = client.chat.completions.create(model="openai/gpt-oss-20b", messages=MESSAGES)
    text = only_file(tmp_path).read_text()
    assert "openai/gpt-oss-20b" in text
    for secret in ("rivers", "gsk_secret", str(answer.choices[0].message.content)[:20]):
        assert secret not in text


# Replaying


@pytest.mark.django_db(transaction=True)
class TestReplay:
    @pytest.fixture(autouse=True)
    def of_this_test(self, tmp_path: Path, settings: Any) -> None:
        settings.JOURNAL_DIR = tmp_path

    def test_what_ended_and_what_was_cut_off_is_recorded_once(self, journal: Journal, tmp_path: Path) -> None:
        ended, cut_off, settled = call(request_id="ended"), call(request_id="cut-off"), call(request_id="settled")
        for one in (ended, cut_off, settled):
            journal.started(one)
        for one in (ended, settled):
            assert journal.ended(one)
        journal.settled([settled])
        journal.close()
        assert replayed(tmp_path) == (1, 1, 0)
        assert ids() == ["cut-off", "ended"]
        assert list(tmp_path.iterdir()) == []
        assert replayed(tmp_path) == (0, 0, 0)

    def test_what_was_recorded_before_the_mark_is_not_recorded_again(self, journal: Journal, tmp_path: Path) -> None:
        one = call()
        journal.started(one)
        journal.ended(one)
        assert settle.settle([one]) == settle.Outcome()
        journal.close()
        replay_journals(tmp_path)
        fold_now()
        assert Rollup.objects.filter(cube=2).get().requests == 1

    @pytest.mark.parametrize("cut", [1, 5, 100])
    def test_a_torn_last_line_is_passed_over(self, journal: Journal, tmp_path: Path, cut: int) -> None:
        for name in "ab":
            journal.started(call(request_id=name))
            journal.ended(call(request_id=name))
        journal.close()
        path = only_file(tmp_path)
        path.write_bytes(path.read_bytes()[:-cut])
        assert replayed(tmp_path) == (1, 1, 1)  # b started, and the line of its end is incomplete
        assert ids() == ["a", "b"]

    def test_a_file_of_rubbish_does_no_harm(self, tmp_path: Path) -> None:
        (tmp_path / "x.journal").write_bytes(b"\0\xff\n" * 50 + b"E{}\nC[1]\nC\nS[]\nnothing")
        assert replayed(tmp_path)[:2] == (0, 0)
        assert '"cannot be read"' in (tmp_path / dead_letters.DEAD_LETTERS).read_text()

    def test_the_journal_of_a_living_process_is_left_alone(self, journal: Journal, tmp_path: Path) -> None:
        journal.started(call())
        assert replayed(tmp_path) == (0, 0, 0)
        journal.close()
        assert replayed(tmp_path) == (0, 1, 0)

    def test_a_process_holds_its_journal_though_it_forked(self, tmp_path: Path) -> None:
        program = """
import os, sys, time
from pathlib import Path
import django
django.setup()
from groq_client.journal.journal import Journal
from tests.ledger.calls import call
journal = Journal(Path(sys.argv[1]), 10**9)
os.register_at_fork(after_in_child=journal.after_fork)
journal.started(call(request_id="parent"))
if not os.fork():
    journal.started(call(request_id="child"))
    os._exit(0)
os.wait()
print("ready", flush=True)
time.sleep(60)
"""
        environment = os.environ | {"DJANGO_SETTINGS_MODULE": "usage_dashboard.settings"}
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)], env=environment, stdout=subprocess.PIPE, text=True
        )
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            assert replayed(tmp_path) == (0, 1, 0)
            assert ids() == ["child"]
            process.kill()
        assert replayed(tmp_path) == (0, 1, 0)
        assert ids() == ["child", "parent"]

    def test_files_stay_while_the_database_is_away(
        self, journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        journal.started(call())
        journal.ended(call())
        journal.close()
        with monkeypatch.context() as patch:
            patch.setattr(settle, "settle", lambda calls: Outcome(left=calls))
            assert replay_journals(tmp_path).waiting == 1
        assert replay_journals(tmp_path).waiting == 0
        assert UsageEvent.objects.count() == 2

    def test_two_who_replay_at_the_same_time_do_not_replay_the_same(self, journal: Journal, tmp_path: Path) -> None:
        journal.started(call())
        journal.close()
        path = only_file(tmp_path)
        with path.open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            assert replayed(tmp_path) == (0, 0, 0)
        assert replayed(tmp_path) == (0, 1, 0)

    def test_what_waits_can_be_left_to_others_without_what_is_open(self, journal: Journal, tmp_path: Path) -> None:
        still_open = call(request_id="open")
        journal.started(still_open)
        journal.ended(call(request_id="waits"))
        assert journal.hand_over() == {("", "waits")}
        assert replayed(tmp_path) == (1, 0, 0)
        assert ids() == ["waits"]
        journal.ended(still_open)
        journal.close()
        assert replayed(tmp_path) == (1, 0, 0)
        assert ids() == ["open", "waits"]

    def test_beyond_the_limit_only_what_is_nowhere_else_is_left_to_others(self, tmp_path: Path) -> None:
        journal = Journal(tmp_path, 10)
        assert journal.ended(call(request_id="disk"), is_in_memory=False)
        assert not journal.ended(call(request_id="memory"))  # the limit also holds for the file of this process
        assert journal.is_broken
        assert journal.hand_over() == set()
        assert journal.hand_over() is None
        assert replayed(tmp_path) == (1, 0, 0)
        journal.close()
        assert replayed(tmp_path) == (1, 0, 0)
        assert ids() == ["disk", "memory"]

    def test_what_is_open_is_not_left_to_others_if_that_cannot_be_said(
        self, journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The disk has room for the new file, but none for the ``C`` line in the old one."""
        still_open = call(request_id="open")
        journal.started(still_open)
        journal.ended(call(request_id="waits"))
        size = only_file(tmp_path).stat().st_size
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 5, limit[1]))
        try:
            assert journal.hand_over() is None
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        assert replayed(tmp_path) == (0, 0, 0)
        monkeypatch.setattr(journal, "_retry_at", 0.0)
        journal.ended(still_open)
        journal.close()
        assert replayed(tmp_path) == (2, 0, 1)
        assert UsageEvent.objects.filter(status="success").count() == 2

    def test_a_file_that_is_let_go_can_be_replayed_though_a_child_has_it_open(
        self, journal: Journal, tmp_path: Path
    ) -> None:
        journal.ended(call())
        assert journal._file is not None
        copy = os.dup(journal._file._fd)  # a child that is forked at this moment has such a copy
        try:
            journal.hand_over()
            assert replayed(tmp_path) == (1, 0, 0)
        finally:
            os.close(copy)

    def test_a_line_that_cannot_be_read_is_set_aside_once_however_often_it_is_tried(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "1.journal").write_text('E{"operation":"of the future"}\nE' + call_to_json(call()) + "\n")
        with monkeypatch.context() as patch:
            patch.setattr(settle, "settle", lambda calls: Outcome(left=calls))
            for _ in range(3):
                assert replay_journals(tmp_path).waiting == 1
        assert replayed(tmp_path) == (1, 0, 1)
        assert len((tmp_path / dead_letters.DEAD_LETTERS).read_text().splitlines()) == 1

    def test_a_file_that_the_disk_does_not_give_holds_up_no_other(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("1", "2"):
            (tmp_path / f"{name}.journal").write_text(f"E{call_to_json(call(request_id=name))}\n")
        real = replay._replay

        def fail(path: Path, *rest: Any) -> bool:
            if path.stem == "1":
                raise OSError("Input/output error")
            return real(path, *rest)

        monkeypatch.setattr(replay, "_replay", fail)
        found = replay_journals(tmp_path)
        assert (found.files, found.waiting, ids()) == (1, 1, ["2"])

    def test_audio_that_was_cut_off_has_no_cost_rather_than_none(self, journal: Journal, tmp_path: Path) -> None:
        journal.started(call(model="whisper-large-v3", operation="transcription", sent=Usage(estimated=True)))
        journal.close()
        replay_journals(tmp_path)
        event = UsageEvent.objects.get()
        assert (event.cost_usd, event.audio_seconds, event.tokens_estimated) == (None, Decimal(0), True)
