"""The form that schedules an export."""

import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from accounts.forms import Styled
from analytics.models import ScheduledExport
from analytics.scheduled.files import FORMATS
from analytics.scheduled.places import offered

PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*", re.ASCII)
"""Names with slashes between them. None begins with a dot, so that no path leads out of its directory."""
DIMENSIONS = {"model": "Model", "project_id": "Project", "user_id": "User", "feature": "Feature", "status": "Status"}
MOST = 20
TOO_MANY = f"An organization has at most {MOST} scheduled exports. Remove one first."
Kind = ScheduledExport.Kind


class ScheduleForm(Styled, forms.ModelForm[ScheduledExport]):
    """A new export of ``instance.organization``."""

    by = forms.ChoiceField(
        label="Grouped by",
        choices=[("", "Nothing"), *DIMENSIONS.items()],
        required=False,
        help_text="For a grouped table.",
    )

    class Meta:
        model = ScheduledExport
        fields = ("kind", "format", "by", "every", "place", "prefix")
        help_texts = {
            "format": "Requests: csv, jsonl or parquet. FOCUS: csv or parquet. Grouped table: csv.",
            "prefix": "Directories below the organization's own, such as finance/usage. May be empty.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.update(kind=Kind.EVENTS, format="csv", every=ScheduledExport.Every.MONTH)
        place = self.fields["place"]
        assert isinstance(place, forms.ChoiceField)
        place.choices = offered()

    def clean_prefix(self) -> str:
        prefix: str = self.cleaned_data["prefix"]
        if prefix and not PATH.fullmatch(prefix):
            raise ValidationError(
                "Write names of letters, digits, '.', '_' and '-' with slashes between them, such as finance/usage."
            )
        return prefix

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        kind, every = cleaned.get("kind"), cleaned.get("every")
        if kind and cleaned.get("format") not in FORMATS[Kind(kind)]:
            self.add_error("format", f"Choose one of {', '.join(FORMATS[Kind(kind)])} for this.")
        if kind == Kind.FOCUS and every and every != ScheduledExport.Every.MONTH:
            self.add_error("every", "A FOCUS file is of a whole month. Choose every month.")
        if kind == Kind.TABLE and not cleaned.get("by"):
            self.add_error("by", "Choose what the table is grouped by.")
        cleaned["by"] = cleaned.get("by", "") if kind == Kind.TABLE else ""
        if self.instance.organization.scheduled_exports.count() >= MOST:
            raise ValidationError(TOO_MANY)
        return cleaned

    def validate_unique(self) -> None:
        """The organization is not a field of the form, so Django would not look at the constraint."""
        same = {name: self.cleaned_data.get(name) for name in ("kind", "format", "every", "place", "prefix")}
        if self.instance.organization.scheduled_exports.filter(**same).exists():
            self.add_error(None, "There is such an export at this path already. Choose another path.")
