"""The Django admin, for Super Admins. Other signed-in people get a 404."""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, TypeVar

from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect

from accounts.decorators import viewer_of
from accounts.models import Role, User

View = TypeVar("View", bound=Callable[..., HttpResponseBase])


class LedgerAdminSite(admin.AdminSite):
    site_header = site_title = "Groq usage"
    index_title = "Administration"

    def has_permission(self, request: HttpRequest) -> bool:
        return viewer_of(request).administers

    def admin_view(self, view: View, cacheable: bool = False) -> View:
        inner = super().admin_view(view, cacheable)

        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if isinstance(request.user, User) and not self.has_permission(request):
                if request.user.lacks_second_factor and request.user.role is Role.SUPER_ADMIN:
                    return redirect("security")
                raise Http404
            return inner(request, *args, **kwargs)

        update_wrapper(guarded, inner)
        return guarded  # type: ignore[return-value]  # It has the signature of the view that it guards.

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Redirects to the ledger's sign-in page, which limits attempts and checks ``next``."""
        return redirect_to_login(request.GET.get("next") or request.path.removesuffix("login/"))
