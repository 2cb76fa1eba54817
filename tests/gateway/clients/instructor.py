"""Instructor asks for a tool whose arguments are the object, or for JSON."""

import asyncio

import instructor
from groq import AsyncGroq, Groq
from pydantic import BaseModel

ASKED = [{"role": "user", "content": "Name a river."}]


class Answer(BaseModel):
    """What the simulator writes when it is asked for JSON of no particular form."""

    answer: str
    confidence: float


def as_json(address: str, key: str, model: str, headers: dict[str, str]) -> str:
    sdk = Groq(base_url=address, api_key=key, default_headers=headers)
    client = instructor.from_groq(sdk, mode=instructor.Mode.JSON, model=model)
    return client.create(response_model=Answer, messages=ASKED).model_dump_json()


def stream(address: str, key: str, model: str, headers: dict[str, str]) -> str:
    client = instructor.from_groq(Groq(base_url=address, api_key=key, default_headers=headers), model=model)
    return list(client.create_partial(response_model=Answer, messages=ASKED))[-1].model_dump_json()


def asynchronous(address: str, key: str, model: str, headers: dict[str, str]) -> str:
    client = instructor.from_groq(AsyncGroq(base_url=address, api_key=key, default_headers=headers), model=model)
    return asyncio.run(client.create(response_model=Answer, messages=ASKED)).model_dump_json()


USES = {"json": as_json, "stream": stream, "async": asynchronous}
