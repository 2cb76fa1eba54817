import asyncio
import json

from llama_index.core.tools import FunctionTool
from llama_index.llms.groq import Groq

ASKED = "What is the weather in Oslo?"


def weather(city: str) -> str:
    """The weather in a city."""
    return f"Rain in {city}."


def llm(address: str, key: str, model: str, headers: dict[str, str]) -> Groq:
    return Groq(model=model, api_base=f"{address}/openai/v1", api_key=key, default_headers=headers)


def stream(*place: object) -> str:
    return "".join(part.delta or "" for part in llm(*place).stream_complete(ASKED))


def asynchronous(*place: object) -> str:
    return str(asyncio.run(llm(*place).acomplete(ASKED)))


def tools(*place: object) -> str:
    model = llm(*place)
    answer = model.chat_with_tools([FunctionTool.from_defaults(weather)], ASKED)
    return json.dumps(model.get_tool_calls_from_response(answer)[0].tool_kwargs)


USES = {"stream": stream, "async": asynchronous, "tools": tools}
