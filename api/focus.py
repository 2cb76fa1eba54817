"""The costs of an organization's month as a file of FOCUS."""

from datetime import date
from typing import Any

from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiExample, OpenApiResponse
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.request import Request

from accounts.models import Organization
from accounts.places import NoPlaceError
from accounts.viewer import Viewer
from analytics import reports
from analytics.export.download import BUSY, BUSY_SECONDS, download
from analytics.export.focus import DELETED, FILES, SCHEMA, CostOfMonth, DeletedError, file_name
from analytics.filters.month import MonthForm
from api.access import caller_of, viewer_of
from api.parameters import Parameter, choice, text
from api.problems import BusyError, WrongParameterError
from api.reading import Door

MONTH: Parameter[str] = Parameter(
    "month",
    "The month in the organization's calendar, as year-month. Without it: the last month that is over.",
    {"type": "string", "pattern": r"^\d{4}-\d{2}$"},
    "",
    str,
)
FORMAT = choice("format", FILES, default="csv", means="The kind of file.")
ORGANIZATION = text(
    "organization", means="The organization, by its slug. Only who sees several has to name one of them."
)


class FocusView(Door):
    """What an organization's month cost, as FOCUS 1.3. For callers who see costs and may export."""

    http_method_names = ["get", "options"]
    takes = (MONTH, FORMAT, ORGANIZATION)
    tag = "Events"

    def get(self, request: Request) -> HttpResponseBase:
        viewer, file = viewer_of(request), FORMAT.of(request)
        if not (viewer.may_export and viewer.sees_cost):
            raise PermissionDenied("You may not export this. Ask an Admin.")
        organization = _organization(ORGANIZATION.of(request), viewer)
        costs = CostOfMonth(viewer, organization, *_month(MONTH.of(request), viewer.within(organization)))
        name = file_name(costs, file.suffix)
        try:
            return download(request._request, file.chunks(costs), name, file.content_type, reader=caller_of(request))
        except NoPlaceError:
            raise BusyError(BUSY, BUSY_SECONDS) from None
        except DeletedError:
            raise WrongParameterError(MONTH.name, f"{MONTH.name}: {DELETED}") from None

    @classmethod
    def answers(cls) -> dict[Any, Any]:
        """The answers for the OpenAPI document, by status and content type."""
        begins = {"csv": [OpenApiExample("The first line", ",".join(SCHEMA.names))]}
        return {
            (200, file.content_type.partition(";")[0]): OpenApiResponse(bytes, examples=begins.get(file.suffix, []))
            for file in FILES.values()
        }


def _organization(slug: str, viewer: Viewer) -> Organization:
    seen = Organization.objects.all()
    if viewer.organization_ids is not None:
        seen = seen.filter(pk__in=viewer.organization_ids)
    if slug:
        found = seen.filter(slug=slug).first()
        if found is None:
            raise NotFound
        return found
    several = list(seen[:2])
    if len(several) != 1:
        raise WrongParameterError(ORGANIZATION.name, "organization: you see several, so name one by its slug.")
    return several[0]


def _month(written: str, viewer: Viewer) -> tuple[date, date]:
    form = MonthForm({"month": written}, today=reports.today(viewer))
    if not written:
        last = form.present.before
        return last.first_day, last.last_day
    if not form.is_valid():
        raise WrongParameterError(MONTH.name, f"{MONTH.name}: {form.errors['month'][0]}")
    month = form.cleaned_data["month"]
    return month.first_day, month.last_day
