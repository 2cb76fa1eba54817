"""Groq's built-in tools that ran for an answer: each use is counted once, whoever tells of it and however often."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groq_client import AsyncGroq, Groq
from groq_client.answer import Answer
from groq_client.call import ToolUse
from groq_client.executed_tools import MAX_TOOLS, OTHER, ExecutedTools, canonical_name
from groq_client.simulator.server import SimulatorHandle
from tests.groq_client.memory import MESSAGES, Memory

COMPOUND: dict[str, Any] = {
    "model": "groq/compound",
    "compound_custom": {"tools": {"enabled_tools": ["web_search", "visit_website", "code_interpreter"]}},
}
GPT_OSS: dict[str, Any] = {
    "model": "openai/gpt-oss-20b",
    "tools": [{"type": "browser_search"}, {"type": "code_interpreter"}],
}
USED = {
    "groq/compound": (("code_interpreter", 1), ("visit_website", 1), ("web_search", 1)),
    "openai/gpt-oss-20b": (("browser_open", 1), ("browser_search", 1), ("code_interpreter", 1)),
}


@pytest.fixture
def client(sim: SimulatorHandle, memory: Memory) -> Groq:
    return Groq(api_key="gsk_test", base_url=sim.base_url, recorder=memory, max_retries=0)


@pytest.mark.parametrize("asked", [COMPOUND, GPT_OSS], ids=lambda asked: asked["model"])
def test_a_whole_answer_and_a_stream_tell_the_same(client: Groq, memory: Memory, asked: dict[str, Any]) -> None:
    answer: Any = client.chat.completions.create(messages=MESSAGES, **asked)
    assert len(answer.choices[0].message.executed_tools) == 3
    chunks: Any = client.chat.completions.create(messages=MESSAGES, stream=True, **asked)
    told = [tool for chunk in chunks for choice in chunk.choices for tool in choice.delta.executed_tools or ()]
    assert len(told) == 6  # each when it starts and when it has ended
    assert [call.usage.tools for call in memory.calls] == [USED[asked["model"]]] * 2


async def test_async_calls_and_those_that_use_none(sim: SimulatorHandle, memory: Memory) -> None:
    async with AsyncGroq(api_key="gsk_test", base_url=sim.base_url, recorder=memory) as client:
        await client.chat.completions.create(messages=MESSAGES, **COMPOUND)
        await client.chat.completions.create(messages=MESSAGES, model="groq/compound")
    assert [len(call.usage.tools) for call in memory.calls] == [3, 0]


def test_a_stream_that_is_left_has_used_what_it_told_of(client: Groq, memory: Memory) -> None:
    chunks: Any = client.chat.completions.create(messages=MESSAGES, stream=True, **COMPOUND)
    for chunk in chunks:
        if chunk.choices[0].delta.executed_tools:
            break
    del chunks
    assert ToolUse("web_search", 1) in memory.only.usage.tools  # others may have come in the same packet


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("search", "web_search"), ("visit", "visit_website"), ("python", "code_interpreter"),
        ("browser.search", "browser_search"), ("browser.open", "browser_open"), ("Browser Find", "browser_find"),
        ("wolfram", "wolfram_alpha"), ("something.new", "something_new"), ("", ""), ("…", ""), ("x" * 51, OTHER),
    ],
)  # fmt: skip
def test_a_tool_has_one_name(said: str, name: str) -> None:
    assert canonical_name(said) == name


def test_one_index_may_be_of_several_choices_and_tools() -> None:
    tools = ExecutedTools()
    told = [{"index": 0, "type": "search"}, {"index": 0, "type": "visit"}, {"index": 1, "type": "search"}]
    for choice in (0, 1):
        for _ in range(3):
            tools.take({"choices": [{"index": choice, "delta": {"executed_tools": told}}]})
    assert tools.uses() == (("visit_website", 2), ("web_search", 4))


def test_a_whole_answer_counts_what_it_lists_whatever_the_indexes() -> None:
    tools = ExecutedTools()
    tools.take({"choices": [{"message": {"executed_tools": [{"index": 0, "type": "search"}] * 3}}]})
    assert tools.uses() == (("web_search", 3),)


def test_what_others_run_is_no_tool_of_groq() -> None:
    tools = ExecutedTools()
    tools.take({"choices": [{"message": {"executed_tools": [{"index": 0, "type": "mcp", "name": "search"}]}}]})
    tools.take({"output": [{"type": "function_call"}, {"type": "mcp_call"}, {"type": "message"}]})
    assert tools.uses() == ()


def test_the_responses_api_lists_them_among_its_output() -> None:
    answer = Answer("chat", "application/json")
    answer.feed(
        b'{"model": "openai/gpt-oss-20b", "output": [{"type": "reasoning"}, {"type": "code_interpreter_call"},'
        b' {"type": "web_search_call"}, {"type": "web_search_call"}], "usage": {"input_tokens": 1, "output_tokens": 1}}'
    )
    answer.end()
    assert answer.tools.uses() == (("code_interpreter", 1), ("web_search", 2))


def test_too_many_kinds_are_counted_together() -> None:
    tools = ExecutedTools()
    tools.take({"choices": [{"message": {"executed_tools": [{"type": f"tool{n:02}"} for n in range(MAX_TOOLS + 5)]}}]})
    uses = tools.uses()
    assert uses[0] == (OTHER, 6)
    assert len(uses) == MAX_TOOLS
    assert sum(one.uses for one in uses) == MAX_TOOLS + 5


NAMES = st.sampled_from(["choices", "delta", "message", "executed_tools", "index", "type", "name"])
ANYTHING: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.sampled_from(["search", "mcp"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["choices", "output"]), ANYTHING, max_size=2))
def test_reading_never_raises(data: Any) -> None:
    tools = ExecutedTools()
    tools.take(data)
    tools.take(data)
    assert all(one.name and one.uses > 0 for one in tools.uses())
