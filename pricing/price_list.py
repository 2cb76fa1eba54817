"""The list of prices: sorted, and with the models apart that nobody can call any more."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Self

from pricing.catalogue import Catalogue
from pricing.models import Price

NAME = "model"
AMOUNTS: dict[str, Callable[[Price], Any]] = {
    "input": lambda price: price.input_usd_per_1k_tokens,
    "cached": lambda price: price.cached_input_usd_per_1k_tokens,
    "output": lambda price: price.output_usd_per_1k_tokens,
    "audio": lambda price: price.audio_usd_per_hour,
    "characters": lambda price: price.usd_per_1k_characters,
    "since": lambda price: price.effective_from,
}
"""What the list can be sorted by beside the name of the model."""


@dataclass(frozen=True, slots=True)
class Sort:
    key: str = NAME
    descending: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """The order that ``-input`` or ``input`` names; by name for any other text."""
        key = text.removeprefix("-")
        return cls(key, text.startswith("-")) if key == NAME or key in AMOUNTS else cls()

    def direction(self, key: str) -> str:
        """``ascending`` or ``descending`` if the list is sorted by this column, else empty."""
        if key != self.key:
            return ""
        return "descending" if self.descending else "ascending"

    def next(self, key: str) -> str | None:
        """The order that a click on a column's head leads to, as in an address; None for the usual order. The first
        click sorts amounts from the largest and names from A, the second one reverses the order."""
        descending = not self.descending if key == self.key else key != NAME
        return f"{'-' if descending else ''}{key}" if (key, descending) != (NAME, False) else None

    def sorted(self, prices: Iterable[Price]) -> list[Price]:
        """The prices in this order; those without the amount come last in both directions."""
        if self.key == NAME:
            return sorted(prices, key=lambda price: price.model.casefold(), reverse=self.descending)
        amount = AMOUNTS[self.key]
        known: list[Price] = []
        unknown: list[Price] = []
        for price in prices:
            (unknown if amount(price) is None else known).append(price)
        return sorted(known, key=amount, reverse=self.descending) + unknown


def apart(prices: Sequence[Price], catalogue: Catalogue, today: date) -> tuple[list[Price], list[Price]]:
    """The prices of models that can be called, and those of models that are retired."""
    parts: dict[bool, list[Price]] = {False: [], True: []}
    for price in prices:
        parts[catalogue.facts(price.provider, price.model).is_retired_on(today)].append(price)
    return parts[False], parts[True]
