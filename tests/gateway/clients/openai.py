"""OpenAI's SDK in another version than the one of the lock: its Responses, and its helper for streams."""

import asyncio

from openai import AsyncOpenAI, OpenAI

ASKED = "Name three rivers."


def stream(address: str, key: str, model: str, headers: dict[str, str]) -> str:
    client = OpenAI(base_url=f"{address}/openai/v1", api_key=key, default_headers=headers)
    messages = [{"role": "user", "content": ASKED}]
    with client.chat.completions.stream(model=model, messages=messages) as events:
        return events.get_final_completion().choices[0].message.content


def responses(address: str, key: str, model: str, headers: dict[str, str]) -> str:
    client = OpenAI(base_url=f"{address}/v1", api_key=key, default_headers=headers)
    return client.responses.create(model=model, input=ASKED).output_text


def streamed_responses(address: str, key: str, model: str, headers: dict[str, str]) -> str:
    async def ask() -> str:
        async with AsyncOpenAI(base_url=f"{address}/v1", api_key=key, default_headers=headers) as client:
            events = await client.responses.create(model=model, input=ASKED, stream=True)
            return "".join([event.delta async for event in events if event.type == "response.output_text.delta"])

    return asyncio.run(ask())


USES = {"stream": stream, "responses": responses, "streamed responses": streamed_responses}
