"""Keeps the request ids apart that clients give, since the ledger records one call for each id."""

from collections import OrderedDict

from groq_client.call import Attribution, new_request_id
from groq_client.names import identity

MAX_KNOWN = 10_000
"""At most this many ids, the latest, are remembered by a process."""


class GivenIds:
    """The request ids that clients have given lately.

    A client that tries again sends the same id with another call, and one that always sends the same id would have its
    first call recorded alone. So the second call with an id gets an id of its own, which begins with the given one.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    def unique(self, attribution: Attribution, retries: int) -> str:
        given = attribution.request_id
        if retries:
            given = identity(f"{given}~{retries}")
        if (attribution.organization, given) in self._known:
            given = identity(f"{given}~{new_request_id()}")
        self._known[attribution.organization, given] = None
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        return given
