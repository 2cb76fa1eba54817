"""Groq's SDK in another version than the one of the lock."""

import asyncio

from groq import AsyncGroq, Groq

ASKED = [{"role": "user", "content": "Name three rivers."}]


def stream(address: str, key: str, model: str, headers: dict[str, str]) -> str:
    client = Groq(base_url=address, api_key=key, default_headers=headers)
    chunks = client.chat.completions.create(model=model, messages=ASKED, stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def asynchronous(address: str, key: str, model: str, headers: dict[str, str]) -> str:
    async def ask() -> str:
        async with AsyncGroq(base_url=address, api_key=key, default_headers=headers) as client:
            answer = await client.chat.completions.create(model=model, messages=ASKED)
            return answer.choices[0].message.content

    return asyncio.run(ask())


USES = {"stream": stream, "async": asynchronous}
