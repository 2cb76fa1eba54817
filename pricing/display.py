"""Prices and their sources as text."""

import re
from decimal import Decimal
from typing import NamedTuple

from pricing.fields import dollars
from pricing.units import PER_1K, Unit

_ADDRESS = re.compile(r"(https?://[^\s<>\"']+)", re.IGNORECASE)
_AFTER_ADDRESSES = ".,;:!?)]"
"""Characters after an address that belong to the sentence around it."""


class Piece(NamedTuple):
    """A part of a text. ``link`` is its address if the part is a link, else empty."""

    text: str
    link: str


def rate(value: Decimal | None, unit: Unit = PER_1K) -> str:
    """A price in dollars, a price per thousand in this unit; a dash for None."""
    return "–" if value is None else dollars(unit.of(value))


def host(address: str) -> str:
    """The name of the server in a web address."""
    return address.split("/")[2]


def pieces(text: str) -> list[Piece]:
    """The text, cut at its web addresses. Only http and https become links, so that a text that somebody typed can run
    nothing."""
    found = []
    for number, part in enumerate(_ADDRESS.split(text)):
        address = part.rstrip(_AFTER_ADDRESSES) if number % 2 else ""
        found += [Piece(address, address), Piece(part.removeprefix(address), "")]
    return [piece for piece in found if piece.text]
