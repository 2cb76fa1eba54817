"""Prices in the Django admin: an append-only history."""

from typing import Any, cast

from django.contrib import admin
from django.http import HttpRequest

from accounts.models import User
from pricing.forms import PriceVersionForm, next_version_of
from pricing.models import Price
from pricing.versions import add_versions, id_of


@admin.register(Price)
class PriceAdmin(admin.ModelAdmin[Price]):
    """Versions can be read and added. "Add a new version from this one" fills the form from ``?from=<id>``."""

    form = PriceVersionForm
    view_on_site = False
    list_display = ("model", "scope", "summary", "enabled", "effective_from", "author", "created_at")
    list_filter = ("enabled", "organization", "provider", "model")
    list_select_related = ("organization", "author")
    search_fields = ("model", "source_note")

    def has_change_permission(self, request: HttpRequest, obj: Price | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Price | None = None) -> bool:
        return False

    def get_fields(self, request: HttpRequest, obj: Price | None = None) -> Any:
        fields = PriceVersionForm.Meta.fields
        return (*fields, "follows_everybody", "author", "created_at") if obj else (*fields, "newest_seen")

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        version = Price.objects.filter(pk=id_of(request.GET.get("from"))).first()
        return next_version_of(version) if version else {}

    def save_model(self, request: HttpRequest, obj: Price, form: Any, change: bool) -> None:
        """Adds the version in the transaction of the view, which also writes Django's log entry."""
        add_versions([obj], by=cast("User", request.user))

    @admin.display(description="for", ordering="organization")
    def scope(self, version: Price) -> str:
        return str(version.organization or "everybody")
