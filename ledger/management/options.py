"""Options and error messages that several commands share."""

from argparse import ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime

import psycopg
from django.core.management.base import CommandError
from django.db import InterfaceError, OperationalError

from accounts.models import Organization


def day(text: str) -> date:
    """The date that an option says."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"write the date as year-month-day, such as 2026-11-02, not {text!r}") from None


def moment(text: str) -> datetime:
    """The moment that an option says, in UTC unless it names another zone."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"write the moment like 2026-11-02T14:30, not {text!r}") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


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
