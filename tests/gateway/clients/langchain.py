import asyncio
import json

from langchain_core.tools import tool
from langchain_groq import ChatGroq

ASKED = "What is the weather in Oslo?"


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"Rain in {city}."


def chat(address: str, key: str, model: str, headers: dict[str, str]) -> ChatGroq:
    return ChatGroq(model=model, base_url=address, api_key=key, default_headers=headers)


def stream(*place: object) -> str:
    return "".join(chunk.content for chunk in chat(*place).stream(ASKED))


def asynchronous(*place: object) -> str:
    return asyncio.run(chat(*place).ainvoke(ASKED)).content


def tools(*place: object) -> str:
    called = chat(*place).bind_tools([weather]).invoke(ASKED)
    return json.dumps(called.tool_calls[0]["args"])


USES = {"stream": stream, "async": asynchronous, "tools": tools}
