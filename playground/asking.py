"""Asking Groq through our own client, so that every message of the page is recorded like any other call."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass

from django.conf import settings
from groq.types.chat import ChatCompletion, ChatCompletionMessageParam

from accounts.models import Organization, User
from groq_client import AsyncGroq, Groq, flush
from groq_client.context import AttributionOptions

FEATURE = "playground"
MAX_ANSWER_TOKENS = 2_048
TIMEOUT_SECONDS = 60.0
RETRIES = 0
"""Who asks sees what happened, and can ask again."""
RECORDED_SECONDS = 2.0
"""An answer is over when its figures can be shown, or after so long."""


@dataclass(frozen=True, slots=True)
class Question:
    """One call: what to ask whom, and what it is booked on."""

    model: str
    messages: tuple[ChatCompletionMessageParam, ...]
    booking: AttributionOptions
    request_id: str
    is_streamed: bool


def is_connected() -> bool:
    """Whether the server has been told how to reach Groq, or a stand-in for it."""
    return bool(settings.GROQ_API_KEY or settings.GROQ_BASE_URL)


def booking_of(user: User, organization: Organization) -> AttributionOptions:
    """Who pays and who asked. Decided by who is signed in, never by what the page sends.

    A Super Admin from outside is none of the organization's people, some of whom may even bear the same name: the call
    is booked on nobody, and says in its metadata who asked.
    """
    if user.organization_id == organization.pk:
        return {"organization": organization.slug, "user": user.handle, "feature": FEATURE}
    return {"organization": organization.slug, "feature": FEATURE, "metadata": {"asked_by": user.username}}


def answer(question: Question) -> str:
    """The whole answer at once. Raises what the SDK raises."""
    try:
        with _client(question) as client:
            return _text(
                client.chat.completions.create(
                    model=question.model,
                    messages=question.messages,
                    max_completion_tokens=MAX_ANSWER_TOKENS,
                    extra_headers=_headers(question),
                )
            )
    finally:
        flush(RECORDED_SECONDS)


async def pieces(question: Question) -> AsyncGenerator[str]:
    """The answer as it comes. Raises what the SDK raises. Whoever stops reading ends the call."""
    try:
        async with aclosing(_pieces(question)) as texts:
            async for text in texts:
                yield text
    except Exception:
        await asyncio.to_thread(flush, RECORDED_SECONDS)
        raise
    await asyncio.to_thread(flush, RECORDED_SECONDS)


async def _pieces(question: Question) -> AsyncGenerator[str]:
    # A new client reads all the certificates there are, which takes a while.
    async with await asyncio.to_thread(_async_client, question) as client:
        if not question.is_streamed:
            yield _text(
                await client.chat.completions.create(
                    model=question.model,
                    messages=question.messages,
                    max_completion_tokens=MAX_ANSWER_TOKENS,
                    extra_headers=_headers(question),
                )
            )
            return
        stream = await client.chat.completions.create(
            model=question.model,
            messages=question.messages,
            max_completion_tokens=MAX_ANSWER_TOKENS,
            extra_headers=_headers(question),
            stream=True,
        )
        async with stream:
            async for chunk in stream:
                yield _joined(choice.delta.content for choice in chunk.choices)


def _async_client(question: Question) -> AsyncGroq:
    return AsyncGroq(
        api_key=_key(), base_url=_address(), timeout=TIMEOUT_SECONDS, max_retries=RETRIES, **question.booking
    )


def _client(question: Question) -> Groq:
    return Groq(api_key=_key(), base_url=_address(), timeout=TIMEOUT_SECONDS, max_retries=RETRIES, **question.booking)


def _key() -> str:
    return settings.GROQ_API_KEY or "none"


def _address() -> str | None:
    return settings.GROQ_BASE_URL or None


def _headers(question: Question) -> dict[str, str]:
    return {"X-Usage-Request-Id": question.request_id}


def _text(completion: ChatCompletion) -> str:
    return _joined(choice.message.content for choice in completion.choices)


def _joined(texts: Iterable[str | None]) -> str:
    return "".join(text or "" for text in texts)
