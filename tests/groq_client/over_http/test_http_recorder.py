"""The recorder over HTTP, while the ledger is away, slow, full, or refuses: no caller notices, and no call is lost."""

import json
import logging
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path

import pytest

import groq_client
from groq_client import Attribution, Call, Groq, HttpRecorder, events_door
from groq_client import recorder as recorders
from groq_client.journal.call_json import call_to_json
from groq_client.simulator.server import SimulatorHandle
from tests.groq_client.memory import MESSAGES, MODEL
from tests.groq_client.over_http.conftest import NewRecorder
from tests.groq_client.over_http.scripted import Answer, Event, ScriptedLedger, recorded, scripted_ledger
from tests.running_demo import ROOT, free_port, wait_until

SECONDS = 20
SECONDS_OF_A_PROGRAM = 60
"""A program that takes longer is killed, and its test fails."""


@pytest.fixture
def ledger() -> Iterator[ScriptedLedger]:
    with scripted_ledger() as ledger:
        yield ledger


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_door, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(events_door, "LONGEST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(events_door.EventsDoor, "linger_seconds", 0.01)


def make(recorder: HttpRecorder, name: str, **more: object) -> None:
    call = Call("chat", MODEL, request_id=name, model=MODEL, http_status=200, attempts=1)
    recorder.start(call)
    recorder.finish(replace(call, **more))  # type: ignore[arg-type]


def journals(directory: Path) -> str:
    return "".join(path.read_text() for path in directory.glob("*.journal"))


def rejects(tmp_path: Path) -> list[Event]:
    return [json.loads(line) for line in (tmp_path / "journal" / events_door.REJECTS).read_text().splitlines()]


# The usual way


def test_calls_are_sent_together_with_the_key(ledger: ScriptedLedger, new_recorder: NewRecorder) -> None:
    recorder = new_recorder(f"{ledger.address}/")
    for name in ("a", "b", "c"):
        make(recorder, name)
    assert recorder.flush(SECONDS)
    assert sorted(ledger.ids) == ["a", "b", "c"]
    (request, *_) = ledger.requests
    assert request["path"] == "/api/v1/events"
    assert request["authorization"] == "Bearer gul_client"


def test_nothing_is_left_on_disk_when_all_has_arrived(
    ledger: ScriptedLedger, new_recorder: NewRecorder, tmp_path: Path
) -> None:
    recorder = new_recorder(ledger.address)
    make(recorder, "a")
    assert recorder.flush(SECONDS)
    recorder._writer.close()
    assert list((tmp_path / "journal").iterdir()) == []


def test_the_journal_holds_neither_the_key_nor_a_prompt(
    ledger: ScriptedLedger, new_recorder: NewRecorder, sim: SimulatorHandle, tmp_path: Path
) -> None:
    ledger.answer = lambda _: Answer(503)
    recorder = new_recorder(ledger.address)
    client = Groq(api_key="gsk_canary", base_url=sim.base_url, recorder=recorder)
    client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "canary-prompt"}])
    wait_until(lambda: bool(ledger.batches), SECONDS)
    written = journals(tmp_path / "journal")
    assert MODEL in written
    assert not [canary for canary in ("gsk_canary", "gul_client", "canary-prompt") if canary in written]


# The ledger is away


def test_calls_wait_while_the_ledger_is_away_and_that_is_said_once(
    new_recorder: NewRecorder, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = new_recorder(f"http://127.0.0.1:{free_port()}")
    started = time.monotonic()
    for n in range(50):
        make(recorder, str(n))
    assert time.monotonic() - started < 1
    assert not recorder.flush(0.3)
    (warning,) = [record for record in caplog.records if record.name == "groq_client"]
    assert "cannot be reached" in warning.message
    with scripted_ledger() as ledger:
        recorder._door._url = ledger.address
        assert recorder.flush(SECONDS)
        assert sorted(ledger.ids, key=int) == [str(n) for n in range(50)]
    assert "takes calls again" in caplog.text


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(401, {"detail": "Send a key of this ledger."}), "refuses the key: 401 Send a key of this ledger."),
        (Answer(403, {"detail": "This key may not send events."}), "a key of the ledger with the scope 'ingest'"),
        (Answer(301, headers={"Location": "https://usage.example.com/"}), "sends elsewhere, to https://usage"),
        (Answer(404, b"<html>"), "has no /api/v1/events (404): check the address"),
        (Answer(200, b"<html>"), "has no /api/v1/events (200): check the address"),
        (Answer(400, b"<html>"), "takes no calls now: 400"),
        (Answer(429, {"detail": "Too many."}), "takes no calls now: 429 Too many."),
        (Answer(500, b""), "takes no calls now: 500"),
        (Answer(503, {"detail": "The database is away."}), "takes no calls now: 503 The database is away."),
    ],
)
def test_calls_are_kept_whatever_the_ledger_answers(
    ledger: ScriptedLedger, new_recorder: NewRecorder, caplog: pytest.LogCaptureFixture, answer: Answer, said: str
) -> None:
    ledger.answer = lambda _: answer
    recorder = new_recorder(ledger.address)
    make(recorder, "a")
    wait_until(lambda: len(ledger.batches) >= 3, SECONDS)
    assert len([record for record in caplog.records if record.name == "groq_client"]) == 1
    assert said in caplog.text
    ledger.answer = recorded
    assert recorder.flush(SECONDS)
    assert set(ledger.ids) == {"a"}


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_the_ledger_says_when_to_come_back(ledger: ScriptedLedger, new_recorder: NewRecorder, form: str) -> None:
    value = "1" if form == "seconds" else formatdate(time.time() + 2, usegmt=True)  # a date has whole seconds
    ledger.answer = lambda _: Answer(503, {"detail": "Busy."}, {"Retry-After": value})
    recorder = new_recorder(ledger.address)
    make(recorder, "a")
    wait_until(lambda: bool(ledger.batches), SECONDS)
    ledger.answer, came = recorded, time.monotonic()
    assert recorder.flush(SECONDS)
    assert time.monotonic() - came > 0.8
    assert ledger.ids == ["a", "a"]


def test_pauses_grow_and_differ(new_recorder: NewRecorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_door, "FIRST_PAUSE_SECONDS", 1.0)
    monkeypatch.setattr(events_door, "LONGEST_PAUSE_SECONDS", 60.0)
    door = new_recorder("http://127.0.0.1:9")._door
    pauses = []
    for n in range(40):
        before = time.monotonic()
        door._wait("503", "is busy")
        longest = min(2**n, 60)
        assert door._try_again_at - before >= longest / 2
        assert door._try_again_at - time.monotonic() <= longest
        pauses.append(door._try_again_at - before)
    assert max(pauses[6:]) - min(pauses[6:]) > 5


# The ledger refuses events


def test_refused_events_are_kept_and_said_once_for_each_kind(
    ledger: ScriptedLedger, new_recorder: NewRecorder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(events: list[Event]) -> Answer:
        kinds = {"project": ("error", "project", "project must be 'shop'."), "id": ("conflict", "request_id", "Other.")}
        results = []
        for n, event in enumerate(events):
            status, field, message = kinds.get(event["request_id"].partition("-")[0], ("recorded", "", ""))
            results.append({"index": n, "status": status, "field": field, "message": message})
        return Answer(207, {"results": results})

    ledger.answer = refuse
    recorder = new_recorder(ledger.address)
    for name in ("good", "project-1", "id-1", "project-2", "id-2"):
        make(recorder, name)
    assert recorder.flush(SECONDS)
    kept = {reject["event"]["request_id"]: reject["reason"] for reject in rejects(tmp_path)}
    assert set(kept) == {"project-1", "project-2", "id-1", "id-2"}
    assert kept["project-2"] == "project must be 'shop'."
    errors = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 2
    assert "project must be 'shop'." in errors[0]
    assert len(ledger.ids) == 5


@pytest.mark.parametrize(
    "refusal",
    [Answer(413, b"<html>nginx"), Answer(400, {"detail": "This is not JSON."})],
    ids=["too large", "unreadable"],
)
def test_a_batch_that_cannot_be_taken_is_sent_in_parts(
    ledger: ScriptedLedger, new_recorder: NewRecorder, tmp_path: Path, refusal: Answer
) -> None:
    ledger.answer = lambda events: refusal if any(e["request_id"] == "bad" for e in events) else recorded(events)
    recorder = new_recorder(ledger.address)
    for name in ("a", "b", "bad", "c", "d"):
        make(recorder, name)
    assert recorder.flush(SECONDS)
    assert {"a", "b", "c", "d"} <= set(ledger.ids)
    assert [reject["event"]["request_id"] for reject in rejects(tmp_path)] == ["bad"]


def test_a_call_that_is_no_json_holds_up_no_other(
    ledger: ScriptedLedger, new_recorder: NewRecorder, tmp_path: Path
) -> None:
    recorder = new_recorder(ledger.address)
    with pytest.raises(TypeError):
        recorder.finish(Call("chat", MODEL, request_id="bad", attribution=Attribution(metadata={(1, 2): "x"})))
    make(recorder, "good")
    assert recorder.flush(SECONDS)
    assert ledger.ids == ["good"]
    assert [reject["event"] for reject in rejects(tmp_path)] == [{"request_id": "bad"}]


# Room


def test_memory_and_disk_are_bounded_while_the_ledger_is_away(
    ledger: ScriptedLedger, new_recorder: NewRecorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """The oldest calls stay, the newest are lost and counted. One that was running when the limit was reached may be on
    disk with its start alone, and is lost too: the ledger has it as interrupted."""
    monkeypatch.setattr("groq_client.http_recorder.MEMORY", 20)
    monkeypatch.setattr("groq_client.journal.journal.RETRY_SECONDS", 0.02)
    ledger.answer = lambda _: Answer(503)
    recorder = new_recorder(ledger.address, limit_mb=0.1)
    journal = recorder._writer._journal
    for n in range(1000):
        make(recorder, f"{n:04}")
        if n % 50 == 0:
            time.sleep(0.03)  # so that the writer's thread sees a full memory
        assert len(recorder._writer._waiting) <= 20
        assert len(journal._unsettled) <= 40
    assert 0 < recorder.lost < 1000
    assert sum(path.stat().st_size for path in (tmp_path / "journal").iterdir()) < 120_000
    assert len([record for record in caplog.records if "is lost" in record.message]) == 1
    ledger.answer = recorded
    assert recorder.flush(SECONDS)
    status = {event["request_id"]: event["status"] for batch in ledger.batches for event in batch}
    stayed = sorted(name for name in set(ledger.taken) if status[name] == "success")
    assert stayed[:20] == [f"{n:04}" for n in range(20)]
    assert len(stayed) == 1000 - recorder.lost
    make(recorder, "later")  # there is room again
    assert recorder.flush(SECONDS)
    assert "later" in ledger.taken


def test_a_slow_ledger_makes_no_memory_grow(
    ledger: ScriptedLedger, new_recorder: NewRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread waits for an answer, and cannot make room meanwhile."""
    monkeypatch.setattr("groq_client.http_recorder.MEMORY", 20)
    monkeypatch.setattr("groq_client.journal.journal.ROTATE_BYTES", 10_000)
    may_answer = threading.Event()
    ledger.answer = lambda events: recorded(events) if may_answer.wait(SECONDS) else Answer(500)
    recorder = new_recorder(ledger.address)
    make(recorder, "0000")
    wait_until(lambda: bool(ledger.batches), SECONDS)
    for n in range(1, 500):
        make(recorder, f"{n:04}")
    assert len(recorder._writer._waiting) <= 20
    assert len(recorder._writer._journal._unsettled) <= 20
    may_answer.set()
    assert recorder.flush(SECONDS)
    assert sorted(set(ledger.taken)) == [f"{n:04}" for n in range(500)]


@pytest.mark.parametrize(("memory", "limit_mb"), [(1, 500), (20, 0.1)], ids=["below the limit", "at the limit"])
def test_who_waits_for_all_calls_waits_for_those_that_are_only_on_disk(
    ledger: ScriptedLedger, new_recorder: NewRecorder, monkeypatch: pytest.MonkeyPatch, memory: int, limit_mb: float
) -> None:
    """``flush`` once returned True while a file was handed over, and a file that had reached the limit never was."""
    monkeypatch.setattr("groq_client.http_recorder.MEMORY", memory)
    monkeypatch.setattr("groq_client.journal.journal.RETRY_SECONDS", 0.02)
    monkeypatch.setattr("groq_client.journal.journal._File.sync", lambda _: time.sleep(0.3))  # a slow disk
    may_answer = threading.Event()
    ledger.answer = lambda events: recorded(events) if may_answer.wait(SECONDS) else Answer(500)
    recorder = new_recorder(ledger.address, limit_mb=limit_mb)
    make(recorder, "0000")
    wait_until(lambda: bool(ledger.batches), SECONDS)
    for n in range(1, 500):
        make(recorder, f"{n:04}")
    may_answer.set()
    assert recorder.flush(SECONDS)
    stayed = {event["request_id"] for batch in ledger.batches for event in batch if event["status"] == "success"}
    assert stayed <= set(ledger.taken)
    assert len(stayed) == 500 - recorder.lost > 20
    assert (recorder.lost > 0) == (limit_mb == 0.1)


def test_calls_are_sent_from_memory_where_there_can_be_no_journal(
    ledger: ScriptedLedger, new_recorder: NewRecorder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    recorder = new_recorder(ledger.address, directory=tmp_path / "file" / "journal")
    for name in ("a", "b"):
        make(recorder, name)
    assert recorder.flush(SECONDS)
    assert sorted(ledger.ids) == ["a", "b"]
    assert caplog.text.count("The journal cannot be written") == 1


# Processes


def test_the_next_process_sends_what_a_dead_one_left(
    ledger: ScriptedLedger, new_recorder: NewRecorder, tmp_path: Path
) -> None:
    directory = tmp_path / "journal"
    directory.mkdir()
    ended = Call("chat", MODEL, request_id="ended", model=MODEL)
    running = Call("chat", MODEL, request_id="running")
    (directory / "1.journal").write_text(f"S{call_to_json(running)}\nE{call_to_json(ended)}\n")
    recorder = new_recorder(ledger.address)
    make(recorder, "own")
    wait_until(lambda: len(ledger.ids) == 3, SECONDS)
    events = {event["request_id"]: event for batch in ledger.batches for event in batch}
    assert (events["ended"]["status"], events["own"]["status"]) == ("success", "success")
    assert (events["running"]["status"], events["running"]["error_code"]) == ("error", "interrupted")


def test_a_process_that_goes_on_sends_what_another_leaves_meanwhile(
    ledger: ScriptedLedger, new_recorder: NewRecorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_door.EventsDoor, "look_seconds", 0.05)
    recorder = new_recorder(ledger.address)
    make(recorder, "own")
    wait_until(lambda: not recorder._writer._has_backlog, SECONDS)
    left = f"E{call_to_json(Call('chat', MODEL, request_id='left', model=MODEL))}\n"
    (tmp_path / "written").write_text(left)
    (tmp_path / "written").rename(tmp_path / "journal" / "1.journal")  # complete before the recorder can see the file
    wait_until(lambda: ledger.ids == ["own", "left"], SECONDS)


PROGRAM = """
import sys, os, multiprocessing
from groq_client import Call, connect, flush
from groq_client.journal import writer
writer.DRAIN_SECONDS = 30  # on a busy machine too, a program that exits has sent its calls
recorder = connect()
def make(name):
    call = Call("chat", "m", request_id=name, model="m")
    recorder.start(call)
    recorder.finish(call)
"""


def run(program: str, url: str, directory: Path, **more: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {
        "GROQ_LEDGER_URL": url, "GROQ_LEDGER_KEY": "gul_client", "GROQ_LEDGER_DIR": str(directory), **more
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-c", PROGRAM + program],
        cwd=ROOT,
        env=environment,
        timeout=SECONDS_OF_A_PROGRAM,
        text=True,
        capture_output=True,
    )


def test_calls_are_sent_when_the_program_exits(ledger: ScriptedLedger, tmp_path: Path) -> None:
    done = run("make('a'); make('b')", ledger.address, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sorted(ledger.ids) == ["a", "b"]
    assert list(tmp_path.iterdir()) == []


def test_a_program_ends_in_time_though_the_ledger_hangs_and_the_next_one_sends_its_calls(
    ledger: ScriptedLedger, tmp_path: Path
) -> None:
    may_answer = threading.Event()

    def hang(events: list[Event]) -> Answer:
        may_answer.wait(2 * SECONDS_OF_A_PROGRAM)
        return recorded(events)

    ledger.answer = hang
    soon = "from groq_client.journal import writer; writer.DRAIN_SECONDS = 0.5"
    never = f"from groq_client import events_door; events_door.TIMEOUT = {2 * SECONDS_OF_A_PROGRAM}"
    assert run(f"{soon}; {never}; make('a')", ledger.address, tmp_path).returncode == 0  # or the program is killed
    assert '"request_id":"a"' in journals(tmp_path)
    may_answer.set()
    ledger.answer = recorded
    ledger.batches.clear()
    assert run("make('b')", ledger.address, tmp_path).returncode == 0
    assert set(ledger.ids) == {"a", "b"}


def test_forked_children_send_their_own_calls(ledger: ScriptedLedger, tmp_path: Path) -> None:
    program = """
make('parent')
assert flush(20)
for name in ('one', 'two'):
    if not os.fork():
        make(name)
        assert flush(20)
        os._exit(0)
for _ in range(2):
    assert os.wait()[1] == 0
make('parent again')
"""
    done = run(program, ledger.address, tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(ledger.ids) == ["one", "parent", "parent again", "two"]


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_children_of_multiprocessing_send_their_calls_when_they_end(
    ledger: ScriptedLedger, tmp_path: Path, method: str
) -> None:
    program = tmp_path / "program.py"
    main = f"""
if __name__ == "__main__":
    context = multiprocessing.get_context({method!r})
    children = [context.Process(target=make, args=(str(n),)) for n in range(2)]
    for child in children: child.start()
    for child in children: child.join()
    assert [child.exitcode for child in children] == [0, 0]
"""
    program.write_text(PROGRAM + main)
    environment = os.environ | {
        "GROQ_LEDGER_URL": ledger.address, "GROQ_LEDGER_KEY": "gul_client", "GROQ_LEDGER_DIR": str(tmp_path / "j"),
        "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    subprocess.run([sys.executable, str(program)], cwd=tmp_path, env=environment, timeout=60, check=True)
    assert sorted(ledger.ids) == ["0", "1"]


# Being connected


@pytest.fixture
def unconnected(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    """As at the start of a program."""
    before = recorders.default_recorder()
    monkeypatch.setattr(recorders, "_is_configured", False)
    monkeypatch.setattr(recorders, "_default", None)
    monkeypatch.setenv("GROQ_LEDGER_DIR", str(tmp_path / "journal"))
    yield monkeypatch
    groq_client.configure(before)


def test_the_environment_alone_connects_a_program(
    ledger: ScriptedLedger, unconnected: pytest.MonkeyPatch, sim: SimulatorHandle
) -> None:
    unconnected.setenv("GROQ_LEDGER_URL", ledger.address)
    unconnected.setenv("GROQ_LEDGER_KEY", "gul_client")
    Groq(api_key="gsk_test", base_url=sim.base_url).chat.completions.create(model=MODEL, messages=MESSAGES)
    assert groq_client.flush(SECONDS)
    assert len(ledger.ids) == 1


def test_a_mistake_in_the_environment_is_said_once_and_harms_no_call(
    unconnected: pytest.MonkeyPatch, sim: SimulatorHandle, caplog: pytest.LogCaptureFixture
) -> None:
    unconnected.setenv("GROQ_LEDGER_URL", "https://usage.example.com")
    unconnected.delenv("GROQ_LEDGER_KEY", raising=False)
    client = Groq(api_key="gsk_test", base_url=sim.base_url)
    for _ in range(2):
        assert client.chat.completions.create(model=MODEL, messages=MESSAGES).usage
    assert (
        caplog.text.count("Give a key of the ledger, gul_…, that has the scope 'ingest' (or set GROQ_LEDGER_KEY).") == 1
    )


@pytest.mark.parametrize(
    "url",
    ["", "usage.example.com", "ftp://usage.example.com", "https://", "https://a/?b=c", "https://a:b@c", "http://[::1"],
)
def test_an_address_that_cannot_be_right_is_refused_at_once(url: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="address"):
        HttpRecorder(url, "gul_client", tmp_path)


@pytest.mark.parametrize("key", ["", " ", "gul_ä", "gul client", "gul_\n_"])
def test_a_key_that_cannot_be_right_is_refused_at_once(key: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Give a key of the ledger"):
        HttpRecorder("https://usage.example.com", key, tmp_path)


def test_each_address_and_key_has_a_journal_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    pairs = [("https://a", "gul_1"), ("https://a/", "gul_1"), ("https://a", "gul_2"), ("https://b", "gul_1")]
    first, same, *others = [HttpRecorder(*pair)._door._directory for pair in pairs]
    assert first == same
    assert first.parent == tmp_path / "groq_client"
    assert len({first, *others}) == 3
