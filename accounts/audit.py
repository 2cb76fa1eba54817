"""The audit trail: every change to people, organizations and prices leaves a record of who made it."""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import AnonymousUser

from accounts.models import AuditRecord, Organization, User

Changes = Mapping[str, tuple[Any, Any]]
"""The values of each changed field before and after the change."""


def record(
    action: str, subject: str, *, by: User | AnonymousUser | None, organization: Organization | None, changes: Changes
) -> AuditRecord:
    """Write an audit record. Call this in the transaction that makes the change.

    ``action`` is ``thing.verb`` ("member.invite", "price.add"), ``subject`` is the name of the thing on pages. ``by``
    is None for a command. ``organization`` is the one whose audit trail gets the record, None for changes that concern
    everybody.
    """
    return AuditRecord.objects.create(
        action=action,
        subject=subject[: AuditRecord._meta.get_field("subject").max_length],
        actor=by if isinstance(by, User) else None,
        organization=organization,
        changes={name: [_text(before), _text(after)] for name, (before, after) in changes.items()},
    )


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The fields of ``after`` that differ from ``before``, each with both values."""
    return {name: (before.get(name), value) for name, value in after.items() if before.get(name) != value}


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
