"""Asks Groq through our own client, so that the page's messages are recorded like all other calls."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass, replace

from django.conf import settings
from groq.types.chat import ChatCompletion, ChatCompletionMessageParam

from accounts.models import Organization, User
from groq_client import AsyncGroq, flush
from groq_client.context import AttributionOptions

FEATURE = "playground"
MAX_ANSWER_TOKENS = 2_048
TIMEOUT_SECONDS = 60.0
RETRIES = 0
"""The SDK does not retry, because the person sees the error and can ask again."""
RECORDED_SECONDS = 2.0
"""An answer waits at most this many seconds for its figures to be recorded."""


@dataclass(frozen=True, slots=True)
class Question:
    """One call to make: the model, the messages, and the attribution."""

    model: str
    messages: tuple[ChatCompletionMessageParam, ...]
    booking: AttributionOptions
    request_id: str
    is_streamed: bool


def is_connected() -> bool:
    """Whether the server is configured to reach Groq or a simulator of it."""
    return bool(settings.GROQ_API_KEY or settings.GROQ_BASE_URL)


def booking_of(user: User, organization: Organization) -> AttributionOptions:
    """The organization that pays and the person who asked, taken from the signed-in user and never from the page.

    A Super Admin from outside is not one of the organization's people, one of whom may have the same name. Such a call
    is booked on nobody, and its metadata names the Super Admin.
    """
    if user.organization_id == organization.pk:
        return {"organization": organization.slug, "user": user.handle, "feature": FEATURE}
    return {"organization": organization.slug, "feature": FEATURE, "metadata": {"asked_by": user.username}}


async def answer(question: Question) -> str:
    """The whole answer. Raises the SDK's errors."""
    return "".join([text async for text in pieces(replace(question, is_streamed=False))])


async def pieces(question: Question) -> AsyncGenerator[str]:
    """The pieces of a streamed answer. Raises the SDK's errors. Closing the generator ends the call."""
    try:
        async with aclosing(_pieces(question)) as texts:
            async for text in texts:
                yield text
    except Exception:
        await asyncio.to_thread(flush, RECORDED_SECONDS)
        raise
    await asyncio.to_thread(flush, RECORDED_SECONDS)


async def _pieces(question: Question) -> AsyncGenerator[str]:
    # A new client reads all certificates of the system, which would block the event loop.
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
