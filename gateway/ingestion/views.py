"""``POST /api/v1/events``: one event, an array, or JSON Lines, with what became of each in the answer."""

from collections import Counter

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.keyring import KeyEntry
from gateway.ingestion.doors import Door, rates
from gateway.ingestion.intake import take
from gateway.ingestion.items import items_of
from ledger.importing.results import Status

ALL, SOME, NONE = 200, 207, 422
"""The status of the answer if all events are in the ledger, if some of them are, and if none is."""
COUNTS: dict[Status, str] = {
    "recorded": "recorded",
    "duplicate": "duplicates",
    "conflict": "conflicts",
    "error": "errors",
}


class EventsView(Door):
    """Records events. They are in the ledger when the answer comes."""

    def enter(self, request: Request, key: KeyEntry, body: bytes) -> Response:
        content_type = (request.content_type or "").partition(";")[0].strip().lower()
        outcomes, tokens = take(items_of(body, content_type), key)
        rates().spend(key, tokens)
        found = Counter(outcome.status for outcome in outcomes)
        counts = {name: found[status] for status, name in COUNTS.items()}
        refused = counts["conflicts"] + counts["errors"]
        status = ALL if not refused else NONE if refused == len(outcomes) else SOME
        results = [outcome.as_json(index) for index, outcome in enumerate(outcomes)]
        return Response({**counts, "results": results}, status=status)
