"""Warns about a request id that a caller gives to two calls, since the ledger records one call for each id."""

import logging
from collections import OrderedDict
from contextlib import suppress

from groq_client.call import Attribution

logger = logging.getLogger("groq_client")

MAX_KNOWN = 10_000
"""At most this many ids, the latest, are remembered."""

_known: OrderedDict[tuple[str, str], bool] = OrderedDict()
"""By organization and id, whether a warning was logged. No lock is taken, since a signal handler could hold it."""


def note_given(attribution: Attribution) -> None:
    """Remembers the id that a caller gave to a call, and warns, once for each id, when another call had it before."""
    key = (attribution.organization, attribution.request_id)
    is_told = _known.get(key)
    if is_told is None:
        _known[key] = False
        if len(_known) > MAX_KNOWN:
            _known.popitem(last=False)
    elif not is_told:
        _known[key] = True
        with suppress(Exception):  # A filter of the program's own may raise.
            logger.warning(
                "groq_client: two calls were given the request id %r. A ledger records one call under an id: "
                "give each call its own, or none. Said once for this id.",
                attribution.request_id,
            )
