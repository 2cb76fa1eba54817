"""Who and what a call is for: from the client, the context and the headers, and never sent to Groq."""

import asyncio
import json
import logging
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from groq_client import AsyncGroq, Attribution, Groq, carry_context, request_ids, usage_context
from groq_client.call import Call
from groq_client.context import attribution_of_call
from groq_client.simulator.server import SimulatorHandle
from tests.groq_client.memory import MESSAGES, MODEL, Memory


def call(client: Groq, **headers: str) -> None:
    extra = {f"X-Usage-{name.replace('_', '-')}": value for name, value in headers.items()}
    client.chat.completions.create(model=MODEL, messages=MESSAGES, extra_headers=extra)


@pytest.fixture
def client(sim: SimulatorHandle, memory: Memory) -> Groq:
    return Groq(api_key="gsk_test", base_url=sim.base_url, recorder=memory, organization="acme", user="ada")


def test_the_client_says_who_it_is_for(sim: SimulatorHandle, memory: Memory) -> None:
    said: dict[str, Any] = {name: name.upper() for name in ("organization", "project", "user", "feature")}
    client = Groq(
        api_key="gsk_test", base_url=sim.base_url, recorder=memory,
        expert="e", template="t", session="s", metadata={"team": 7}, **said,
    )  # fmt: skip
    call(client)
    assert memory.only.attribution == Attribution(
        "ORGANIZATION", "PROJECT", "USER", "e", "t", "FEATURE", "s", "", {"team": 7}
    )


def test_headers_win_over_the_context_and_the_context_over_the_client(client: Groq, memory: Memory) -> None:
    with usage_context(user="grace", project="compilers"):
        call(client, Project="navy", Request_Id="call-1", Metadata='{"a": 1}')
    said = memory.only.attribution
    assert (said.organization, said.user, said.project) == ("acme", "grace", "navy")
    assert (memory.only.request_id, said.metadata) == ("call-1", {"a": 1})


def test_every_header_is_understood_and_none_is_sent(sim: SimulatorHandle, client: Groq, memory: Memory) -> None:
    names = ("Organization", "Project", "User", "Expert", "Template", "Feature", "Session", "Request_Id")
    call(client, **{name: f"{name} ä☃" for name in names})
    said = memory.only.attribution
    fields = ("organization", "project", "user", "expert_id", "template_id", "feature", "session_id", "request_id")
    assert [getattr(said, field) for field in fields] == [f"{name} ä☃" for name in names]
    assert not [name for request in sim.requests for name in request.headers if name.startswith("x-usage")]


def test_no_header_of_ours_is_sent_wherever_it_was_set(sim: SimulatorHandle, memory: Memory) -> None:
    http = httpx.Client(headers={"x-usage-session": "from httpx"})
    client = Groq(
        api_key="gsk_test", base_url=sim.base_url, recorder=memory, http_client=http,
        default_headers={
            "x-USAGE-user": "ada", "X-Usage-Feature": "rag", "X-Usage-Request-Id": "one for all", "x-mine": "kept"
        },
    )  # fmt: skip
    call(client)
    call(client.with_options(timeout=5))
    client.models.list(extra_headers={"X-Usage-Project": "p"})
    assert len(sim.requests) == 3
    for request in sim.requests:
        assert not [name for name in request.headers if name.startswith("x-usage")]
        assert request.headers["x-mine"] == "kept"
    assert {(c.attribution.user, c.attribution.feature) for c in memory.calls} == {("ada", "rag")}
    assert len({c.request_id for c in memory.calls}) == 2, "an id in the default headers names no single call"


@pytest.mark.needs_sdk_to("read headers from the environment")
def test_no_header_of_ours_is_sent_that_the_environment_names(
    sim: SimulatorHandle, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROQ_CUSTOM_HEADERS", "X-Usage-Feature: rag\nX-Other: kept")
    call(Groq(api_key="gsk_test", base_url=sim.base_url, recorder=memory))
    (request,) = sim.requests
    assert not [name for name in request.headers if name.startswith("x-usage")]
    assert request.headers["x-other"] == "kept"
    assert memory.only.attribution.feature == "rag"


def test_a_context_wins_over_default_headers(sim: SimulatorHandle, memory: Memory) -> None:
    headers = {"X-Usage-User": "ada", "X-Usage-Project": "engines"}
    client = Groq(api_key="gsk_test", base_url=sim.base_url, recorder=memory, user="babbage", default_headers=headers)
    with usage_context(user="grace"):
        call(client)
    assert (memory.only.attribution.user, memory.only.attribution.project) == ("grace", "engines")


def test_contexts_nest_and_end(client: Groq, memory: Memory) -> None:
    with usage_context(expert="outer", session="s", metadata={"a": 1, "b": 1}):
        with usage_context(expert="inner", metadata={"b": 2}):
            call(client)
        call(client)
    call(client)
    inner, outer, after = (c.attribution for c in memory.calls)
    assert (inner.expert_id, inner.session_id, inner.metadata) == ("inner", "s", {"a": 1, "b": 2})
    assert (outer.expert_id, outer.session_id, outer.metadata) == ("outer", "s", {"a": 1, "b": 1})
    assert (after.expert_id, after.session_id, after.metadata) == ("", "", {})


def test_a_request_id_goes_to_the_first_call_of_its_context(client: Groq, memory: Memory) -> None:
    with usage_context(request_id="mine"):
        call(client)
        call(client)
        with usage_context(request_id="other"):
            call(client)
    first, second, third = (c.request_id for c in memory.calls)
    assert (first, third) == ("mine", "other")
    assert len(second) == 32


def test_copies_keep_and_override(client: Groq, memory: Memory) -> None:
    call(client.with_options(timeout=3))
    call(client.copy(user="grace", project="compilers"))
    call(client.with_options(user="").with_options(max_retries=0))
    kept, overridden, cleared = (c.attribution for c in memory.calls)
    assert (kept.organization, kept.user) == ("acme", "ada")
    assert (overridden.organization, overridden.user, overridden.project) == ("acme", "grace", "compilers")
    assert (cleared.organization, cleared.user) == ("acme", "")


def test_a_copy_may_have_its_own_recorder(client: Groq, memory: Memory) -> None:
    other = Memory()
    call(client.with_options(recorder=other))
    assert (memory.calls, other.only.attribution.user) == ([], "ada")


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("  ada  ", "ada"),
        ("a\x00d\na\x1f", "ada"),
        ("ad\ud800a", "ada"),
        ("x" * 200, "x" * 200),
        (42, "42"),
        ("Żółć 🦊", "Żółć 🦊"),
    ],
)
def test_values_are_cleaned(sim: SimulatorHandle, memory: Memory, value: Any, kept: str) -> None:
    call(Groq(api_key="gsk_test", base_url=sim.base_url, recorder=memory, user=value))
    assert memory.only.attribution.user == kept


def test_what_identifies_is_never_cut_so_that_two_become_one(sim: SimulatorHandle, memory: Memory) -> None:
    client = Groq(api_key="gsk_test", base_url=sim.base_url, recorder=memory)
    whole = [f"{'x' * 205}{end}" for end in "ab"]
    for name in whole:
        said: dict[str, Any] = dict.fromkeys(("organization", "project", "user", "expert", "template", "session"), name)
        with usage_context(request_id=name, feature=name, **said):
            call(client)
    for one, other in zip(*map(texts_of, memory.calls), strict=True):
        assert one != other
        assert (len(one), one[:183]) == (200, "x" * 183)


def texts_of(call: Call) -> list[str]:
    who = call.attribution
    return [call.request_id, *(getattr(who, name) for name in Attribution.__slots__ if name not in ("metadata",))]


def test_an_id_is_the_same_as_an_argument_and_as_a_header(client: Groq, memory: Memory) -> None:
    with usage_context(session="s" * 205, expert=" e "):
        call(client)
    call(client, Session="s" * 205, Expert="e")
    one, other = (made.attribution for made in memory.calls)
    assert (one.session_id, one.expert_id) == (other.session_id, other.expert_id)


@pytest.mark.parametrize(
    ("header", "why"),
    [("no json", "no JSON"), ("[1]", "no JSON object"), ('"text"', "no JSON object"), ("{", "no JSON")],
)
def test_a_metadata_header_that_is_no_object_is_dropped(client: Groq, memory: Memory, header: str, why: str) -> None:
    call(client, Metadata=header)
    assert memory.only.attribution.metadata == {"_dropped": f"dropped: {why}"}


def test_one_bad_value_of_a_metadata_header_costs_no_other(client: Groq, memory: Memory) -> None:
    call(client, Metadata=json.dumps({"a": "x" * 5000, "b": float("nan"), "c": 1}))
    kept = {"a": "dropped: 5,002 bytes, the limit is 4,096", "b": "dropped: NaN", "c": 1}
    assert memory.only.attribution.metadata == kept


def test_metadata_that_grows_too_large_by_merging_loses_its_largest_value(client: Groq, memory: Memory) -> None:
    with usage_context(metadata={"a": "x" * 3000, "c": 1}), usage_context(metadata={"b": "y" * 3001}):
        call(client)
    kept = {"a": "x" * 3000, "b": "dropped: 3,003 bytes, the limit of all is 4,096", "c": 1}
    assert memory.only.attribution.metadata == kept


def test_metadata_becomes_plain_json(client: Groq, memory: Memory) -> None:
    with usage_context(metadata={"path": object, 7: (1, "\x00two\ud800")}):
        call(client)
    assert memory.only.attribution.metadata == {"path": "<class 'object'>", "7": [1, "two"]}


def test_threads_do_not_see_each_others_contexts(sim: SimulatorHandle, memory: Memory) -> None:
    client = Groq(api_key="gsk_test", base_url=sim.base_url, recorder=memory)

    def work(number: int) -> None:
        with usage_context(user=f"user-{number}", request_id=f"id-{number}"):
            call(client)

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(work, range(400)))
    assert {(c.attribution.user, c.request_id) for c in memory.calls} == {
        (f"user-{number}", f"id-{number}") for number in range(400)
    }


async def test_thousands_of_tasks_do_not_see_each_others_contexts(memory: Memory) -> None:
    async def answer(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(random.random() / 100)
        return httpx.Response(200, json={"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}})

    http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    client = AsyncGroq(api_key="gsk_test", recorder=memory, http_client=http)

    async def work(number: int) -> None:
        with usage_context(user=f"user-{number}", request_id=f"id-{number}"):
            await asyncio.gather(*(client.chat.completions.create(model=MODEL, messages=MESSAGES) for _ in range(2)))

    await asyncio.gather(*(work(number) for number in range(1000)))
    calls = memory.calls
    assert len(calls) == len({c.request_id for c in calls}) == 2000
    assert {c.request_id for c in calls} >= {f"id-{number}" for number in range(1000)}
    assert all(c.request_id[:3] != "id-" or c.request_id[3:] == c.attribution.user[5:] for c in calls)


def test_a_context_is_carried_into_another_thread(client: Groq, memory: Memory) -> None:
    with usage_context(expert="e"), ThreadPoolExecutor(4) as pool:
        list(pool.map(carry_context(lambda _: call(client)), range(20)))
    thread = threading.Thread(target=call, args=(client,))
    thread.start()
    thread.join()
    assert [c.attribution.expert_id for c in memory.calls] == ["e"] * 20 + [""]


async def test_a_context_is_carried_by_a_coroutine_function(sim: SimulatorHandle, memory: Memory) -> None:
    async with AsyncGroq(api_key="gsk_test", base_url=sim.base_url, recorder=memory) as client:

        async def ask() -> None:
            await client.chat.completions.create(model=MODEL, messages=MESSAGES)

        with usage_context(expert="e"):
            carried = carry_context(ask)
        await carried()
    assert memory.only.attribution.expert_id == "e"


def user_now() -> str:
    return attribution_of_call(Attribution(), Attribution()).user


def test_threads_may_share_one_instance() -> None:
    shared = usage_context(user="ada")
    first_is_in, second_is_in, first_is_out = (threading.Event() for _ in range(3))

    def work(number: int) -> tuple[str, str]:
        with usage_context(user=f"outer-{number}"):
            assert number == 0 or first_is_in.wait(5)
            with shared:
                (first_is_in, second_is_in)[number].set()
                assert (second_is_in, first_is_out)[number].wait(5)
                inside = user_now()
            first_is_out.set()
            return inside, user_now()

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(work, range(2))) == [("ada", "outer-0"), ("ada", "outer-1")]


async def test_tasks_may_share_one_instance() -> None:
    shared = usage_context(user="ada")

    async def work(seconds: float) -> tuple[str, str]:
        with shared:
            await asyncio.sleep(seconds)
            inside = user_now()
        return inside, user_now()

    delays = [random.random() / 50 for _ in range(20)]
    assert await asyncio.gather(*(work(seconds) for seconds in delays)) == [("ada", "")] * 20


def test_one_instance_may_be_entered_again_inside_itself() -> None:
    shared = usage_context(user="ada")
    with shared:
        with usage_context(user="grace"):
            with shared:
                assert user_now() == "ada"
            assert user_now() == "grace"
        assert user_now() == "ada"
    assert user_now() == ""


def test_contexts_may_be_left_in_any_order() -> None:
    """As by a generator that is closed while its reader is in a context of its own."""
    first, second = usage_context(user="ada", project="web"), usage_context(user="grace")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    said = attribution_of_call(Attribution(), Attribution())
    assert (said.user, said.project) == ("grace", "")
    second.__exit__(None, None, None)
    assert user_now() == ""


async def test_a_context_may_be_left_in_another_task() -> None:
    """Frameworks that stream close their generators where they like."""

    async def generate() -> Any:
        with usage_context(user="ada"):
            yield 1

    stream = generate()
    await asyncio.create_task(anext(stream))
    await asyncio.create_task(stream.aclose())


def warned(log: pytest.LogCaptureFixture) -> int:
    return sum("request id" in record.message for record in log.records if record.levelno == logging.WARNING)


def test_two_calls_with_one_given_id_are_told_once(client: Groq, caplog: pytest.LogCaptureFixture) -> None:
    name = f"order-{random.random()}"
    call(client, Request_Id=name)
    with usage_context(request_id=f"{name}-other"):
        call(client)
        call(client)  # An id of a context goes to its first call alone.
    assert warned(caplog) == 0
    with usage_context(request_id=name):
        call(client)
    assert warned(caplog) == 1
    assert repr(name) in caplog.text
    call(client, Request_Id=name)
    assert warned(caplog) == 1


def test_one_id_in_two_organizations_is_two(client: Groq, caplog: pytest.LogCaptureFixture) -> None:
    name = f"order-{random.random()}"
    call(client, Request_Id=name)
    call(client, Request_Id=name, Organization="globex")
    assert warned(caplog) == 0


def test_few_given_ids_are_remembered(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(request_ids, "MAX_KNOWN", 3)
    request_ids._known.clear()
    for number in (1, 2, 3, 4, 1, 4):
        request_ids.note_given(Attribution(request_id=str(number)))
        assert len(request_ids._known) <= 3
    assert warned(caplog) == 1
    assert "'4'" in caplog.text
