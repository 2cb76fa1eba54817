"""The price list: its versions, and how a Super Admin adds one."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, cast

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from rest_framework.exceptions import PermissionDenied
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from accounts.viewer import Viewer
from api.access import viewer_of
from api.catalogue import NO_PRICES
from api.links import link
from api.parameters import choice, number, of_filters, place
from api.problems import WrongParameterError
from api.reading import Reading
from api.shapes.base import told
from api.shapes.prices import NewPriceShape, PricesShape, RatesShape
from pricing.filters import PriceFilters
from pricing.forms import PriceVersionForm
from pricing.models import Price, PriceQuerySet
from pricing.versions import add_versions, id_of

FILTERS = of_filters(PriceFilters)
WHICH = choice(
    "which",
    {name: name for name in ("in-force", "scheduled", "all")},
    default="in-force",
    means="The versions that are in force now, those that begin later, or all there ever were.",
)
SIZE = number("limit", default=100, most=1_000, means="At most this number of versions.")
BEFORE = place("before", lambda given: id_of(given) or None, means="Versions entered before this one.")
FIELDS = PriceVersionForm.Meta.fields


class PricesView(Reading):
    """The versions of prices, the last entered first: everybody's, and those of the organizations that you see."""

    http_method_names = ["get", "head", "post", "options"]
    parser_classes = (JSONParser,)
    takes = (*FILTERS, WHICH, SIZE, BEFORE)
    tells = PricesShape
    asks = NewPriceShape
    adds = RatesShape
    tag = "Models and prices"

    def read(self, request: Request, viewer: Viewer, **where: Any) -> Any:
        if not viewer.sees_pricing:
            raise PermissionDenied(NO_PRICES)
        size, before = SIZE.of(request), BEFORE.of(request)
        chosen = {parameter.name: parameter.of(request) for parameter in FILTERS}
        found = _which(PriceFilters(chosen, Price.objects.visible_to(viewer)).qs, WHICH.of(request))
        found = found if before is None else found.filter(pk__lt=before)
        versions = list(found.order_by("-pk")[: size + 1])
        return {
            "next": link(request, before=versions[size - 1].pk) if len(versions) > size else None,
            "prices": [told(RatesShape, version) for version in versions[:size]],
        }

    def post(self, request: Request) -> Response:
        """Add a version of a price, which begins now or at effective_from. For Super Admins who are signed in."""
        if not viewer_of(request).may_edit_pricing:
            raise PermissionDenied("Only Super Admins may do this, and never with a key.")
        with transaction.atomic():
            form = PriceVersionForm(_posted(request.data))
            if not form.is_valid():
                name, errors = next(iter(form.errors.items()))
                name = name if name in FIELDS else "newest_seen"  # Only that is compared with more than one field.
                raise WrongParameterError(name, f"{name}: {errors[0]}")
            version = form.save(commit=False)
            add_versions([version], by=cast("User", request.user))
        return Response(told(RatesShape, version), status=201)


def _which(versions: PriceQuerySet, which: str) -> "QuerySet[Price]":
    now = timezone.now()
    if which == "all":
        return versions
    chosen = versions.scheduled(now) if which == "scheduled" else versions.latest_begun(now)
    return Price.objects.filter(pk__in=[version.pk for version in chosen])


def _posted(data: Any) -> dict[str, Any]:
    """The values of a form, from those of JSON. WrongParameterError for what is no object, and for an unknown name."""
    if not isinstance(data, dict):
        raise WrongParameterError("body", "body: send an object with the fields of a price.")
    asked = NewPriceShape(data=data)
    for name in data:
        if name not in asked.fields:
            raise WrongParameterError(name, f"There is no field {name[:50]!r}. Known are: {', '.join(asked.fields)}.")
    asked.is_valid(raise_exception=True)
    return {name: _text_of(value) for name, value in asked.validated_data.items()}


def _text_of(value: Any) -> Any:
    """A value as somebody types it: numbers without an exponent, tools and their rates in one line."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text_of(rate)}" for name, rate in value.items())
    return value
