"""The pages that save, list, rename and delete views. They work without JavaScript."""

from collections.abc import Callable
from urllib.parse import parse_qsl

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import F
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.decorators import actor_of, with_viewer
from accounts.models import Organization, User
from accounts.paging import page_of
from accounts.viewer import Viewer
from analytics.filters.facets import FACET
from analytics.filters.filters import Filters, read_filters
from analytics.models import LONGEST_QUERY, SavedView, StartView
from analytics.pages.directory import NAMED
from analytics.saved.form import ViewForm, begin_with, record_change
from analytics.saved.menu import described, state_of
from analytics.saved.start import start_view_of

TOO_LONG = "These are too many filters to save. Please choose fewer values."
require_form = require_http_methods(["GET", "HEAD", "POST"])


@require_safe
@never_cache
@with_viewer
def views(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The views that somebody can open: the private ones first."""
    person = actor_of(request)
    found = SavedView.objects.reached_by(person, viewer).select_related("organization", "owner")
    page = page_of(request, found.order_by(F("organization__name").asc(nulls_first=True), "name_key", "pk"))
    rows = [
        {
            "view": view,
            "is_own": view.owner_id == person.pk,
            "description": described(view),
            "may_change": view.may_be_changed_by(person, viewer),
            "may_begin": view.is_seen_by(person),
        }
        for view in page
    ]
    return render(request, "analytics/saved/views.html", {"page": page, "rows": rows, "start": start_view_of(person)})


@require_form
@never_cache
@with_viewer
def add(request: HttpRequest, viewer: Viewer, name: str) -> HttpResponseBase:
    """Saves the filters in the query string for the page with this name. 404 for an unknown page."""
    page = NAMED.get(name)
    if page is None:
        raise Http404
    person = actor_of(request)
    filters = read_filters(request.GET, viewer.narrowed_to(person) if page.is_own else viewer, page.settings)
    view = SavedView(owner=person, page=page.name, query=state_of(filters).string)
    form = ViewForm(
        request.POST or None, view=view, person=person, organization=_sharing_with(person, viewer, view.query)
    )
    refusal = _refusal(filters, view)
    if request.method == "POST" and not refusal and form.is_valid() and form.save():
        messages.success(request, f"The view {form.view.name} is saved.")
        return redirect(form.view)
    return _form(request, view, form, refusal)


def _refusal(filters: Filters, view: SavedView) -> str:
    """Why these filters cannot be saved; empty if they can."""
    errors = [str(error) for errors in filters.form.errors.values() for error in errors]
    return " ".join(errors) or (TOO_LONG if len(view.query) > LONGEST_QUERY else "")


def _sharing_with(person: User, viewer: Viewer, query: str) -> Organization | None:
    """The organization that a person may share a view with: the own one, or for a Super Admin the one that the view is
    filtered by; None for a User."""
    if viewer.administers:
        chosen = [value for name, value in parse_qsl(query) if name == FACET["organization"].name]
        if len(chosen) == 1:
            return Organization.objects.filter(pk=FACET["organization"].parse(chosen[0])).first()
    return person.organization if viewer.may_administer(person.organization_id) else None


def _form(request: HttpRequest, view: SavedView, form: ViewForm, refusal: str = "") -> HttpResponse:
    context = {"view": view, "form": form, "description": described(view) if not refusal else "", "refusal": refusal}
    status = 400 if refusal else 200
    return render(request, "analytics/saved/view.html", context, status=status)


def _with_view(
    view: Callable[[HttpRequest, Viewer, SavedView], HttpResponseBase],
) -> Callable[..., HttpResponseBase]:
    """Turn the ``pk`` of an address into a view that the person can open; 404 for others'."""

    def guarded(request: HttpRequest, viewer: Viewer, pk: int) -> HttpResponseBase:
        found = SavedView.objects.reached_by(actor_of(request), viewer).filter(pk=pk).first()
        if found is None:
            raise Http404
        return view(request, viewer, found)

    return with_viewer(guarded)


def _check_change(request: HttpRequest, viewer: Viewer, view: SavedView) -> User:
    """The person who changes the view; PermissionDenied for somebody who may only open it."""
    person = actor_of(request)
    if not view.may_be_changed_by(person, viewer):
        raise PermissionDenied
    return person


@require_form
@never_cache
@_with_view
def change(request: HttpRequest, viewer: Viewer, view: SavedView) -> HttpResponseBase:
    person = _check_change(request, viewer, view)
    organization = view.organization or _sharing_with(person, viewer, view.query)
    form = ViewForm(request.POST or None, view=view, person=person, organization=organization)
    if request.method == "POST" and form.is_valid() and form.save():
        messages.success(request, f"The view {view.name} is saved.")
        return redirect("views")
    return _form(request, view, form)


@require_POST
@never_cache
@_with_view
def delete(request: HttpRequest, viewer: Viewer, view: SavedView) -> HttpResponseBase:
    person = _check_change(request, viewer, view)
    with transaction.atomic():
        if view.organization_id is not None:
            record_change("delete", view, person, {"page": (view.page, None), "filters": (view.query, None)})
        view.delete()
    messages.success(request, f"The view {view.name} is deleted.")
    return redirect("views")


@require_POST
@never_cache
@_with_view
def begin(request: HttpRequest, viewer: Viewer, view: SavedView) -> HttpResponseBase:
    """Makes the view the one that the person begins with, or, if it is that already, no longer."""
    person = actor_of(request)
    if not view.is_seen_by(person):
        raise PermissionDenied
    if not StartView.objects.filter(person=person, view=view).delete()[0]:
        begin_with(person, view)
    return redirect("views")
