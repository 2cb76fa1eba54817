"""The form that adds a price version: in the admin, and wherever else prices are edited."""

from typing import Any

from django import forms
from django.db import connection
from django.http import QueryDict
from django.utils import timezone

from accounts.models import Organization
from pricing.models import Price

LOCK_SQL = "LOCK TABLE pricing_price IN SHARE ROW EXCLUSIVE MODE"
"""One editor at a time, until the transaction ends; readers do not wait."""


class PriceVersionForm(forms.ModelForm[Price]):
    """A new version. Without a start it begins when it is saved. Valid only inside a transaction.

    ``newest_seen`` is the newest version of the model that its editor knew of. If there is a newer one by now, the
    editor is told, once, instead of replacing it unseen.
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
            "enabled",
            "effective_from",
            "source_note",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        start = self.fields.get("effective_from")
        if start:  # the admin shows a version through a form without fields
            start.required, start.initial, start.help_text = False, None, "UTC. Empty: from now on."

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not cleaned.get("effective_from"):
            cleaned["effective_from"] = timezone.now()
        if cleaned.get("newest_seen") is not None and not self.errors:
            self._check_unseen(cleaned)
        return cleaned

    def _check_unseen(self, cleaned: dict[str, Any]) -> None:
        with connection.cursor() as cursor:
            cursor.execute(LOCK_SQL)
        newest = newest_version(cleaned["provider"], cleaned["model"], cleaned["organization"])
        if newest is not None and newest.pk > cleaned["newest_seen"]:
            self._show_as_seen(newest)
            author = newest.author.display_name if newest.author else "the price sync"
            self.add_error(
                None,
                f"Meanwhile {author} has added a version: {newest.summary}, from "
                f"{newest.effective_from:%Y-%m-%d %H:%M} UTC. Save again to add yours after it.",
            )

    def _show_as_seen(self, version: Price) -> None:
        """So that saving once more means to have read about it."""
        if isinstance(self.data, QueryDict):
            data = self.data.copy()
            data[self.add_prefix("newest_seen")] = str(version.pk)
            self.data = data


def newest_version(provider: str, model: str, organization: Organization | None) -> Price | None:
    """The version of a model that was entered last, for one organization or (None) for everybody."""
    versions = Price.objects.filter(provider=provider, model=model, organization=organization)
    return versions.select_related("author").order_by("-pk").first()


def next_version_of(version: Price) -> dict[str, Any]:
    """The form's first values for a version that follows ``version``."""
    newest = newest_version(version.provider, version.model, version.organization)
    values = {name: getattr(version, name) for name in PriceVersionForm.Meta.fields}
    return values | {
        "organization": version.organization_id,
        "effective_from": None,
        "source_note": "",
        "newest_seen": newest.pk if newest else 0,
    }
