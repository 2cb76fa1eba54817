"""All events of a range as a file, in the formats of the dashboard's export."""

from typing import Any

from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiExample, OpenApiResponse
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from accounts.places import NoPlaceError
from analytics.export.download import BUSY, BUSY_SECONDS, download
from analytics.export.export import CSV, JSONL, Format
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
        return {(200, _type_of(file)): OpenApiResponse(bytes, examples=_examples(file)) for file in FORMATS.values()}


def _type_of(file: Format[Log]) -> str:
    return file.content_type.partition(";")[0]


def _examples(file: Format[Log]) -> list[OpenApiExample]:
    """The beginning of a file; a file of Parquet is no text."""
    beginnings = {"csv": "timestamp,day,model\r\n2026-11-22T13:04:11.250000Z,2026-11-22,openai/gpt-oss-120b\r\n"}
    beginnings["jsonl"] = '{"timestamp": "2026-11-22T13:04:11.250000Z", "model": "openai/gpt-oss-120b"}\n'
    shown = beginnings.get(file.suffix)
    return [OpenApiExample("Some columns", shown, media_type=_type_of(file))] if shown else []
