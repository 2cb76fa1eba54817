import asyncio

import litellm

ASKED = [{"role": "user", "content": "What is the weather in Oslo?"}]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}}


def place(address: str, key: str, model: str, headers: dict[str, str]) -> dict[str, object]:
    said = {"api_base": f"{address}/openai/v1", "api_key": key, "extra_headers": headers}
    return {"model": f"groq/{model}", "messages": ASKED, **said}


def stream(*at: object) -> str:
    chunks = litellm.completion(**place(*at), stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def tools(*at: object) -> str:
    answer = litellm.completion(**place(*at), tools=[WEATHER])
    return answer.choices[0].message.tool_calls[0].function.arguments


def asynchronous_stream(*at: object) -> str:
    async def ask() -> str:
        chunks = await litellm.acompletion(**place(*at), stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])

    return asyncio.run(ask())


USES = {"stream": stream, "tools": tools, "async stream": asynchronous_stream}
