"""Opens the reference cycles of streams, so that an abandoned stream ends when its caller drops the last reference.

The SDK's streams and httpx's responses refer to themselves. Without this module only the garbage collector would free
them, minutes later or never. The attributes used here are not public; if one is missing, the stream stays as it is.
"""

import copy
import weakref

import groq
import httpx


def without_cycle(stream: object) -> None:
    """Makes an SDK's ``stream`` read through a copy of itself, which opens the cycle.

    A stream refers to its iterator, and the iterator then to the copy instead of the stream.

    Call it before the first read, and only for the SDK's own classes: a caller's class may store state on itself.
    """
    if type(stream) is groq.Stream or type(stream) is groq.AsyncStream:
        reader = copy.copy(stream)
        vars(reader).pop("_iterator")
        vars(stream)["_iterator"] = reader.__stream__()


def loosen(response: httpx.Response) -> None:
    """Makes the byte stream of ``response`` refer to it weakly. The stream only sets ``elapsed`` on it when closed."""
    if getattr(response.stream, "_response", None) is response:
        vars(response.stream)["_response"] = weakref.proxy(response)
