"""The clients for an SDK on which calls cannot be recorded (see ``groq_client.sdk``).

They are the SDK's own clients and log once that nothing is recorded. They accept our arguments and ignore them, so that
the program goes on working. They rely only on clients being made and copied with keyword arguments.
"""

from collections.abc import Mapping
from typing import Any, Self

import groq
import httpx

from groq_client import context, sdk
from groq_client.context import AttributionOptions

OUR_OPTIONS = AttributionOptions.__optional_keys__ | {"recorder"}


class Groq(groq.Groq):
    """The SDK's synchronous client."""

    def __init__(self, **options: Any) -> None:
        sdk.say_problems()
        super().__init__(**_theirs(options))

    def copy(self, **options: Any) -> Self:
        return super().copy(**_theirs(options))

    with_options = copy

    def _prepare_request(self, *args: Any, **kwargs: Any) -> None:
        super()._prepare_request(*args, **kwargs)
        _take_off(args)


class AsyncGroq(groq.AsyncGroq):
    """The SDK's asynchronous client."""

    def __init__(self, **options: Any) -> None:
        sdk.say_problems()
        super().__init__(**_theirs(options))

    def copy(self, **options: Any) -> Self:
        return super().copy(**_theirs(options))

    with_options = copy

    async def _prepare_request(self, *args: Any, **kwargs: Any) -> None:
        await super()._prepare_request(*args, **kwargs)
        _take_off(args)


def _theirs(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in OUR_OPTIONS}


def _take_off(arguments: tuple[Any, ...]) -> None:
    """Takes our headers off a request, since they name people and projects that Groq must not see."""
    for argument in arguments:
        if isinstance(argument, httpx.Request):
            context.take_off(argument.headers)
