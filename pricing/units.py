"""The unit that prices are shown and typed in: dollars for a thousand or for a million tokens (or characters).

The price table keeps dollars per thousand. The choice of a reader is in the address (``?unit=1m``), and a cookie
remembers it for the next page.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from pricing.cost import EXACT

COOKIE = "price_unit"
REMEMBERED_SECONDS = 365 * 86_400

Response = TypeVar("Response", bound=HttpResponse)


@dataclass(frozen=True, slots=True)
class Unit:
    key: str
    """As in an address."""
    label: str
    exponent: int
    """The power of ten that turns a price in this unit into a price per thousand."""

    def of(self, per_thousand: Decimal) -> Decimal:
        """A price per thousand in this unit, exactly."""
        return per_thousand.scaleb(-self.exponent, EXACT)

    def labelled(self, label: str) -> str:
        """The label of a price per thousand (``input $ / 1k tokens``) as the label of a price in this unit."""
        return label.replace(PER_1K.label, self.label)

    def per_thousand(self, price: Decimal) -> Decimal:
        """A price in this unit as a price per thousand, exactly."""
        return price.scaleb(self.exponent, EXACT)


PER_1K, PER_1M = Unit("1k", "1k", 0), Unit("1m", "1M", -3)
UNITS = {unit.key: unit for unit in (PER_1K, PER_1M)}


def unit_of(request: HttpRequest) -> Unit:
    """The unit in the address, else the remembered one, else the unit of the price table."""
    wanted = (request.GET.get("unit", ""), request.COOKIES.get(COOKIE, ""))
    return next((UNITS[key] for key in wanted if key in UNITS), PER_1K)


def remember(unit: Unit, request: HttpRequest, response: Response) -> Response:
    """The response, with a cookie for the unit if the browser remembers another one or none but the default."""
    if UNITS.get(request.COOKIES.get(COOKIE, ""), PER_1K) is not unit:
        response.set_cookie(
            COOKIE,
            unit.key,
            max_age=REMEMBERED_SECONDS,
            path=settings.SESSION_COOKIE_PATH,
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
            samesite="Lax",
        )
    return response
