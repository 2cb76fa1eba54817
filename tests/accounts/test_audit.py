"""The audit trail only grows."""

from decimal import Decimal

import pytest
from django.db import DatabaseError, connection, transaction

from accounts.audit import differences, record
from accounts.models import AuditRecord, Organization, User


def test_a_record_says_who_changed_what(admin: User, acme: Organization) -> None:
    changes = {"price": (None, Decimal("0.10")), "zone": ("UTC", "Asia/Kolkata")}
    record("price.add", "x" * 400, by=admin, organization=acme, changes=changes)
    written = AuditRecord.objects.get()
    assert (written.action, written.actor, written.organization) == ("price.add", admin, acme)
    assert written.changes == {"price": [None, "0.10"], "zone": ["UTC", "Asia/Kolkata"]}
    assert written.subject == "x" * 300


def test_differences_name_only_what_changed() -> None:
    assert differences({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": None}) == {"b": (2, 3)}


@pytest.mark.parametrize(
    "statement", ["UPDATE accounts_auditrecord SET subject = ''", "DELETE FROM accounts_auditrecord"]
)
def test_no_record_is_changed_or_deleted(admin: User, acme: Organization, statement: str) -> None:
    written = record("member.invite", "ann", by=admin, organization=acme, changes={})
    with pytest.raises(TypeError):
        written.save()
    with pytest.raises(TypeError):
        written.delete()
    with pytest.raises(DatabaseError, match="only grows"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
