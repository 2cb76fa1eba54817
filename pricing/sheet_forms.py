"""The forms of which the price table as inputs is made: a row, the row for a new model, and what holds for all."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts.models import Organization
from pricing.changes import Change
from pricing.models import Price

LONGEST_PLAN = timedelta(days=3_660)

Key = tuple[str, str]
"""Provider and model."""


class Row(forms.ModelForm[Price]):
    """The next version of one model. Left as it was shown it is valid and nothing."""

    notice = ""
    """What its editor has to know before it can be saved."""

    def __init__(self, next_version: Price, prefix: str, name: str, data: Any, **more: Any) -> None:
        super().__init__(
            data, prefix=prefix, instance=next_version, empty_permitted=True, use_required_attribute=False, **more
        )
        for field in self.fields.values():
            field.help_text = ""
            field.widget.attrs["aria-label"] = f"{field.label} of {name}"  # for who does not see the table's heads
            if not isinstance(field, forms.BooleanField):
                field.widget.attrs |= {"class": "input", "autocomplete": "off", "spellcheck": "false"}

    @property
    def rates(self) -> Iterator[forms.BoundField]:
        return (self[name] for name in Price.RATES)

    @property
    def change(self) -> Change:
        return Change(None, self.instance)

    def has_changed(self) -> bool:
        return self.is_bound and super().has_changed()

    def clean(self) -> dict[str, Any]:
        """Does without the constraints, a query each: the fields have the same bounds."""
        has_rate = any(self.cleaned_data.get(name) is not None for name in Price.RATES)
        if self.cleaned_data.get("enabled") and not has_rate and not self.errors:
            self.add_error(Price.RATES[0], "Enter at least one price, or untick Enabled.")
        return self.cleaned_data


class PriceRow(Row):
    """A model that has a price."""

    class Meta:
        model = Price
        fields = (*Price.RATES, "enabled")

    def __init__(self, version: Price, organization: Organization | None, data: Any = None) -> None:
        """``organization`` is whose price the row becomes; the version may be everybody's."""
        self.version = version
        super().__init__(version.successor(organization), f"v{version.pk}", version.model, data)

    @property
    def change(self) -> Change:
        return Change(self.version, self.instance)

    def moved_to(self, version: Price) -> "PriceRow":
        """The same touches on another version: what was not touched is as it is there."""
        moved = PriceRow(version, self.instance.organization)
        values = {
            moved.add_prefix(name): self[name].data if name in self.changed_data else moved[name].value()
            for name in self.fields
        }
        return PriceRow(version, self.instance.organization, values)


class NewModelRow(Row):
    """A model that is not in the table."""

    class Meta:
        model = Price
        fields = ("model", *Price.RATES, "enabled")

    def __init__(self, organization: Organization | None, taken: set[Key], name: str, data: Any = None) -> None:
        self.taken = taken
        super().__init__(Price(organization=organization), "new", "the new model", data, initial={"model": name})

    def clean_model(self) -> str:
        model: str = self.cleaned_data["model"]
        if (self.instance.provider, model) in self.taken:
            raise ValidationError("This model is in the table already. Change its price there.")
        return model


class SaveForm(forms.Form):
    """What holds for all rows that are saved together."""

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
        """None is now, and so is the minute that is passing, as the input has no seconds."""
        start: datetime | None = self.cleaned_data["effective_from"]
        now = timezone.now()
        if start is None or now - timedelta(minutes=1) < start <= now:
            return None
        if start < now:
            raise ValidationError("This has passed. Leave it empty to begin now.")
        if start > now + LONGEST_PLAN:
            raise ValidationError("At most ten years ahead.")
        return start
