"""What can be called: models with what is known of them and their prices, and providers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Self

from django.http import Http404
from django.utils import timezone
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from accounts.viewer import Viewer
from analytics.filters.facets import DEFAULT_PROVIDER
from analytics.reports import Health, Report, Summary, provider_health
from analytics.reports.prices import PriceOf, is_free, offered, prices_in_force
from analytics.reports.selection import Selection
from api.parameters import COMPARE, FILTERS, Parameter, choice, filters_of, text
from api.problems import WrongParameterError
from api.reading import Reading
from api.shapes.base import told
from api.shapes.catalogue import HealthShape, ModelShape, ModelsShape, OneModelShape, ProvidersShape
from api.shapes.figures import SummaryShape
from api.summary import days_of, only, usage
from pricing.catalogue import CAPABILITIES, STATUSES, Catalogue, Key
from pricing.models import Price

NO_PRICES = "You may not see this."
ANY = {"any": ""}
SEARCH = text("search", means="Only models whose name contains every word of this.")
PROVIDER = text("provider", longest=50, means="Only models of this provider.")
OF_PROVIDER = Parameter("provider", "The provider of the model.", {"type": "string"}, DEFAULT_PROVIDER, str)
CAPABILITY = choice("capability", ANY | {name: name for name in CAPABILITIES}, default="any", means="What it can do.")
STATUS = choice("status", ANY | {name: name for name in STATUSES}, default="any", means="Its status.")
KIND = choice("kind", ANY | {"free": "free", "paid": "paid"}, default="any", means="Whether it costs something.")


@dataclass(frozen=True, slots=True)
class Shelf:
    """The models that a viewer may know of, as they are now."""

    prices: PriceOf
    catalogue: Catalogue
    today: date
    sees_pricing: bool

    @classmethod
    def of(cls, viewer: Viewer) -> Self:
        today = timezone.now().date()
        return cls(prices_in_force(viewer, Selection(today, today)), Catalogue.load(), today, viewer.sees_pricing)

    @property
    def keys(self) -> list[Key]:
        return sorted(self.catalogue.models() | {key for key, price in self.prices.items() if price.enabled})

    def model(self, key: Key) -> dict[str, Any]:
        """What is known of one model, with its price if the viewer may see it."""
        facts, price = self.catalogue.facts(*key), self.prices.get(key)
        status = facts.status_on(self.today)
        known = {"provider": key[0], "model": key[1], "status": status, "is_free": price is not None and is_free(price)}
        values = {name: getattr(facts, name) for name in type(facts).__slots__}
        found: dict[str, Any] = dict(told(ModelShape, {**values, **known, "price": price}))
        if not self.sees_pricing:
            del found["is_free"], found["price"]
        return found


class ModelsView(Reading):
    """The models that are known, with what they can do and, if you may see prices, what they cost now."""

    takes = (SEARCH, PROVIDER, CAPABILITY, STATUS, KIND)
    tells = ModelsShape
    tag = "Models and prices"

    def read(self, request: Request, viewer: Viewer, **where: Any) -> Any:
        kind, shelf = KIND.of(request), Shelf.of(viewer)
        if kind and not viewer.sees_pricing:
            raise WrongParameterError(KIND.name, f"kind: {NO_PRICES}")
        return {"models": list(_matching(request, map(shelf.model, shelf.keys), kind))}


class FreeModelsView(Reading):
    """The models that cost nothing."""

    tells = ModelsShape
    tag = "Models and prices"

    def read(self, request: Request, viewer: Viewer, **where: Any) -> Any:
        if not viewer.sees_pricing:
            raise PermissionDenied(NO_PRICES)
        shelf = Shelf.of(viewer)
        return {"models": [model for model in map(shelf.model, shelf.keys) if model["is_free"]]}


class ModelView(Reading):
    """What is known of one model, and the summary of its use. 404 for a model that neither the catalogue nor the price
    list has, and that you have not used in the range."""

    takes = (*(parameter for parameter in FILTERS if parameter.name not in ("provider", "model")), OF_PROVIDER, COMPARE)
    tells = OneModelShape
    tag = "Models and prices"

    def read(self, request: Request, viewer: Viewer, **where: Any) -> Any:
        key, shelf = (OF_PROVIDER.of(request), where["model"]), Shelf.of(viewer)
        selection = only(only(filters_of(request, viewer).selection, "provider", key[0]), "model", key[1])
        found = usage(viewer, selection, compares=COMPARE.of(request))
        if not found["requests"] and key not in shelf.keys:
            raise Http404
        return {"model": shelf.model(key), **found}


class ProvidersView(Reading):
    """The providers: their models, their use in a range, and the calls of the last hour."""

    takes = tuple(parameter for parameter in FILTERS if parameter.name != "provider")
    tells = ProvidersShape
    tag = "Models and prices"

    def read(self, request: Request, viewer: Viewer, **where: Any) -> Any:
        selection, shelf = filters_of(request, viewer).selection.without("provider"), Shelf.of(viewer)
        totals = {key[0]: sums for key, sums in Report(viewer, selection).totals_by("provider").items()}
        health, models = provider_health(viewer, timezone.now()), offered(shelf.catalogue, shelf.prices, shelf.today)
        nothing = Summary(cost_usd=Decimal(0) if viewer.sees_cost else None)
        return {
            **days_of(selection),
            "providers": [
                {
                    "provider": name,
                    **told(SummaryShape, totals.get(name, nothing)),
                    **_counts(shelf, models.get(name, {})),
                    "last_hour": _last_hour(health.get(name)),
                }
                for name in sorted({*totals, *health, *models})
            ],
        }


def _matching(request: Request, models: Iterable[dict[str, Any]], kind: str) -> Iterable[dict[str, Any]]:
    words, provider = SEARCH.of(request).casefold().split(), PROVIDER.of(request)
    capability, status = CAPABILITY.of(request), STATUS.of(request)
    for model in models:
        name = f"{model['model']} {model['name'] or ''}".casefold()
        is_found = all(word in name for word in words) and provider in ("", model["provider"])
        is_such = (not capability or capability in model["capabilities"]) and status in ("", model["status"])
        if is_found and is_such and _is_of_kind(model, kind):
            yield model


def _is_of_kind(model: Mapping[str, Any], kind: str) -> bool:
    """A model is paid if it has a price that is not nothing."""
    if kind == "paid":
        return not model["is_free"] and model["price"] is not None and bool(model["price"]["enabled"])
    return not kind or bool(model["is_free"])


def _counts(shelf: Shelf, models: Mapping[str, Price | None]) -> dict[str, int]:
    if not shelf.sees_pricing:
        return {"models": len(models)}
    enabled = [price for price in models.values() if price is not None and price.enabled]
    free = sum(map(is_free, enabled))
    return {"models": len(models), "free": free, "paid": len(enabled) - free}


def _last_hour(health: Health | None) -> Mapping[str, Any] | None:
    return None if health is None else told(HealthShape, health)
