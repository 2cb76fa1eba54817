"""The Analytics tab: its pages, the parts of them that htmx asks for, and the export."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBadRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.decorators import actor_of, with_own_viewer, with_viewer
from accounts.organization_choice import chosen_organization
from accounts.places import NoPlaceError
from accounts.viewer import Viewer
from analytics import reports
from analytics.display.unpriced_notice import unpriced
from analytics.export.download import BUSY, BUSY_SECONDS, download
from analytics.export.export import CSV, JSONL, Format, json_of
from analytics.export.focus import DELETED, CostOfMonth, DeletedError
from analytics.export.focus import FILES as FOCUS_FILES
from analytics.export.focus import file_name as focus_name
from analytics.export.sessions import CONTENT_TYPE as SESSIONS_CONTENT_TYPE
from analytics.export.sessions import export_sessions
from analytics.export.streaming import Chunks
from analytics.export.table import TABLE_FILES
from analytics.failure import failed, is_partial
from analytics.filters import menus
from analytics.filters.facets import facets_of
from analytics.filters.file_name import file_name
from analytics.filters.filters import UNPRICED, Filters, read_filters
from analytics.filters.month import Month, MonthForm
from analytics.filters.remembered import remember, with_remembered
from analytics.filters.table_form import FORMAT, TableForm
from analytics.first_run import first_run
from analytics.pages import Page, one_session
from analytics.pages.directory import PAGES
from analytics.pages.my_usage import MY_USAGE
from analytics.pages.overview.page import OVERVIEW, slow_results, slow_tables
from analytics.pages.requests import detail
from analytics.pages.sessions import SESSIONS, sessions_of
from analytics.reports import MAX_ROWS, Conversation, Log, Report, TooManyRowsError, event_of, session_at, snapshot
from analytics.saved.menu import menu as saved_views
from analytics.saved.start import beginning
from groq_client.names import identity
from pricing.models import Price

logger = logging.getLogger(__name__)

EXPORTED_AT_ONCE = 1_000
"""The number of sessions that an export reads at once."""
PLAIN_TEXT = "text/plain; charset=utf-8"
TOO_MANY_ROWS = (
    f"This table would have more than {MAX_ROWS:,} rows. Choose months rather than days, one dimension rather than two,"
    " a shorter range, or a filter."
)
WHOLE = "page"
RESULTS = "results"
RESULTS_ELEMENT = "div#results"
"""The name in htmx's headers of the part of the page below the filters, which refreshes itself."""


def _guarded(page: Page, view: Callable[[HttpRequest, Viewer], HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    return with_own_viewer(view) if page.is_own else with_viewer(view)


def _view(page: Page) -> Callable[..., HttpResponseBase]:
    """The view of a page. A request by htmx gets only the part of the page that it replaces."""

    def view(request: HttpRequest, viewer: Viewer) -> HttpResponse:
        part, query = _part(request), with_remembered(request, page.name, page.remembered)
        try:
            with snapshot():
                filters = read_filters(query, viewer, page.settings)
                recorded = reports.number_recorded(viewer)
                seen = _version(page, viewer, filters, recorded)
                if request.headers.get("X-Seen") == seen:
                    return HttpResponse(status=204)
                if part == WHOLE and page.leads_to_first_call and not recorded:
                    return first_run(request, viewer, {"page": page, "pages": PAGES, "filters": filters})
                context = _context(page, viewer, filters, part, request.headers.get("X-Open-Menu", ""))
                context |= {"seen": seen, "is_unused": not recorded}
                if part != RESULTS:
                    context["saved"] = saved_views(actor_of(request), page, filters)
            response = render(request, f"analytics/{part}.html", context)
        except DatabaseError:
            logger.exception("Analytics could not be loaded.")
            return failed(request)
        source = request.headers.get("HX-Source", "")
        if part != WHOLE and source != RESULTS_ELEMENT:  # A refresh is no step in the browser's history.
            header = "HX-Replace-Url" if source.startswith("input#") else "HX-Push-Url"  # Nor is a typed letter.
            response[header] = f"{request.path}{filters.query if filters.query.pairs else ''}"
        if source != RESULTS_ELEMENT:
            remember(response, request, page.name, page.remembered)
        patch_vary_headers(response, ["HX-Request-Type", "HX-Target"])
        return response

    return require_safe(never_cache(_guarded(page, view)))


overview, requests, sessions, models = (_view(page) for page in PAGES)
overview = beginning(overview)
my_usage = _view(MY_USAGE)


def _slow_part(
    page: Page, element: str, template: str, make: Callable[[Viewer, Filters], dict[str, Any]]
) -> Callable[..., HttpResponseBase]:
    """The view of a slower part of the Overview or of My Usage, which the page asks for after it is loaded."""

    def view(request: HttpRequest, viewer: Viewer) -> HttpResponse:
        try:
            with snapshot():
                context = make(viewer, read_filters(request.GET, viewer, page.settings))
            return render(request, f"analytics/overview/{template}", context)
        except DatabaseError:
            logger.exception("A part of a page could not be loaded.")
            context = {"retry": request.get_full_path(), "element": element}
            response = render(request, "analytics/overview/_slow_failure.html", context, status=503)
            response["HX-Retarget"] = element  # This tells the page that the failure says itself what to do.
            return response

    return require_safe(never_cache(_guarded(page, view)))


charts, my_charts = (_slow_part(page, "#slow", "_slow.html", slow_results) for page in (OVERVIEW, MY_USAGE))
tables = _slow_part(OVERVIEW, "#late-tables", "_late_tables.html", slow_tables)


@require_safe
@never_cache
@with_viewer
def request_detail(request: HttpRequest, viewer: Viewer, organization_id: int, pk: int) -> HttpResponse:
    """Everything about one event: a whole page, or only the content for the drawer beside the list."""
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
        return failed(request)
    patch_vary_headers(response, ["HX-Request-Type"])
    return response


@require_safe
@never_cache
@with_viewer
def request_json(request: HttpRequest, viewer: Viewer, organization_id: int, pk: int) -> HttpResponse:
    """One event as a line of the export in JSON Lines."""
    try:
        with snapshot():
            line = json_of(viewer, organization_id, pk)
    except DatabaseError:
        logger.exception("A request could not be loaded.")
        return failed(request)
    if line is None:
        raise Http404
    return HttpResponse(line, content_type="application/json")


@require_safe
@never_cache
@with_viewer
def session_detail(request: HttpRequest, viewer: Viewer, organization_id: int, user_id: int) -> HttpResponse:
    """The page of one session, which ``id`` in the query string names; the rest of it is the state of the list."""
    template = "detail" if _part(request) == WHOLE else "_session"
    try:
        with snapshot():
            session = session_at(viewer, organization_id, user_id, identity(request.GET.get("id", "")))
            if session is None:
                raise Http404
            seen = _version_of_session(viewer, session)
            if seen and request.headers.get("X-Seen") == seen:
                return HttpResponse(status=204)
            filters = read_filters(request.GET, viewer, SESSIONS.settings)
            context = one_session.context(viewer, session, filters, request.GET.get(one_session.PLACE, ""))
        response = render(request, f"analytics/sessions/{template}.html", context | {"seen": seen})
    except DatabaseError:
        logger.exception("A session could not be loaded.")
        return failed(request)
    patch_vary_headers(response, ["HX-Request-Type"])
    return response


def _choices(request: HttpRequest, viewer: Viewer, name: str) -> HttpResponse:
    """The options of one filter menu, for its search field. 404 for an unknown menu."""
    facet = next((facet for facet in facets_of(viewer) if facet.name == name and facet.has_menu), None)
    if facet is None:
        raise Http404
    try:
        with snapshot():
            filters = read_filters(request.GET, viewer)
            menu = menus.menu(Report(viewer, filters.selection), filters, facet)
        return render(request, "analytics/_choices.html", {"menu": menu})
    except DatabaseError:
        logger.exception("The choices of a filter could not be loaded.")
        response = HttpResponse("We couldn't load analytics. Please try again.", status=503)
        response["HX-Retarget"], response["HX-Reswap"] = f"#hint-{name}", "innerHTML"  # The shown options stay.
        return response


choices, my_choices = (require_safe(never_cache(guarded(_choices))) for guarded in (with_viewer, with_own_viewer))


def _export(
    suffix: str, content_type: str, chunks: Callable[[Viewer, Filters], Chunks]
) -> Callable[..., HttpResponseBase]:
    """The view that streams what is behind a page with the same query string as a file."""

    def view(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
        if not viewer.may_export:
            raise PermissionDenied
        try:
            filters = read_filters(request.GET, viewer, (UNPRICED, *SESSIONS.settings))
            if not filters.is_valid:
                return _bad_range(filters)
            return _file(request, chunks(viewer, filters), f"{file_name(filters)}.{suffix}", content_type)
        except DatabaseError:
            logger.exception("The export could not begin.")
            return failed(request)

    return require_safe(with_viewer(view))


def _bad_range(filters: Filters) -> HttpResponse:
    errors = (str(error) for field in filters.form.errors.values() for error in field)
    return HttpResponseBadRequest("\n".join(errors), content_type=PLAIN_TEXT)


def _file(request: HttpRequest, chunks: Chunks, name: str, content_type: str) -> HttpResponseBase:
    """A response with these chunks as a file, or 503 if too many exports are being read. Errors before the first chunk
    are raised."""
    try:
        return download(request, chunks, name, content_type, reader=actor_of(request).pk)
    except NoPlaceError:
        return HttpResponse(BUSY, PLAIN_TEXT, status=503, headers={"Retry-After": str(BUSY_SECONDS)})


@require_safe
@never_cache
@with_viewer
def export_table(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """The form of the grouped table and, once a kind of file is chosen, the file."""
    if not viewer.may_export:
        raise PermissionDenied
    form = TableForm(request.GET if FORMAT in request.GET else None, viewer)
    try:
        filters = read_filters(request.GET, viewer)
        if not filters.is_valid:
            return _bad_range(filters)
        if form.is_valid():
            return _table(request, form, filters)
    except TooManyRowsError:
        form.add_error(None, TOO_MANY_ROWS)
    except DatabaseError:
        logger.exception("The grouped table could not be made.")
        return failed(request)
    return _table_form(request, form, filters)


def _table(request: HttpRequest, form: TableForm, filters: Filters) -> HttpResponseBase:
    file = TABLE_FILES[form.cleaned_data[FORMAT]]
    name = f"grouped_{form.name}_{file_name(filters)}.{file.suffix}"
    return _file(request, file.chunks(form.table(filters.selection)), name, file.content_type)


def _table_form(request: HttpRequest, form: TableForm, filters: Filters) -> HttpResponse:
    viewer = form.viewer
    try:
        with snapshot():
            report = Report(viewer, filters.selection)
            chips = menus.chips(menus.menus(report, filters, are_known=False), filters)
            left_out = form.table(filters.selection).leaves_out
    except DatabaseError:
        logger.exception("The form of the grouped table could not be loaded.")
        return failed(request)
    context = {"viewer": viewer, "filters": filters, "form": form, "chips": chips, "cleared": menus.cleared(filters)}
    context |= {"left_out": left_out, "max_rows": MAX_ROWS}
    return render(request, "analytics/export_table.html", context, status=400 if form.errors else 200)


def _focus(file: Format[CostOfMonth]) -> Callable[..., HttpResponseBase]:
    """The view of the costs of one organization's month, for who may export and sees costs."""

    def view(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
        if not (viewer.may_export and viewer.sees_cost):
            raise PermissionDenied
        organization = chosen_organization(request, viewer)
        form = MonthForm({"month": request.GET.get("month", "")}, today=reports.today(viewer.within(organization)))
        if not form.is_valid():
            return HttpResponseBadRequest("\n".join(map(str, form.errors["month"])), content_type=PLAIN_TEXT)
        month: Month = form.cleaned_data["month"]
        costs = CostOfMonth(viewer, organization, month.first_day, month.last_day)
        try:
            return _file(request, file.chunks(costs), focus_name(costs, file.suffix), file.content_type)
        except DeletedError:
            return HttpResponseBadRequest(DELETED, content_type=PLAIN_TEXT)
        except DatabaseError:
            logger.exception("The costs of a month could not be exported.")
            return failed(request)

    return require_safe(never_cache(with_viewer(view)))


def _events(file: Format[Log]) -> Callable[[Viewer, Filters], Chunks]:
    return lambda viewer, filters: file.chunks(Log(viewer, filters.selection, filters.only_unpriced))


def _sessions(viewer: Viewer, filters: Filters) -> Chunks:
    return export_sessions(replace(sessions_of(viewer, filters), size=EXPORTED_AT_ONCE))


export_csv, export_jsonl = (_export(file.suffix, file.content_type, _events(file)) for file in (CSV, JSONL))
focus_csv, focus_parquet = map(_focus, FOCUS_FILES.values())
export_sessions_jsonl = _export("sessions.jsonl", SESSIONS_CONTENT_TYPE, _sessions)


def _part(request: HttpRequest) -> str:
    """The name of the template to render: the page, the view (filters and results), or the results alone."""
    if not is_partial(request):
        return WHOLE
    return RESULTS if request.headers.get("HX-Target") == RESULTS_ELEMENT else "view"


def _version(page: Page, viewer: Viewer, filters: Filters, recorded: int) -> str:
    """A text that changes whenever the same address would show something else. A page that refreshes itself sends the
    last one back and gets a 204 if nothing has changed."""
    age = f".{timezone.now():%H%M}" if page.ages else ""
    return f"{recorded}.{_prices(viewer)}.{filters.form.today:%Y%m%d}.{viewer.sees_cost:d}{age}"


def _version_of_session(viewer: Viewer, session: Conversation) -> str:
    """The same for the page of a session; empty if the session is over, so that the page does not refresh itself."""
    now = timezone.now()
    if not one_session.may_grow(session, now):
        return ""
    return f"{one_session.version(session)}.{_prices(viewer)}.{now:%Y%m%d}"


def _prices(viewer: Viewer) -> int:
    """The number of price versions that have been in force and that the viewer may see."""
    if not viewer.sees_pricing:
        return 0
    return Price.objects.visible_to(viewer).filter(effective_from__lte=timezone.now()).count()


def _context(page: Page, viewer: Viewer, filters: Filters, part: str, opened: str) -> dict[str, Any]:
    report = Report(viewer, filters.selection, page.questions, compares=page.compares and filters.has_previous)
    context = {"page": page, "viewer": viewer, "filters": filters, "is_refresh": part == RESULTS}
    if part != RESULTS:  # Menus come first, because they load names that the tables use as well.
        made = menus.menus(report, filters, are_known=page.knows_choices, opened=opened)
        context |= {"menus": made, "chips": menus.chips(made, filters), "ranges": menus.ranges(filters)}
        context |= {"cleared": menus.cleared(filters), "pages": PAGES}
    return context | page.results(report, filters) | {"unpriced": unpriced(report, filters)}
