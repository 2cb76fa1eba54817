"""The Pricing tab: the list of prices, the page that edits them, and the history of a price."""

from dataclasses import dataclass
from typing import Any, Self

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.decorators import actor_of, with_viewer
from accounts.models import Organization
from accounts.viewer import Viewer
from accounts.zones import reader_zone
from pricing.catalogue import Catalogue
from pricing.filters import LONGEST_SEARCH, PriceFilters
from pricing.history import entries
from pricing.models import DEFAULT_PROVIDER, Price
from pricing.preview import preview_of
from pricing.price_list import Sort, apart
from pricing.sheet import PriceSheet
from pricing.sheet_forms import in_other_unit
from pricing.units import PER_1K, UNITS, Unit, remember, unit_of
from pricing.versions import follow_everybody, id_of, lock_prices, withdraw

HISTORY_PAGE = 25


@require_safe
@never_cache
@with_viewer
def price_list(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The prices in force, and below them the scheduled ones. ``?search=`` and ``?sort=`` apply to both."""
    if not viewer.sees_pricing:
        raise PermissionDenied
    now, unit, catalogue = timezone.now(), unit_of(request), Catalogue.load()
    search, sort = _search(request), Sort.parse(request.GET.get("sort", ""))
    visible = Price.objects.visible_to(viewer).select_related("organization", "author")
    matching = PriceFilters({"search": search}, visible).qs
    listed = [*matching.latest_begun(now), *matching.scheduled(now)]
    current, retired = apart(sort.sorted(p for p in listed if p.effective_from <= now), catalogue, now.date())
    context = {
        "viewer": viewer,
        "prices": current,
        "retired": retired,
        "scheduled": sort.sorted(p for p in listed if p.effective_from > now),
        "is_empty": not listed and not visible.exists(),
        "search": search,
        "sort": sort,
        "unit": unit,
        "units": UNITS.values(),
        "zone": reader_zone(viewer),
        "catalogue": catalogue,
        "today": now.date(),
        "has_audio": any(price.audio_usd_per_hour is not None for price in listed),
        "has_characters": any(price.usd_per_1k_characters is not None for price in listed),
        "has_tools": any(price.tool_rates for price in listed),
        "has_organizations": any(price.organization_id for price in listed),
    }
    return remember(unit, request, render(request, "pricing/list.html", context))


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request to the edit page asks for."""

    step: str
    """Empty for a visit."""
    unit: Unit
    data: QueryDict | None
    """The posted table, with prices in ``unit``; None for a visit."""

    @classmethod
    def of(cls, request: HttpRequest) -> Self:
        """A post names the unit of its page, because the remembered one may have changed since. ``in_unit`` asks for
        the typed prices in another unit."""
        if request.method != "POST":
            return cls("", unit_of(request), None)
        unit = UNITS.get(request.POST.get("unit", ""), PER_1K)
        wanted = UNITS.get(request.POST.get("in_unit", ""))
        if wanted is None:
            return cls(request.POST.get("step", ""), unit, request.POST)
        return cls("edit", wanted, in_other_unit(request.POST, unit, wanted))


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@with_viewer
def price_edit(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The editable price table. Posting it with ``step=review`` shows the summary, and with ``step=preview`` what the
    typed prices would have meant; htmx gets only that. From the summary, ``step=save`` saves, and ``step=edit`` goes
    back to the table with the typed values. ``step=withdraw`` takes back a scheduled ``version``, and ``step=follow``
    ends an organization's own ``version``.
    """
    if not viewer.may_edit_pricing:
        raise PermissionDenied
    organization, asked = _organization(request, viewer), Asked.of(request)
    if asked.step == "withdraw":
        return _withdrawn(request, _version(request))
    if asked.step == "follow":
        return _following(request, _version(request))
    wanted = request.GET.get("model") or request.GET.get("add") or ""
    with transaction.atomic():
        if asked.step == "save":
            lock_prices()
        sheet = PriceSheet(organization, asked.data, wanted=wanted, unit=asked.unit)
        if asked.step == "save" and sheet.is_ready:
            count = sheet.save(by=actor_of(request))
            messages.success(request, _saved(count))
            return redirect("pricing")
    is_summary = sheet.is_ready and asked.step not in ("edit", "preview")
    is_told = is_summary or asked.step == "preview"
    context: dict[str, Any] = {"viewer": viewer, "sheet": sheet, "step": asked.step, "unit": asked.unit}
    context["preview"] = preview_of(viewer, organization, sheet.changes) if is_told else None
    context["is_told"], context["is_part"] = is_told, request.headers.get("HX-Request-Type") == "partial"
    if asked.step == "preview" and context["is_part"]:
        return render(request, "pricing/_preview.html", context)
    response = render(request, "pricing/summary.html", context) if is_summary else _table(request, context)
    patch_vary_headers(response, ["HX-Request-Type"])
    return remember(asked.unit, request, response)


def _table(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """The page with the editable table."""
    sheet, search = context["sheet"], _search(request)
    current, retired = sheet.shown(search, Catalogue.load(), timezone.now().date())
    more = {
        "rows": current,
        "retired": retired,
        "search": search,
        "units": UNITS.values(),
        "organizations": Organization.objects.all(),
    }
    return render(request, "pricing/edit.html", context | more)


@require_safe
@never_cache
@with_viewer
def price_history(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """All versions of one model's price, for everybody or for one organization, the latest start first."""
    if not viewer.sees_pricing:
        raise PermissionDenied
    organization, unit = _organization(request, viewer), unit_of(request)
    provider, model = request.GET.get("provider", DEFAULT_PROVIDER), request.GET.get("model", "")
    if "\0" in provider + model:
        raise Http404
    versions = Price.objects.filter(provider=provider, model=model, organization=organization)
    versions = versions.select_related("author").order_by("-effective_from", "-pk")
    history = entries(list(versions), timezone.now(), unit)
    if not history:
        raise Http404
    context = {
        "viewer": viewer,
        "model": model,
        "organization": organization,
        "page": Paginator(history, HISTORY_PAGE).get_page(request.GET.get("page")),
        "unit": unit,
        "units": UNITS.values(),
        "zone": reader_zone(viewer),
    }
    return remember(unit, request, render(request, "pricing/history.html", context))


def _search(request: HttpRequest) -> str:
    return request.GET.get("search", "").strip()[:LONGEST_SEARCH]


def _organization(request: HttpRequest, viewer: Viewer) -> Organization | None:
    """The organization in ``?organization=``; None, for everybody, if the parameter is empty. 404 if the viewer may not
    see the organization."""
    value = request.GET.get("organization", "")
    if not value:
        return None
    pk = id_of(value)
    if viewer.organization_ids is not None and pk not in viewer.organization_ids:
        raise Http404
    return get_object_or_404(Organization, pk=pk)


def _version(request: HttpRequest) -> Price:
    return get_object_or_404(Price, pk=id_of(request.POST.get("version")))


def _following(request: HttpRequest, version: Price) -> HttpResponse:
    if follow_everybody(version, by=actor_of(request)):
        messages.success(request, f"{version.organization} is charged everybody's price again, from now on.")
    else:
        messages.warning(request, "This price is not in force any more. Nothing was changed.")
    return redirect(version)


def _withdrawn(request: HttpRequest, version: Price) -> HttpResponse:
    if withdraw(version, by=actor_of(request)):
        messages.success(request, "The scheduled price is taken back.")
    else:
        messages.warning(request, "This price has begun or was replaced meanwhile. Nothing was changed.")
    return redirect(version)


def _saved(count: int) -> str:
    return f"Saved {count} new price{'' if count == 1 else 's'}. A change applies to new requests only."
