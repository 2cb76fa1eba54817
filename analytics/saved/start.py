"""The page that a person begins with: after signing in, by the tab Analytics, and by the bare address of the site."""

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.decorators import actor_of, with_viewer
from accounts.models import User
from accounts.viewer import Viewer
from analytics.models import SavedView


def start_view_of(person: User) -> SavedView | None:
    """The person's start view; None without one, or if the person may no longer open the view."""
    return SavedView.objects.seen_by(person).filter(starts__person=person).first()


@require_safe
@never_cache
@with_viewer
def start(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Leads to the start view, or to the Overview."""
    return redirect(start_view_of(actor_of(request)) or "analytics")


def beginning(overview: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """The view of the Overview, which leads on to the start view if somebody has typed the bare address or followed a
    bookmark. Links of our own pages lead to the Overview itself."""

    def view(request: HttpRequest) -> HttpResponseBase:
        found = start_view_of(request.user) if _is_bare(request) and isinstance(request.user, User) else None
        here = request.get_full_path()
        return overview(request) if found is None or found.get_absolute_url() == here else redirect(found)

    return view


def _is_bare(request: HttpRequest) -> bool:
    """Whether the browser says that no page has led here, and no filter is asked for."""
    return not request.GET and request.headers.get("Sec-Fetch-Site") == "none"
