"""The Analytics tab: its pages, the parts of them that htmx asks for, and the export."""

import logging
import re
import sys
from collections.abc import Callable
from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.handlers.asgi import ASGIRequest
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBadRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.decorators import with_viewer
from accounts.viewer import Viewer
from analytics import detail, filters, menus, reports
from analytics.export import CSV, JSONL, Format, TooManyExportsError
from analytics.filters import FACETS, UNPRICED, Filters, facets_of
from analytics.pages import Page
from analytics.pages.models import MODELS
from analytics.pages.overview import OVERVIEW, slow_results
from analytics.pages.requests import REQUESTS
from analytics.pages.sessions import SESSIONS
from analytics.reports import Log, Report, event_of, snapshot
from analytics.streaming import InAThread, InAThreadOfALoop
from analytics.unpriced import unpriced
from pricing.models import Price

logger = logging.getLogger(__name__)

MAX_FILE_NAME = 150
PLAIN_TEXT = "text/plain; charset=utf-8"
TOO_MANY_EXPORTS = "Too many exports are being downloaded at the moment. Please try again in a minute."
PAGES = (OVERVIEW, REQUESTS, SESSIONS, MODELS)
WHOLE = "page"
RESULTS_ELEMENT = "div#results"
"""How htmx names the part of the page below the filters, which refreshes itself."""


def _view(page: Page) -> Callable[..., HttpResponseBase]:
    """The view of a page: for htmx only the part of it that it wants to replace."""

    def view(request: HttpRequest, viewer: Viewer) -> HttpResponse:
        part = _part(request)
        try:
            with snapshot():
                asked = filters.read(request.GET, viewer, page.settings)
                seen = _version(viewer, asked)
                if request.headers.get("X-Seen") == seen:
                    return HttpResponse(status=204)
                context = _context(page, viewer, asked, part, request.headers.get("X-Open-Menu", "")) | {"seen": seen}
            response = render(request, f"analytics/{part}.html", context)
        except DatabaseError:
            logger.exception("Analytics could not be loaded.")
            return _failed(request, part)
        source = request.headers.get("HX-Source", "")
        if part != WHOLE and source != RESULTS_ELEMENT:  # a refresh is no step in the history
            header = "HX-Replace-Url" if source.startswith("input#") else "HX-Push-Url"  # nor is every letter typed
            response[header] = f"{request.path}{asked.query if asked.query.pairs else ''}"
        patch_vary_headers(response, ["HX-Request-Type", "HX-Target"])
        return response

    return require_safe(never_cache(with_viewer(view)))


overview, requests, sessions, models = (_view(page) for page in PAGES)


@require_safe
@never_cache
@with_viewer
def charts(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """What the charts of the Overview show that takes longer: the page asks for it once it is there."""
    try:
        with snapshot():
            context = slow_results(viewer, filters.read(request.GET, viewer))
        return render(request, "analytics/overview/_slow.html", context)
    except DatabaseError:
        logger.exception("The charts could not be loaded.")
        return render(request, "analytics/overview/_slow_failure.html", {"retry": request.get_full_path()}, status=503)


@require_safe
@never_cache
@with_viewer
def request_detail(request: HttpRequest, viewer: Viewer, organization_id: int, pk: int) -> HttpResponse:
    """Everything about one event: as a page, or only its content for the drawer beside the list."""
    template = "detail" if _part(request) == WHOLE else "_detail"
    try:
        with snapshot():
            event = event_of(viewer, organization_id, pk)
            if event is None:
                raise Http404
            context = {"viewer": viewer, **detail.context(viewer, event)}
            response = render(request, f"analytics/requests/{template}.html", context)
    except DatabaseError:
        logger.exception("A request could not be loaded.")
        return _failed(request, WHOLE)
    patch_vary_headers(response, ["HX-Request-Type"])
    return response


@require_safe
@never_cache
@with_viewer
def choices(request: HttpRequest, viewer: Viewer, name: str) -> HttpResponse:
    """What a filter menu offers, for whoever types into its search field."""
    facet = next((facet for facet in facets_of(viewer) if facet.name == name and facet.has_menu), None)
    if facet is None:
        raise Http404
    try:
        with snapshot():
            asked = filters.read(request.GET, viewer)
            menu = menus.menu(Report(viewer, asked.selection), asked, facet)
        return render(request, "analytics/_choices.html", {"menu": menu})
    except DatabaseError:
        logger.exception("The choices of a filter could not be loaded.")
        response = HttpResponse("We couldn't load analytics. Please try again.", status=503)
        response["HX-Retarget"], response["HX-Reswap"] = f"#hint-{name}", "innerHTML"  # choices stay
        return response


def _export(file: Format) -> Callable[..., HttpResponseBase]:
    """The view of the events behind the page with the same query string, streamed as a file."""

    def view(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
        if not viewer.may_export:
            raise PermissionDenied
        begin = InAThreadOfALoop if isinstance(request, ASGIRequest) else InAThread
        try:
            asked = filters.read(request.GET, viewer, (UNPRICED,))
            if not asked.is_valid:
                errors = (str(error) for field in asked.form.errors.values() for error in field)
                return HttpResponseBadRequest("\n".join(errors), content_type=PLAIN_TEXT)
            body = begin(file.chunks(Log(viewer, asked.selection, asked.only_unpriced)))
        except TooManyExportsError:
            return HttpResponse(TOO_MANY_EXPORTS, PLAIN_TEXT, status=503, headers={"Retry-After": "30"})
        except DatabaseError:
            logger.exception("The export could not begin.")
            return _failed(request, WHOLE)
        response = StreamingHttpResponse(body, content_type=file.content_type)
        response["Content-Disposition"] = f'attachment; filename="{file_name(asked)}.{file.suffix}"'
        response["Cache-Control"] = "private, no-store"
        response["X-Accel-Buffering"] = "no"  # nginx
        return response

    return require_safe(with_viewer(view))


export_csv, export_jsonl = (_export(file) for file in (CSV, JSONL))


def server_error(request: HttpRequest) -> HttpResponse:
    """Something broke. Asks the database nothing: that may be what broke."""
    if isinstance(sys.exc_info()[1], DatabaseError):
        return _failed(request, _part(request), frame="failed_plain.html")
    return HttpResponse(render_to_string("500.html"), status=500)


def file_name(asked: Filters) -> str:
    """Says what is inside: ``usage_2026-10-24_2026-11-22_model-openai-gpt-oss-120b``."""
    days = f"usage_{asked.selection.first_day}_{asked.selection.last_day}"
    chosen = [
        "-".join([facet.name, *map(_as_file_name, asked.texts(facet))])
        for facet in FACETS
        if facet.name in {name for name, _ in asked.query.pairs}
    ]
    return "_".join([days, *chosen, *([UNPRICED] if asked.only_unpriced else [])])[:MAX_FILE_NAME].rstrip("_-")


def _as_file_name(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+|\.{2,}", "-", text.lower()).strip("-.")


def _part(request: HttpRequest) -> str:
    """What is to be rendered: the page, the view (filters and results), or the results alone."""
    if request.headers.get("HX-Request-Type") != "partial":
        return WHOLE
    return "results" if request.headers.get("HX-Target") == RESULTS_ELEMENT else "view"


def _version(viewer: Viewer, asked: Filters) -> str:
    """Another one whenever the same address would show something else: what a page that refreshes itself sends back."""
    prices = Price.objects.visible_to(viewer).filter(effective_from__lte=timezone.now()).count()
    return f"{reports.version(viewer)}.{prices}.{asked.form.today:%Y%m%d}.{viewer.sees_cost:d}"


def _context(page: Page, viewer: Viewer, asked: Filters, part: str, opened: str) -> dict[str, Any]:
    report = Report(viewer, asked.selection, page.questions, compares=page.compares and asked.has_previous)
    context = {"page": page, "viewer": viewer, "filters": asked}
    if part != "results":  # menus come first: the names that they ask for are those of the tables too
        made = menus.menus(report, asked, are_known=page.knows_choices, opened=opened)
        context |= {"menus": made, "chips": menus.chips(made, asked), "ranges": menus.ranges(asked)}
        context |= {"cleared": menus.cleared(asked), "pages": PAGES}
    return context | page.results(report, asked) | {"unpriced": unpriced(report, asked)}


def _failed(request: HttpRequest, part: str, frame: str = "analytics/failed.html") -> HttpResponse:
    """Says so, in the place of the results and with a way to try again; the filters stay."""
    context = {"retry": request.get_full_path()}
    if part == WHOLE:
        html = render_to_string(frame, context, request if frame == "analytics/failed.html" else None)
        return HttpResponse(html, status=503)
    response = HttpResponse(render_to_string("analytics/_failure.html", context), status=503)
    response["HX-Retarget"], response["HX-Reswap"] = "#results", "outerMorph"
    return response
