"""What several commands are told in the same words."""

from django.core.management.base import CommandError

from accounts.models import Organization


def organizations_named(slug: str | None) -> list[Organization] | None:
    """The one with this slug; None, which is all of them, where none is named. CommandError if there is no such one."""
    if slug is None:
        return None
    found = list(Organization.objects.filter(slug=slug))
    if not found:
        raise CommandError(f"There is no organization {slug!r}.")
    return found
