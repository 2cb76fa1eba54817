"""The parts of Groq's SDK that recording depends on, and a check that the installed SDK has them.

Recording depends on these parts beyond the SDK's public API:

- every call goes through the public ``request(cast_to, options, …)``, whose options carry ``method``, ``url``,
  ``headers``, ``json_data``, ``extra_json`` and ``files``;
- ``_prepare_request(request)`` is called for every HTTP attempt (the SDK means it to be overridden);
- ``_process_response(response=…, …)`` is called for the one successful answer;
- ``copy(_extra_kwargs=…)`` gives its extra arguments to the new client.

Without the following parts an abandoned stream is recorded only when it is collected (``groq_client.cycles``):

- ``options.post_parser`` is called with every stream that is made of an answer;
- a ``Stream`` reads through its ``_iterator``, which its ``__stream__()`` makes.

``tests/groq_client/test_client_contract.py`` checks these calls in the SDK of the lock file, and
``tests/groq_client/test_older_sdks.py`` in older versions.
"""

import inspect
import itertools
import logging
from collections.abc import Iterator
from contextlib import suppress
from functools import cache

import groq

logger = logging.getLogger("groq_client")

TESTED = ("0.30.0", "0.37.1", "1.7.0")
"""The versions that the suite runs on. The last one is the newest and the one of the lock file."""
ADVICE = f"Install a version that is tested: pip install groq=={TESTED[-1]} (or one of {', '.join(TESTED[:-1])})."
CLIENTS = ("Groq", "AsyncGroq")
NAMES = (
    "NotGiven", "Omit", "Timeout",
    "APIError", "APIConnectionError", "APITimeoutError", "APIStatusError", "APIResponseValidationError",
)  # fmt: skip
"""The names that our modules import from the SDK."""
PARAMETERS = {
    "request": ("cast_to", "options"),
    "_prepare_request": ("request",),
    "_process_response": ("response",),
    "copy": ("_extra_kwargs",),
}
"""The parameters that each method overridden by our clients must have."""
OPTIONS = ("method", "url", "headers", "json_data", "extra_json", "files")

_said = itertools.count()


@cache
def problems() -> tuple[str, ...]:
    """A sentence for each part that the installed SDK lacks; empty if calls can be recorded on it."""
    try:
        return tuple(_lacking())
    except Exception as error:
        return (f"The SDK cannot be looked into: {error!r}.",)


def version() -> str:
    return str(getattr(groq, "__version__", "of an unknown version"))


def say_problems() -> None:
    """Logs, once in a process, that the calls of this process are not recorded, and what to do."""
    if next(_said) == 0:
        with suppress(Exception):  # A filter of the program's own may raise.
            logger.error(
                "groq_client: NOTHING IS RECORDED with groq %s. %s Calls are made as by the plain SDK. %s",
                version(),
                " ".join(problems()),
                ADVICE,
            )


def _lacking() -> Iterator[str]:
    for name in NAMES:
        if not hasattr(groq, name):
            yield f"There is no groq.{name}."
    for client in CLIENTS:
        for method, parameters in PARAMETERS.items():
            yield from _lacking_in(client, method, parameters)
    fields = _fields_of_options()
    for name in OPTIONS:
        if name not in fields:
            yield f"The options of a request have no {name}."


def _lacking_in(client: str, method: str, parameters: tuple[str, ...]) -> Iterator[str]:
    function = getattr(getattr(groq, client), method, None)
    if function is None:
        yield f"There is no groq.{client}.{method}."
        return
    has = inspect.signature(function).parameters
    for name in parameters:
        if name not in has:
            yield f"groq.{client}.{method} has no parameter {name}."


def _fields_of_options() -> frozenset[str]:
    try:
        from groq._models import FinalRequestOptions
    except ImportError:
        return frozenset()
    return frozenset(FinalRequestOptions.model_fields)
