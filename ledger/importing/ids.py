"""Request ids for events that come without one. They depend on the content of the event, so that an event that is sent
or imported again gets the same id."""

import hashlib
from datetime import datetime


def digest_of(content: str) -> bytes:
    return hashlib.sha256(content.encode()).digest()


def id_of(started_at: datetime, digest: bytes, times: int = 1) -> str:
    """A request id of 32 hexadecimal digits for the ``times``-th event with this content. Ids rise with the start of
    the call, like those of ``new_request_id``, which keeps indexes compact."""
    unique = hashlib.sha256(digest + str(times).encode()).hexdigest()
    return f"{int(started_at.timestamp() * 1000):012x}{unique[:20]}"
