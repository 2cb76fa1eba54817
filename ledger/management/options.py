"""Options and error messages that several commands share."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from django.core.management.base import CommandError
from django.db import InterfaceError, OperationalError

from accounts.models import Organization


def organizations_named(slug: str | None) -> list[Organization] | None:
    """A list of the organization with this slug. None, which stands for all organizations, if the slug is None.
    CommandError if there is no such organization."""
    if slug is None:
        return None
    found = list(Organization.objects.filter(slug=slug))
    if not found:
        raise CommandError(f"There is no organization {slug!r}.")
    return found


@contextmanager
def can_be_run_again() -> Iterator[None]:
    """Turn the errors of a database that goes away, or cancels a statement, into a CommandError that says what to do.
    Use this only for commands that commit step by step, because the error says that finished work stays."""
    try:
        yield
    except (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError) as error:
        words = str(error).strip().partition("\n")[0]
        raise CommandError(
            f"The database went away or gave up: {words}. What was finished stays; once the database answers, run the"
            " same command again: it does what is left."
        ) from error
