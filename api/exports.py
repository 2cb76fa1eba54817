"""All events of a range as a file, in the formats of the dashboard's export."""

from typing import Any

from django.http.response import HttpResponseBase
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from accounts.places import NoPlaceError
from analytics.export.download import BUSY, BUSY_SECONDS, download
from analytics.export.export import CSV, JSONL
from analytics.export.parquet import PARQUET
from analytics.filters.file_name import file_name
from analytics.reports import Log
from api.access import caller_of, viewer_of
from api.parameters import FILTERS, ONLY_UNPRICED, choice, filters_of
from api.problems import BusyError, WrongParameterError
from api.reading import Door

FORMATS = {file.suffix: file for file in (CSV, JSONL, PARQUET)}
FORMAT = choice("format", FORMATS, default=CSV.suffix, means="The kind of file.")


class ExportView(Door):
    """All events of a range, oldest first, streamed. For callers who may export."""

    http_method_names = ["get", "options"]
    takes = (*FILTERS, ONLY_UNPRICED, FORMAT)
    tag = "Events"

    def get(self, request: Request) -> HttpResponseBase:
        viewer, file, unpriced = viewer_of(request), FORMAT.of(request), ONLY_UNPRICED.of(request)
        if not viewer.may_export:
            raise PermissionDenied("You may not export. Ask an Admin.")
        if unpriced and not viewer.sees_cost:
            raise WrongParameterError(ONLY_UNPRICED.name, "unpriced: you may not see costs, so leave this out.")
        filters = filters_of(request, viewer)
        chunks = file.chunks(Log(viewer, filters.selection, unpriced))
        name = f"{file_name(filters)}.{file.suffix}"
        try:
            return download(request._request, chunks, name, file.content_type, reader=caller_of(request))
        except NoPlaceError:
            raise BusyError(BUSY, BUSY_SECONDS) from None

    @classmethod
    def answers(cls) -> dict[Any, Any]:
        """The answers for the OpenAPI document, by status and content type."""
        return {(200, file.content_type.partition(";")[0]): bytes for file in FORMATS.values()}
