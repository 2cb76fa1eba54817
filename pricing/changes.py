"""The changes from one version of a price to the next."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import cast

from django.utils.text import capfirst

from pricing.fields import NanoDollarField, dollars
from pricing.models import Price
from pricing.tool_rates import ToolRates
from pricing.units import PER_1K, Unit

LEAP = 10
"""A price that changes by more than this factor gets a warning, because that is more often a typing error than not."""
CACHED = "cached_input_usd_per_1k_tokens"


@dataclass(frozen=True)
class ChangedField:
    """One changed field, with its value before and after as text."""

    label: str
    before: str
    after: str
    percent: str = ""
    warning: str = ""


@dataclass(frozen=True)
class Change:
    """The change from one version to the next; ``before`` is None for the first version."""

    before: Price | None
    after: Price
    unit: Unit = PER_1K
    """The unit of the rates in ``lines``."""

    @property
    def is_first_of_organization(self) -> bool:
        """Whether this gives an organization a price of its own for the first time."""
        return self.after.organization_id is not None and (
            self.before is None or self.before.organization_id != self.after.organization_id
        )

    @property
    def lines(self) -> list[ChangedField]:
        if self.after.follows_everybody:
            return [ChangedField("Price", "its own", "everybody's")]
        return [*self._rates(), *self._tools(), *self._others()]

    @property
    def _base(self) -> Price | None:
        """The version that amounts are compared with. None if the version before has no amounts, because it follows
        everybody's price."""
        return None if self.before is None or self.before.follows_everybody else self.before

    def _rates(self) -> Iterator[ChangedField]:
        for name in Price.RATES:
            before: Decimal | None = getattr(self._base, name, None)
            after: Decimal | None = getattr(self.after, name)
            if before != after:
                none = "the input price" if name == CACHED else "none"
                unit = self.unit if name in Price.PER_THOUSAND else PER_1K
                yield _changed(_label(name, unit), before, after, none, unit)

    def _tools(self) -> Iterator[ChangedField]:
        before: ToolRates = self._base.tool_rates if self._base else {}
        after: ToolRates = self.after.tool_rates
        for tool in sorted(before.keys() | after.keys()):
            if before.get(tool) != after.get(tool):
                yield _changed(f"{tool} $ / 1k uses", before.get(tool), after.get(tool), "none")

    def _others(self) -> Iterator[ChangedField]:
        before, after = self._base, self.after
        if after.enabled != (before is None or before.enabled):
            yield ChangedField("Status", _status(before), _status(after))
        if before and before.audio_minimum_seconds != after.audio_minimum_seconds:
            was, becomes = (f"{version.audio_minimum_seconds} s" for version in (before, after))
            yield ChangedField("Audio is billed for at least", was, becomes)


def _changed(label: str, before: Decimal | None, after: Decimal | None, none: str, unit: Unit = PER_1K) -> ChangedField:
    was, becomes = (none if value is None else dollars(unit.of(value)) for value in (before, after))
    return ChangedField(label, was, becomes, percent(before, after), warning(before, after))


def percent(before: Decimal | None, after: Decimal | None) -> str:
    """The relative change in percent; empty if there is no ratio."""
    return f"{(after - before) / before:+,.1%}".replace("-", "−") if before and after is not None else ""


def warning(before: Decimal | None, after: Decimal | None) -> str:
    if not before or after is None:
        return ""
    if after > before * LEAP:
        return "More than ten times as much"
    return "Less than a tenth" if after * LEAP < before else ""


def _label(name: str, unit: Unit) -> str:
    label = str(cast("NanoDollarField", Price._meta.get_field(name)).verbose_name)
    return capfirst(unit.labelled(label))


def _status(version: Price | None) -> str:
    return "none" if version is None else "Enabled" if version.enabled else "Disabled"
