import asyncio

from pydantic_ai import Agent
from pydantic_ai.models.groq import GroqModel
from pydantic_ai.providers.groq import GroqProvider

ASKED = "What is the weather in Oslo?"


def agent(address: str, key: str, model: str, headers: dict[str, str]) -> Agent:
    provider = GroqProvider(base_url=address, api_key=key)
    return Agent(GroqModel(model, provider=provider), model_settings={"extra_headers": headers})


def stream(*place: object) -> str:
    async def ask() -> str:
        async with agent(*place).run_stream(ASKED) as answer:
            return await answer.get_output()

    return asyncio.run(ask())


def tools(*place: object) -> str:
    """Two calls: one that asks for the tool, and one with its result."""
    one = agent(*place)

    @one.tool_plain
    def weather(city: str) -> str:
        return f"Rain in {city}."

    return one.run_sync(ASKED).output


USES = {"stream": stream, "tools": tools}
