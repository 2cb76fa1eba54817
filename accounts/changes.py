"""Saving a form's changes together with their audit record."""

from typing import Any

from django import forms
from django.db import IntegrityError, models, transaction

from accounts.audit import differences, record
from accounts.models import ApiKey, Organization, Project, User

Subject = Organization | User | Project | ApiKey


def save_recorded(form: forms.ModelForm[Any], action: str, *, by: User) -> bool:
    """Save a valid form and its audit record in one transaction. False, with an error on the form, if somebody else has
    taken a unique name meanwhile. A form that changes nothing gets no record.
    """
    subject: Subject = form.instance
    try:
        with transaction.atomic():
            before = _held(subject, form)
            form.save()
            after = {name: form.cleaned_data[name] for name in form.fields}
            if changes := differences(before, after):
                record(action, str(subject), by=by, organization=_organization_of(subject), changes=changes)
    except IntegrityError:
        form.add_error("slug" if "slug" in form.fields else None, "This is taken already. Please choose another.")
        return False
    return True


def _held(subject: models.Model, form: forms.ModelForm[Any]) -> dict[str, Any]:
    """The stored values of the form's fields; the row is locked until the transaction ends. Empty for a new row."""
    if subject.pk is None:
        return {}
    rows = type(subject)._default_manager.select_for_update().filter(pk=subject.pk)
    return dict(rows.values(*form.fields).get())


def _organization_of(subject: Subject) -> Organization | None:
    return subject if isinstance(subject, Organization) else subject.organization
