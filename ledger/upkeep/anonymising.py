"""Clearing the texts in the requests of a person who was made anonymous (``accounts.anonymising``).

``metadata`` is whatever the calling program attached, and an error message may quote what was asked. Both are cleared.
No sum is made of them, so that no total changes. Everything else in an event is a number, a name of something that
belongs to the organization (model, project, feature, expert, template), or an id.
"""

from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

from django.db import connection
from django.db.models import Q

from accounts.models import Organization, User
from ledger.upkeep.hold import holding

AT_ONCE = 5_000
"""At most this number of events is cleared in one transaction."""

_OF_PERSON = "organization_id = %(organization)s AND user_id = %(person)s"
# These statements use the index usageevent_person_time.
_NEXT_DAY = f"SELECT min(day) FROM ledger_usageevent WHERE {_OF_PERSON} AND day > %(day)s"  # noqa: S608 - no outside input
_CLEAR = f"""
    UPDATE ledger_usageevent SET metadata = '{{}}', error_message = ''
    WHERE {_OF_PERSON} AND day = %(day)s AND id IN (
        SELECT id FROM ledger_usageevent
        WHERE {_OF_PERSON} AND day = %(day)s AND (metadata <> '{{}}' OR error_message <> '') LIMIT {AT_ONCE}
    )
"""  # noqa: S608 - no outside input

# What a second program told about a call waits here until ``ledger.upkeep.gaps`` adds it to the event.
_CLEAR_SUPPLEMENTS = """
    UPDATE ledger_supplement AS more SET told = told || '{"metadata": {}, "error_message": ""}'
    WHERE organization_id = %(organization)s AND EXISTS (
        SELECT FROM ledger_usageevent AS event
        WHERE event.organization_id = more.organization_id AND event.request_id = more.request_id
            AND event.user_id = %(person)s
    )
"""


class StoppedError(Exception):
    """The worker ends before everything is cleared, so that the job has to run again."""


def clear_texts(person_id: int, should_stop: Callable[[], bool] = lambda: False) -> int:
    """Clear the texts in all events of an anonymous person and of those who were merged into the person. Returns the
    number of events that had any. Every batch is committed, so that a later call goes on with what is left. Raises
    StoppedError between two batches if ``should_stop`` says so. Nobody else's events are touched, even by mistake."""
    people = User.objects.filter(Q(pk=person_id) | Q(merged_into=person_id), anonymised_at__isnull=False)
    ids = list(people.values_list("pk", flat=True))
    cleared = 0
    # A Super Admin may have moved the person from one organization to another, and events stay where they are.
    for organization_id in Organization.objects.values_list("pk", flat=True):
        for pk in ids:
            for count in _batches({"organization": organization_id, "person": pk}):
                cleared += count
                if should_stop():
                    raise StoppedError(f"{cleared} requests were cleared.")
    return cleared


def _batches(whose: dict[str, Any]) -> Iterator[int]:
    """Clear the person's events in one organization, and tell after each batch how many it had."""
    _execute(_CLEAR_SUPPLEMENTS, whose)
    day = date.min
    while (found := _value(_NEXT_DAY, whose | {"day": day})) is not None:
        day = found
        while count := _execute(_CLEAR, whose | {"day": day}):
            yield count


def _execute(sql: str, values: dict[str, Any]) -> int:
    """Change rows in a transaction of its own. Returns how many there were."""
    with holding(values["organization"]), connection.cursor() as cursor:
        cursor.execute(sql, values)
        return int(cursor.rowcount)


def _value(sql: str, values: dict[str, Any]) -> date | None:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        found: date | None = cursor.fetchone()[0]
        return found
