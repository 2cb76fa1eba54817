"""The forms of the editable price table: a row for each model, a row for a new model, and the fields for all rows."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils import timezone

from accounts.models import Organization
from pricing.changes import Change
from pricing.fields import DollarField, plain
from pricing.forms import LONGEST_PLAN
from pricing.models import Price, validate_typed_rate
from pricing.units import PER_1K, Unit

Key = tuple[str, str]
"""The provider and the model of a price."""


class Row(forms.ModelForm[Price]):
    """The next version of one model's price. A row that was not changed is valid and adds no version."""

    notice = ""
    """A message for the editor about somebody else's change; while there is one, the sheet cannot be saved."""

    is_wanted = False
    """Whether the page's address names the row's model."""

    def __init__(self, next_version: Price, prefix: str, name: str, data: Any, unit: Unit, **more: Any) -> None:
        self.unit = unit
        super().__init__(
            data, prefix=prefix, instance=next_version, empty_permitted=True, use_required_attribute=False, **more
        )
        for field_name, field in self.fields.items():
            if field_name in Price.PER_THOUSAND and unit is not PER_1K:
                assert isinstance(field, DollarField)
                field.unit, field.label = unit, unit.labelled(str(field.label))
                field.validators.append(validate_typed_rate)
            field.help_text = ""
            field.widget.attrs["aria-label"] = f"{field.label} of {name}"  # A screen reader may not read the heads.
            if not isinstance(field, forms.BooleanField):
                field.widget.attrs |= {"class": "input", "autocomplete": "off", "spellcheck": "false"}

    @property
    def rates(self) -> Iterator[forms.BoundField]:
        return (self[name] for name in (*Price.RATES, "tool_rates"))

    @property
    def is_open(self) -> bool:
        """Whether the row needs to be seen where rows are folded."""
        return self.has_changed() or bool(self.errors or self.notice) or self.is_wanted

    @property
    def change(self) -> Change:
        return Change(None, self.instance, self.unit)

    def has_changed(self) -> bool:
        return self.is_bound and super().has_changed()

    def clean(self) -> dict[str, Any]:
        """The model's constraints are not checked, because each takes a query and the fields have the same bounds."""
        has_rate = any(self.cleaned_data.get(name) is not None for name in Price.RATES)
        has_rate |= bool(self.cleaned_data.get("tool_rates"))
        if self.cleaned_data.get("enabled") and not has_rate and not self.errors:
            self.add_error(Price.RATES[0], "Enter at least one price, or untick Enabled.")
        return self.cleaned_data


class PriceRow(Row):
    """The row of a model that has a price."""

    class Meta:
        model = Price
        fields = (*Price.RATES, "tool_rates", "enabled")

    def __init__(
        self, version: Price, organization: Organization | None, data: Any = None, unit: Unit = PER_1K
    ) -> None:
        """The new version is for ``organization`` (None: for everybody), even if ``version`` is everybody's."""
        self.version = version
        super().__init__(version.successor(organization), f"v{version.pk}", version.model, data, unit)

    @property
    def change(self) -> Change:
        return Change(self.version, self.instance, self.unit)

    def moved_to(self, version: Price) -> "PriceRow":
        """A row for another version with the same edits; fields that were not edited have that version's values."""
        moved = PriceRow(version, self.instance.organization, unit=self.unit)
        values = {
            moved.add_prefix(name): self[name].data if name in self.changed_data else moved[name].value()
            for name in self.fields
        }
        return PriceRow(version, self.instance.organization, values, self.unit)


class NewModelRow(Row):
    """The row for a model that is not in the table."""

    class Meta:
        model = Price
        fields = ("model", *Price.RATES, "tool_rates", "enabled")

    def __init__(
        self, organization: Organization | None, taken: set[Key], name: str, data: Any = None, unit: Unit = PER_1K
    ) -> None:
        self.taken = taken
        super().__init__(Price(organization=organization), "new", "the new model", data, unit, initial={"model": name})

    def clean_model(self) -> str:
        model: str = self.cleaned_data["model"]
        if (self.instance.provider, model) in self.taken:
            raise ValidationError("This model is in the table already. Change its price there.")
        return model


def in_other_unit(posted: QueryDict, old: Unit, new: Unit) -> QueryDict:
    """The posted rows with their prices in another unit. What is no number stays as it was typed."""
    converted = posted.copy()
    for name, value in posted.items():
        text = str(value).strip()
        if name.rpartition("-")[2] in Price.PER_THOUSAND and DollarField.PLAIN.fullmatch(text):
            converted[name] = plain(new.of(old.per_thousand(Decimal(text))))
    return converted


class SaveForm(forms.Form):
    """The start and the source of all versions that are saved together."""

    effective_from = forms.DateTimeField(
        required=False,
        label="Effective from (UTC)",
        help_text="Empty: from the moment of saving.",
        widget=forms.DateTimeInput({"class": "input", "type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        error_messages={"invalid": "Enter a date and a time, such as 2030-01-31 00:00."},
    )
    source_note = forms.CharField(
        required=False,
        max_length=500,
        label="Source",
        help_text="Where these prices come from.",
        widget=forms.TextInput({"class": "input", "autocomplete": "off"}),
    )

    def clean_effective_from(self) -> datetime | None:
        """None means now. The current minute counts as now too, because the input has no seconds."""
        start: datetime | None = self.cleaned_data["effective_from"]
        now = timezone.now()
        if start is None or now - timedelta(minutes=1) < start <= now:
            return None
        if start < now:
            raise ValidationError("This has passed. Leave it empty to begin now.")
        if start > now + LONGEST_PLAN:
            raise ValidationError("At most ten years ahead.")
        return start
