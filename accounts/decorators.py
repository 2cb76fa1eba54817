"""Decorators that check the access to a view."""

from collections.abc import Callable
from functools import update_wrapper
from typing import Concatenate, ParamSpec, TypeVar

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from accounts.models import ApiKey, Organization, Project, User
from accounts.viewer import Viewer

P = ParamSpec("P")
Subject = TypeVar("Subject", Organization, User, Project, ApiKey)


def viewer_of(request: HttpRequest) -> Viewer:
    """The viewer of a request, made once and kept as ``request.viewer`` for templates."""
    viewer = getattr(request, "viewer", None)
    if not isinstance(viewer, Viewer):
        viewer = Viewer.of(request.user)
        request.viewer = viewer  # type: ignore[attr-defined]
    return viewer


def with_viewer(
    view: Callable[Concatenate[HttpRequest, Viewer, P], HttpResponseBase],
) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    """Call ``view(request, viewer, …)`` for people who may see something.

    Visitors are sent to the sign-in page and come back afterwards. People without organization or role get a page that
    says whom to ask.
    """

    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return _to_sign_in(request)
        viewer = viewer_of(request)
        if not viewer.sees_anything:
            return _without_anything(request)
        return view(request, viewer, *args, **kwargs)

    update_wrapper(guarded, view)
    return guarded


def signed_in(
    view: Callable[Concatenate[HttpRequest, User, P], HttpResponseBase],
) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    """Call ``view(request, person, …)`` for everybody who is signed in, whatever they see: for pages about one's own
    account. Visitors are sent to the sign-in page."""

    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return _to_sign_in(request)
        return view(request, actor_of(request), *args, **kwargs)

    update_wrapper(guarded, view)
    return guarded


def with_own_data(
    view: Callable[Concatenate[HttpRequest, User, P], HttpResponseBase],
) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    """Like ``signed_in``, for pages that show what is recorded about oneself. Somebody who still lacks a second factor
    that the role must have is sent to the page that sets one up."""

    def guarded(request: HttpRequest, person: User, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if person.lacks_second_factor:
            return _to_second_factor(request)
        return view(request, person, *args, **kwargs)

    update_wrapper(guarded, view)
    return signed_in(guarded)


def with_own_viewer(
    view: Callable[Concatenate[HttpRequest, Viewer, P], HttpResponseBase],
) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    """Like ``with_viewer``, but the viewer sees only the person's own rows, whatever the role."""

    def narrowed(request: HttpRequest, viewer: Viewer, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        return view(request, viewer.narrowed_to(actor_of(request)), *args, **kwargs)

    update_wrapper(narrowed, view)
    return with_viewer(narrowed)


def for_admins(
    view: Callable[Concatenate[HttpRequest, Viewer, P], HttpResponseBase],
) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    """Call ``view(request, viewer, …)`` for Super Admins and Admins; PermissionDenied for Users."""
    return _where(lambda viewer: viewer.administers_organizations, view)


def for_super_admins(
    view: Callable[Concatenate[HttpRequest, Viewer, P], HttpResponseBase],
) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    """Call ``view(request, viewer, …)`` for Super Admins; PermissionDenied for everybody else."""
    return _where(lambda viewer: viewer.administers, view)


def _where(
    is_allowed: Callable[[Viewer], bool], view: Callable[Concatenate[HttpRequest, Viewer, P], HttpResponseBase]
) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    def guarded(request: HttpRequest, viewer: Viewer, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not is_allowed(viewer):
            raise PermissionDenied
        return view(request, viewer, *args, **kwargs)

    update_wrapper(guarded, view)
    return with_viewer(guarded)


def administered(
    model: type[Subject],
) -> Callable[[Callable[[HttpRequest, Viewer, Subject], HttpResponseBase]], Callable[..., HttpResponseBase]]:
    """Turn the ``pk`` of an address into an organization that the viewer administers, or into one of its people,
    projects or keys, and call ``view(request, viewer, subject)``. An Admin gets the same 404 for a row of
    another organization as for a row that does not exist.
    """

    def decorate(view: Callable[[HttpRequest, Viewer, Subject], HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        def guarded(request: HttpRequest, viewer: Viewer, pk: int) -> HttpResponseBase:
            subject = model._default_manager.filter(pk=pk).first()
            if subject is None or not viewer.may_administer(_organization_id_of(subject)):
                raise Http404
            return view(request, viewer, subject)

        update_wrapper(guarded, view)
        return for_admins(guarded)

    return decorate


def _organization_id_of(subject: Organization | User | Project | ApiKey) -> int | None:
    return subject.pk if isinstance(subject, Organization) else subject.organization_id


def actor_of(request: HttpRequest) -> User:
    """The signed-in person who sent the request; PermissionDenied for a visitor."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


def _without_anything(request: HttpRequest) -> HttpResponse:
    """A page for somebody who sees nothing: the one that sets up a second factor, or one that says whom to ask."""
    if not actor_of(request).lacks_second_factor:
        return render(request, "accounts/no_access.html")
    return _to_second_factor(request)


def _to_second_factor(request: HttpRequest) -> HttpResponse:
    """A redirect to the page that sets up a second factor, as a whole page also for a request by htmx."""
    if getattr(request, "htmx", None):
        return HttpResponseClientRedirect(reverse("security"))
    return redirect("security")


def _to_sign_in(request: HttpRequest) -> HttpResponse:
    """A redirect to the sign-in page. A request by htmx makes the browser load it as a whole page."""
    htmx = getattr(request, "htmx", None)
    if isinstance(htmx, HtmxDetails) and htmx:
        return HttpResponseClientRedirect(redirect_to_login(htmx.current_url_abs_path or "/").url)
    return redirect_to_login(request.get_full_path())
