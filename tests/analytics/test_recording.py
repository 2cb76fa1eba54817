"""The writer: what a call becomes, once, together with its sums."""

import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from accounts.models import Organization, Project, User
from analytics import ledger_pool, recording
from analytics.cubes import CUBES
from analytics.models import Rollup, UsageEvent
from analytics.recording import Recorded, record
from analytics.rows import InvalidCallError
from groq_client.call import MAX_COUNT, Usage, UsagePart, new_request_id
from groq_client.usage import read_usage
from pricing.models import Price
from tests.analytics.calls import MODEL, NOON, call, failed, usage

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def price() -> Price:
    return Price.objects.create(
        model=MODEL,
        input_usd_per_1k_tokens=Decimal("0.00015"),
        output_usd_per_1k_tokens=Decimal("0.0006"),
        cached_input_usd_per_1k_tokens=Decimal("0.000075"),
        effective_from=NOON - timedelta(days=1),
    )


def test_a_call_becomes_a_priced_event(acme: Organization, price: Price) -> None:
    record([call(organization=acme.slug, project="rag", user="zoe", usage=usage(1000, 500, cached_tokens=200))])
    event = UsageEvent.objects.get()
    assert event.cost_usd == Decimal("0.000435000")
    assert (event.price, event.organization, event.total_tokens) == (price, acme, 1500)
    assert (event.project, event.user) == (Project.objects.get(slug="rag"), User.objects.get(handle="zoe"))


def test_every_cube_gets_one_row_for_one_call(acme: Organization) -> None:
    record([call(organization=acme.slug)])
    assert Rollup.objects.count() == len(CUBES)
    assert set(Rollup.objects.values_list("requests", flat=True)) == {1}


def test_the_same_call_twice_is_one_event(acme: Organization) -> None:
    again = call(organization=acme.slug)
    assert record([again, again]) == Recorded(events=1, duplicates=1)
    assert record([again, call(organization=acme.slug)]) == Recorded(events=1, duplicates=1)
    assert UsageEvent.objects.count() == 2
    assert set(Rollup.objects.filter(cube=1).values_list("requests", flat=True)) == {2}


def test_one_request_id_may_stand_in_two_organizations(acme: Organization, globex: Organization) -> None:
    same = new_request_id()
    record([call(organization=slug, request_id=same) for slug in (acme.slug, globex.slug)])
    assert UsageEvent.objects.filter(request_id=same).count() == 2


def test_the_day_is_that_of_the_organization(acme: Organization, globex: Organization) -> None:
    """Los Angeles and Kolkata disagree about the date for half the day."""
    late = datetime(2026, 11, 2, 20, 0, tzinfo=UTC)
    record([call(organization=slug, at=late) for slug in (acme.slug, globex.slug)])
    days = dict(UsageEvent.objects.values_list("organization__slug", "day"))
    assert days == {acme.slug: date(2026, 11, 2), globex.slug: date(2026, 11, 3)}


@pytest.mark.parametrize("slug", ["", "nobody-knows-it"])
def test_a_call_without_a_known_organization_goes_to_the_default_one(
    slug: str, acme: Organization, settings: pytest.FixtureRequest
) -> None:
    record([call(organization=slug)])
    assert UsageEvent.objects.get().organization.slug == settings.DEFAULT_ORGANIZATION  # type: ignore[attr-defined]


def test_a_model_without_a_price_is_unpriced_and_not_free(acme: Organization) -> None:
    record([call("nobody/priced-it", organization=acme.slug)])
    event = UsageEvent.objects.get()
    assert (event.cost_usd, event.price) == (None, None)
    assert Rollup.objects.filter(cube=1).get().unpriced == 1


def test_a_disabled_price_makes_new_calls_unpriced(acme: Organization, price: Price) -> None:
    Price.objects.create(model=MODEL, enabled=False, effective_from=NOON)
    record([call(at=NOON - timedelta(seconds=1)), call(at=NOON)])
    assert list(UsageEvent.objects.order_by("timestamp").values_list("cost_usd", flat=True)) == [
        Decimal("0.000027000"),
        None,
    ]


def test_a_refused_call_costs_nothing_even_without_a_price(acme: Organization) -> None:
    record([failed(model="nobody/priced-it")])
    event = UsageEvent.objects.get()
    assert (event.cost_usd, event.status, event.model) == (Decimal(0), "error", "nobody/priced-it")


def test_a_price_edit_counts_from_the_start_of_the_call(acme: Organization, price: Price) -> None:
    """A call in flight while the price changes is charged at the price in force when it started."""
    in_flight = call(at=NOON)
    Price.objects.create(
        model=MODEL,
        input_usd_per_1k_tokens=Decimal(1),
        output_usd_per_1k_tokens=Decimal(1),
        effective_from=NOON + timedelta(seconds=1),
    )
    record([in_flight, call(at=NOON + timedelta(seconds=2))])
    costs = UsageEvent.objects.order_by("timestamp").values_list("cost_usd", flat=True)
    assert list(costs) == [Decimal("0.000027000"), Decimal("0.12")]


def test_an_organization_pays_its_own_price(acme: Organization, globex: Organization, price: Price) -> None:
    Price.objects.create(
        model=MODEL,
        organization=globex,
        input_usd_per_1k_tokens=Decimal("0.01"),
        output_usd_per_1k_tokens=Decimal("0.01"),
        effective_from=NOON - timedelta(days=30),
    )
    record([call(organization=slug) for slug in (acme.slug, globex.slug)])
    costs = dict(UsageEvent.objects.values_list("organization__slug", "cost_usd"))
    assert costs == {acme.slug: Decimal("0.000027000"), globex.slug: Decimal("0.0012")}


def test_a_compound_call_is_priced_part_by_part(acme: Organization, price: Price) -> None:
    Price.objects.create(
        model="small", input_usd_per_1k_tokens=Decimal(1), output_usd_per_1k_tokens=Decimal(2), effective_from=NOON
    )
    parts = (UsagePart(MODEL, usage(100, 20)), UsagePart("small", usage(10, 5)))
    record([call("groq/compound", usage=usage(110, 25, parts=parts))])
    event = UsageEvent.objects.get()
    assert event.cost_usd == Decimal("0.000027000") + Decimal("0.02")
    assert [part["cost_usd"] for part in event.usage_breakdown] == ["0.000027000", "0.020000000"]


def test_a_compound_call_with_an_unpriced_part_is_unpriced(acme: Organization, price: Price) -> None:
    record([call("groq/compound", usage=usage(parts=(UsagePart(MODEL, usage()), UsagePart("new", usage()))))])
    assert UsageEvent.objects.get().cost_usd is None


@pytest.mark.parametrize("bad", [{"input_tokens": -1}, {"output_tokens": 2**63}, {"audio_seconds": Decimal("NaN")}])
def test_impossible_numbers_are_refused_and_nothing_is_written(acme: Organization, bad: dict[str, int]) -> None:
    with pytest.raises(InvalidCallError, match=next(iter(bad))):
        record([call(), call(usage=replace(Usage(), **bad))])
    assert not UsageEvent.objects.exists()


def test_the_numbers_of_a_compound_calls_parts_are_checked_as_well(acme: Organization) -> None:
    with pytest.raises(InvalidCallError, match="input_tokens"):
        record([call("groq/compound", usage=usage(parts=(UsagePart(MODEL, usage(MAX_COUNT + 1)),)))])


def test_whatever_the_client_believes_can_be_recorded(acme: Organization) -> None:
    largest = {"prompt_tokens": MAX_COUNT, "completion_tokens": MAX_COUNT, "total_tokens": 2 * MAX_COUNT}
    reported = read_usage(largest)
    assert reported is not None
    assert reported.is_whole
    record([call(usage=reported.usage)])
    assert UsageEvent.objects.get().total_tokens == 2 * MAX_COUNT
    for name, limit in largest.items():
        unbelievable = read_usage(largest | {name: limit + 1})
        assert unbelievable is not None
        record([call(usage=unbelievable.usage)])


@pytest.mark.parametrize("operation", ["transcription", "translation"])
def test_audio_of_unknown_length_is_unpriced_and_not_free(acme: Organization, operation: str) -> None:
    whisper = "whisper-large-v3"
    Price.objects.create(model=whisper, audio_usd_per_hour=Decimal("0.111"), effective_from=NOON - timedelta(days=1))
    unknown = call(whisper, operation=operation, organization=acme.slug, usage=Usage(estimated=True))
    cut_off = replace(unknown, request_id=new_request_id(), status="error", error_code="connection_error")
    record([unknown, cut_off, failed(operation=operation, organization=acme.slug)])
    costs = UsageEvent.objects.values_list("error_code", "cost_usd", "price")
    assert set(costs) == {("", None, None), ("connection_error", None, None), ("rate_limit_exceeded", 0, None)}
    assert sum(Rollup.objects.filter(cube=1).values_list("unpriced", flat=True)) == 2


def test_text_that_postgresql_cannot_store_is_cleaned(acme: Organization) -> None:
    record([call(user="a\0b\ud800", expert_id="x" * 500, metadata={"k": "v\0\ud800"})])
    event = UsageEvent.objects.get()
    assert (event.expert_id, event.metadata["k"][0]) == ("x" * 200, "v")


def test_a_call_is_recorded_though_its_caller_rolls_back(acme: Organization) -> None:
    from django.db import transaction

    with pytest.raises(RuntimeError), transaction.atomic():
        LedgerRecorder().finish(call(organization=acme.slug))
        raise RuntimeError
    assert UsageEvent.objects.count() == 1


class Outage:
    """A database that refuses for as long as ``on``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.on = True
        real = recording.ledger_connection

        def connect():  # type: ignore[no-untyped-def]
            if self.on:
                raise psycopg.OperationalError("the server is away")
            return real()

        monkeypatch.setattr(recording, "ledger_connection", connect)
        monkeypatch.setattr(writer, "RETRY_SECONDS", 0.02)


@pytest.fixture
def outage(monkeypatch: pytest.MonkeyPatch) -> Outage:
    return Outage(monkeypatch)


def test_calls_wait_in_memory_while_the_database_is_away(acme: Organization, outage: Outage) -> None:
    recorder = LedgerRecorder()
    calls = [call(organization=acme.slug) for _ in range(5)]
    for one in calls:
        recorder.finish(one)
    assert not recorder.flush(timeout=0.1)
    outage.on = False
    assert recorder.flush(timeout=5)
    assert UsageEvent.objects.count() == 5


def test_a_full_memory_is_counted_and_logged_whole(outage: Outage, caplog: pytest.LogCaptureFixture) -> None:
    recorder, before = LedgerRecorder(memory=1), writer.lost_calls
    recorder.finish(call())
    with caplog.at_level(logging.ERROR, "usage.recording"):
        recorder.finish(call(request_id="the-lost-one"))
    assert writer.lost_calls == before + 1
    assert "the-lost-one" in caplog.text
    outage.on = False
    assert recorder.flush(timeout=5)


def test_a_call_that_cannot_be_recorded_does_not_hold_up_the_others(
    acme: Organization, outage: Outage, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = LedgerRecorder()
    for one in (call(), call(usage=usage(-5, 1)), call()):
        recorder.finish(one)
    outage.on = False
    assert recorder.flush(timeout=5)
    assert UsageEvent.objects.count() == 2


def test_a_server_that_hangs_does_not_hold_the_caller(acme: Organization, settings: Any) -> None:
    """It neither answers nor closes: the caller waits as long as is allowed, the next one not at all, none is lost."""
    ledger_pool.close()  # so that there is one connection, the one to be stopped
    recorder = LedgerRecorder()
    recorder.finish(call())
    with ledger_pool.ledger_connection() as connection:
        pid = connection.info.backend_pid
    settings.RECORDING_TIMEOUT_MS = 300
    os.kill(pid, signal.SIGSTOP)
    try:
        first, second = timed(lambda: recorder.finish(call())), timed(lambda: recorder.finish(call()))
    finally:
        os.kill(pid, signal.SIGCONT)
    assert 0.25 < first < 1
    assert second < 0.1
    assert recorder.flush(timeout=10)
    assert UsageEvent.objects.count() == 3


def timed(work: Callable[[], object]) -> float:
    start = time.monotonic()
    work()
    return time.monotonic() - start


def test_a_standby_that_takes_no_writes_is_waited_for(
    acme: Organization, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    refusals = iter([ReadOnlySqlTransaction("cannot execute COPY in a read-only transaction")])
    real = recording._insert

    def insert(*args: Any) -> None:
        for refusal in refusals:
            raise refusal
        real(*args)

    monkeypatch.setattr(recording, "_insert", insert)
    monkeypatch.setattr(writer, "RETRY_SECONDS", 0.02)
    recorder, before = LedgerRecorder(), writer.lost_calls
    recorder.finish(call())
    assert recorder.flush(timeout=5)
    assert (UsageEvent.objects.count(), writer.lost_calls) == (1, before)


def test_a_young_table_is_written_to_as_quickly_as_an_old_one(acme: Organization) -> None:
    """Before its first ANALYZE, within the recorder's own time limit: the plan must not read all events for each."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE analytics_usageevent, analytics_session, analytics_rollup")
    assert record([call(organization=acme.slug) for _ in range(5000)]).events == 5000


def test_the_statement_of_one_call_is_prepared_once(acme: Organization) -> None:
    """However many digits its numbers have, and whether it names a session or not."""
    ledger_pool.close()  # so that there is one connection
    for tokens in (1, 70_000, 900_000_000):
        record([call(organization=acme.slug, usage=usage(tokens, 1), session_id="s" if tokens > 1 else "")])
    with ledger_pool.ledger_connection() as connection:
        prepared = connection.execute("SELECT statement FROM pg_prepared_statements").fetchall()
    assert sum("INSERT INTO analytics_usageevent" in statement for (statement,) in prepared) == 1


def test_many_threads_share_transactions(acme: Organization) -> None:
    recorder = LedgerRecorder()
    threads = [threading.Thread(target=lambda: [recorder.finish(call()) for _ in range(10)]) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert UsageEvent.objects.count() == 100


def test_calls_that_end_at_exit_are_written(acme: Organization) -> None:
    """A process that ends with a stream still open: its call is ended by an exit handler, and recorded."""
    program = """
import os, django
django.setup()
from django.db import connections
connections["default"].settings_dict["NAME"] = os.environ["TEST_DATABASE"]
from groq_client import Groq
from groq_client.simulator.server import running_simulator
simulator = running_simulator()
client = Groq(api_key="gsk_test", base_url=simulator.__enter__().base_url)
messages = [{"role": "user", "content": "hi"}]
stream = client.chat.completions.create(model="openai/gpt-oss-20b", messages=messages, stream=True)
next(stream)
"""
    from django.db import connection

    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "usage_dashboard.settings",
        "TEST_DATABASE": str(connection.settings_dict["NAME"]),
    }
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=60)
    assert UsageEvent.objects.get().error_code == "abandoned"


def test_finish_never_raises(acme: Organization, caplog: pytest.LogCaptureFixture) -> None:
    LedgerRecorder().finish(call(usage=usage(-1, -1)))
    assert "could not be recorded" in caplog.text


def test_a_stopped_connection_is_replaced(acme: Organization) -> None:
    """The server restarts between two calls: the second call notices and is recorded all the same."""
    recorder = LedgerRecorder()
    recorder.finish(call())
    with ledger_pool.ledger_connection() as connection:
        pid = connection.info.backend_pid
    from django.db import connection as page_connection

    page_connection.cursor().execute("SELECT pg_terminate_backend(%s)", [pid])
    recorder.finish(call())
    assert recorder.flush(timeout=5)
    assert UsageEvent.objects.count() == 2


def test_usage_debug_logs_each_event(acme: Organization, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "usage.recording"):
        LedgerRecorder().finish(call(request_id="look-at-me"))
    assert "look-at-me" in caplog.text
