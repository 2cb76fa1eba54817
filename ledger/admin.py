"""Read-only pages for events in the Django admin. The event table can have many millions of rows."""

from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

from accounts.models import Organization
from ledger.models import UsageEvent
from pricing.models import Price

MAX_COUNTED = 10_000


class CappedPaginator(Paginator[UsageEvent]):
    """A paginator that counts at most MAX_COUNTED rows, because an exact count would read the whole table."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[:MAX_COUNTED].count())


class ModelFilter(admin.SimpleListFilter):
    """A filter that offers the models with a price, and the model that is selected now.

    Listing the models that occur in events would read all events.
    """

    title = "model"
    parameter_name = "model"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        asked = request.GET.getlist(self.parameter_name)
        names = Price.objects.values_list("model", flat=True).distinct()
        return [(name, name) for name in sorted({*names, *asked})]

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageEvent]) -> QuerySet[UsageEvent]:
        return queryset.filter(model=self.value()) if self.value() else queryset


@admin.register(UsageEvent)
class UsageEventAdmin(admin.ModelAdmin[UsageEvent]):
    list_display = (
        "timestamp",
        "organization",
        "project",
        "user",
        "model",
        "status",
        "total_tokens",
        "cost_usd",
        "latency_ms",
        "request_id",
    )
    list_filter = (
        "day",
        "status",
        "organization",
        ("cost_usd", admin.EmptyFieldListFilter),
        "without_tool_fees",
        ModelFilter,
    )
    list_select_related = ("organization", "project", "user")
    ordering = ("-id",)
    search_fields = ("request_id",)
    search_help_text = "A whole request id."
    paginator = CappedPaginator
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: UsageEvent | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: UsageEvent | None = None) -> bool:
        return False

    def get_sortable_by(self, request: HttpRequest) -> tuple[str, ...]:
        """No column can be sorted by, because no index serves such an order."""
        return ()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[UsageEvent], search_term: str
    ) -> tuple[QuerySet[UsageEvent], bool]:
        """The event with exactly this request id.

        The query names all organizations so that PostgreSQL can use the unique index on request id and organization.
        """
        if not search_term:
            return queryset, False
        organizations = list(Organization.objects.values_list("pk", flat=True))
        return queryset.filter(organization__in=organizations, request_id=search_term), False
