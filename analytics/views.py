"""The Analytics tab: the page, the parts of it that htmx asks for, and the export."""

import logging
import re
import sys
from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.handlers.asgi import ASGIRequest
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.decorators import with_viewer
from accounts.viewer import Viewer
from analytics import charts, filters, menus, reports
from analytics.cards import cards
from analytics.export import export_csv
from analytics.filters import FACETS, Filters
from analytics.reports import Report, Totals, snapshot
from analytics.streaming import InAThread, InAThreadOfALoop
from analytics.tables import tables

logger = logging.getLogger(__name__)

MAX_FILE_NAME = 150
PAGE = "page"
RESULTS_ELEMENT = "div#results"
"""How htmx names the part of the page below the filters, which refreshes itself."""


@require_safe
@never_cache
@with_viewer
def analytics(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The page; for htmx the part of it that it wants to replace."""
    part = _part(request)
    try:
        with snapshot():
            asked = filters.read(request.GET, viewer)
            seen = _version(viewer, asked)
            if request.headers.get("X-Seen") == seen:
                return HttpResponse(status=204)
            context = _context(viewer, asked, part) | {"seen": seen}
        response = render(request, f"analytics/{part}.html", context)
    except DatabaseError:
        logger.exception("Analytics could not be loaded.")
        return _failed(request, part)
    if part != PAGE and request.headers.get("HX-Source") != RESULTS_ELEMENT:  # a refresh is no step in the history
        response["HX-Push-Url"] = f"{request.path}{asked.query if asked.query.pairs else ''}"
    patch_vary_headers(response, ["HX-Request-Type", "HX-Target"])
    return response


@require_safe
@with_viewer
def export(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """The events behind the page with the same query string, streamed as CSV."""
    if not viewer.may_export:
        raise PermissionDenied
    begin = InAThreadOfALoop if isinstance(request, ASGIRequest) else InAThread
    try:
        asked = filters.read(request.GET, viewer)
        if not asked.is_valid:
            errors = (str(error) for field in asked.form.errors.values() for error in field)
            return HttpResponseBadRequest("\n".join(errors), content_type="text/plain; charset=utf-8")
        body = begin(export_csv(Report(viewer, asked.selection)))
    except DatabaseError:
        logger.exception("The export could not begin.")
        return _failed(request, PAGE)
    response = StreamingHttpResponse(body, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{file_name(asked)}"'
    response["Cache-Control"] = "private, no-store"
    response["X-Accel-Buffering"] = "no"  # nginx
    return response


def server_error(request: HttpRequest) -> HttpResponse:
    """Something broke. Asks the database nothing: that may be what broke."""
    if isinstance(sys.exc_info()[1], DatabaseError):
        return _failed(request, _part(request), frame="failed_plain.html")
    return HttpResponse(render_to_string("500.html"), status=500)


def file_name(asked: Filters) -> str:
    """Says what is inside: ``usage_2026-10-24_2026-11-22_model-openai-gpt-oss-120b.csv``."""
    days = f"usage_{asked.selection.first_day}_{asked.selection.last_day}"
    chosen = [
        "-".join([facet.name, *map(_as_file_name, asked.texts(facet))])
        for facet in FACETS
        if facet.name in {name for name, _ in asked.query.pairs}
    ]
    return "_".join([days, *chosen])[:MAX_FILE_NAME].rstrip("_-") + ".csv"


def _as_file_name(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+|\.{2,}", "-", text.lower()).strip("-.")


def _part(request: HttpRequest) -> str:
    """What is to be rendered: the page, the view (filters and results), or the results alone."""
    if request.headers.get("HX-Request-Type") != "partial":
        return PAGE
    return "results" if request.headers.get("HX-Target") == RESULTS_ELEMENT else "view"


def _version(viewer: Viewer, asked: Filters) -> str:
    """Another one whenever the same address would show something else: what a page that refreshes itself sends back."""
    return f"{reports.version(viewer)}.{asked.form.today:%Y%m%d}.{viewer.sees_cost:d}"


def _context(viewer: Viewer, asked: Filters, part: str) -> dict[str, Any]:
    report = Report(viewer, asked.selection)
    context = {"viewer": viewer, "filters": asked, **_results(report, asked)}
    if part != "results":
        made = menus.menus(report, asked)
        context |= {"menus": made, "chips": menus.chips(made, asked), "ranges": menus.ranges(asked)}
        context["cleared"] = menus.cleared(asked)
    return context


def _results(report: Report, asked: Filters) -> dict[str, Any]:
    """Everything below the filters."""
    totals, sees_cost = report.totals(), report.viewer.sees_cost
    previous = report.previous_totals() if asked.has_previous else None
    points = report.series(asked.grain) if totals.requests else []
    context = {"totals": totals, "cards": cards(totals, previous, points, sees_cost=sees_cost)}
    if not totals.requests:
        return context
    models = report.breakdown("model")
    return context | {
        "top_model": _top_model(report, totals),
        "charts": charts.charts(points, models, sees_cost=sees_cost),
        "chart_data": charts.data(points, models, asked.link_to_model, sees_cost=sees_cost),
        "tables": tables(report, asked),
        "grains": menus.grains(asked),
    }


def _top_model(report: Report, totals: Totals) -> dict[str, Any] | None:
    top = report.top_model()
    if top is None:
        return None
    share = top.totals.requests / totals.requests
    return {"label": top.label, "tone": charts.tone(str(top.value)), "totals": top.totals, "share": share}


def _failed(request: HttpRequest, part: str, frame: str = "analytics/failed.html") -> HttpResponse:
    """Says so, in the place of the results and with a way to try again; the filters stay."""
    context = {"retry": request.get_full_path()}
    if part == PAGE:
        html = render_to_string(frame, context, request if frame == "analytics/failed.html" else None)
        return HttpResponse(html, status=503)
    response = HttpResponse(render_to_string("analytics/_failure.html", context), status=503)
    response["HX-Retarget"], response["HX-Reswap"] = "#results", "outerMorph"
    return response
