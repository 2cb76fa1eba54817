"""The form that adds one price version in the Django admin; the Pricing tab has ``pricing.sheet``."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils import timezone

from pricing.models import Price
from pricing.versions import entered_after, lock_prices, news_of

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LONGEST_PLAN = timedelta(days=3_660)


class PriceVersionForm(forms.ModelForm[Price]):
    """A new version, which begins when it is saved unless it has a start. Validate and save it in one transaction.

    ``newest_seen`` is the id of the newest version that the editor has seen. If there is a newer one, the form has an
    error that describes it; saving once more accepts it.
    """

    newest_seen = forms.IntegerField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = Price
        fields = (
            "provider",
            "model",
            "organization",
            "input_usd_per_1k_tokens",
            "output_usd_per_1k_tokens",
            "cached_input_usd_per_1k_tokens",
            "audio_usd_per_hour",
            "audio_minimum_seconds",
            "usd_per_1k_characters",
            "tool_rates",
            "enabled",
            "effective_from",
            "source_note",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        start = self.fields.get("effective_from")
        if start:  # The admin shows a stored version in a form without fields.
            start.required, start.initial, start.help_text = False, None, "UTC. Empty: from now on."

    def clean_effective_from(self) -> datetime | None:
        """None means now. PostgreSQL keeps times that Python cannot read, and one of them would make the whole price
        list unreadable, to whatever records a call too."""
        start: datetime | None = self.cleaned_data["effective_from"]
        if start is not None and not EARLIEST <= start <= timezone.now() + LONGEST_PLAN:
            raise ValidationError(f"Choose a time from {EARLIEST:%Y-%m-%d} on, and at most ten years ahead.")
        return start

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not cleaned.get("effective_from"):
            cleaned["effective_from"] = timezone.now()
        if cleaned.get("newest_seen") is not None and not self.errors:
            self._check_unseen(cleaned)
        return cleaned

    def _check_unseen(self, cleaned: dict[str, Any]) -> None:
        lock_prices()
        newer = entered_after(cleaned["newest_seen"], cleaned["organization"])
        newest = newer.filter(provider=cleaned["provider"], model=cleaned["model"]).last()
        if newest is not None:
            self._show_as_seen(newest)
            self.add_error(None, f"{news_of(newest)} Save again to add yours after it.")

    def _show_as_seen(self, version: Price) -> None:
        """Set ``newest_seen`` to this version, so that the editor can save once more after reading the error."""
        if isinstance(self.data, QueryDict):
            data = self.data.copy()
            data[self.add_prefix("newest_seen")] = str(version.pk)
            self.data = data


def next_version_of(version: Price) -> dict[str, Any]:
    """The initial values of the form for a version that follows ``version``."""
    same = entered_after(0, version.organization).filter(provider=version.provider, model=version.model)
    newest = same.last()
    values = {name: getattr(version, name) for name in PriceVersionForm.Meta.fields}
    return values | {
        "organization": version.organization_id,
        "effective_from": None,
        "source_note": "",
        "newest_seen": newest.pk if newest else 0,
    }
