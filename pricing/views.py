"""The Pricing tab: the list of prices, the page that edits them, and the history of a price."""

from typing import cast

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.decorators import with_viewer
from accounts.models import Organization, User
from accounts.viewer import Viewer
from pricing.catalogue import Catalogue
from pricing.history import entries
from pricing.models import DEFAULT_PROVIDER, Price
from pricing.sheet import PriceSheet
from pricing.versions import follow_everybody, id_of, lock_prices, withdraw

HISTORY_PAGE = 25


@require_safe
@never_cache
@with_viewer
def price_list(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The prices in force, and below them the scheduled ones."""
    if not viewer.sees_pricing:
        raise PermissionDenied
    now = timezone.now()
    visible = Price.objects.visible_to(viewer).select_related("organization", "author")
    prices, scheduled = list(visible.latest_begun(now)), list(visible.scheduled(now))
    listed = [*prices, *scheduled]
    context = {
        "viewer": viewer,
        "prices": prices,
        "scheduled": scheduled,
        "catalogue": Catalogue.load(),
        "today": now.date(),
        "has_audio": any(price.audio_usd_per_hour is not None for price in listed),
        "has_characters": any(price.usd_per_1k_characters is not None for price in listed),
        "has_tools": any(price.tool_rates for price in listed),
        "has_organizations": any(price.organization_id for price in listed),
    }
    return render(request, "pricing/list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@with_viewer
def price_edit(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The editable price table. Posting it with ``step=review`` shows the summary. From there ``step=save`` saves, and
    ``step=edit`` goes back to the table with the typed values. ``step=withdraw`` takes back a scheduled ``version``,
    and ``step=follow`` ends an organization's own ``version``.
    """
    if not viewer.may_edit_pricing:
        raise PermissionDenied
    organization = _organization(request, viewer)
    wanted = request.GET.get("model") or request.GET.get("add") or ""
    step = request.POST.get("step")
    if step == "withdraw":
        return _withdrawn(request, _version(request))
    if step == "follow":
        return _following(request, _version(request))
    with transaction.atomic():
        if step == "save":
            lock_prices()
        sheet = PriceSheet(organization, request.POST if request.method == "POST" else None, wanted=wanted)
        if step == "save" and sheet.is_ready:
            count = sheet.save(by=cast("User", request.user))
            messages.success(request, _saved(count))
            return redirect("pricing")
    template = "pricing/summary.html" if sheet.is_ready and step != "edit" else "pricing/edit.html"
    search = request.GET.get("search", "").strip()
    context = {
        "viewer": viewer,
        "sheet": sheet,
        "rows": sheet.shown(search),
        "search": search,
        "step": step,
        "organizations": Organization.objects.all(),
    }
    return render(request, template, context)


@require_safe
@never_cache
@with_viewer
def price_history(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """All versions of one model's price, for everybody or for one organization, the latest start first."""
    if not viewer.sees_pricing:
        raise PermissionDenied
    organization = _organization(request, viewer)
    provider, model = request.GET.get("provider", DEFAULT_PROVIDER), request.GET.get("model", "")
    if "\0" in provider + model:
        raise Http404
    versions = Price.objects.filter(provider=provider, model=model, organization=organization)
    versions = versions.select_related("author").order_by("-effective_from", "-pk")
    history = entries(list(versions), timezone.now())
    if not history:
        raise Http404
    page = Paginator(history, HISTORY_PAGE).get_page(request.GET.get("page"))
    context = {"viewer": viewer, "model": model, "organization": organization, "page": page}
    return render(request, "pricing/history.html", context)


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
    if follow_everybody(version, by=cast("User", request.user)):
        messages.success(request, f"{version.organization} is charged everybody's price again, from now on.")
    else:
        messages.warning(request, "This price is not in force any more. Nothing was changed.")
    return redirect(version)


def _withdrawn(request: HttpRequest, version: Price) -> HttpResponse:
    if withdraw(version, by=cast("User", request.user)):
        messages.success(request, "The scheduled price is taken back.")
    else:
        messages.warning(request, "This price has begun or was replaced meanwhile. Nothing was changed.")
    return redirect(version)


def _saved(count: int) -> str:
    return f"Saved {count} new price{'' if count == 1 else 's'}. A change applies to new requests only."
