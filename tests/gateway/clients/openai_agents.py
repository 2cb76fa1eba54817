"""OpenAI's Agents SDK asks /responses unless it is told to ask /chat/completions."""

import asyncio

from agents import Agent, ModelSettings, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner, function_tool
from openai import AsyncOpenAI

ASKED = "What is the weather in Oslo?"


@function_tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"Rain in {city}."


def agent(kind: type, place: tuple[str, str, str, dict[str, str]], **more: object) -> Agent:
    address, key, model, headers = place
    client = AsyncOpenAI(base_url=f"{address}/openai/v1", api_key=key)
    settings = ModelSettings(extra_headers=headers)
    return Agent(name="Geographer", model=kind(model, openai_client=client), model_settings=settings, **more)


def streamed(kind: type, place: tuple[str, str, str, dict[str, str]]) -> str:
    async def ask() -> str:
        answer = Runner.run_streamed(agent(kind, place), ASKED)
        async for _ in answer.stream_events():
            pass
        return answer.final_output

    return asyncio.run(ask())


def stream(*place: object) -> str:
    return streamed(OpenAIResponsesModel, place)


def completions(*place: object) -> str:
    return Runner.run_sync(agent(OpenAIChatCompletionsModel, place), ASKED).final_output


def streamed_completions(*place: object) -> str:
    return streamed(OpenAIChatCompletionsModel, place)


def tools(*place: object) -> str:
    """Two calls: one that asks for the tool, and one with its result."""
    return Runner.run_sync(agent(OpenAIChatCompletionsModel, place, tools=[weather]), ASKED).final_output


USES = {"stream": stream, "completions": completions, "streamed completions": streamed_completions, "tools": tools}
