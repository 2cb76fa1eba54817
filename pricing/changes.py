"""What a version changes, compared with the one before it."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import cast

from django.utils.text import capfirst

from pricing.fields import NanoDollarField, dollars
from pricing.models import Price

LEAP = 10
"""A price that becomes so many times as high or low is more often a slip than an intention."""
CACHED = "cached_input_usd_per_1k_tokens"


@dataclass(frozen=True)
class Line:
    """One thing that changes."""

    label: str
    before: str
    after: str
    percent: str = ""
    warning: str = ""


@dataclass(frozen=True)
class Change:
    """From one version to the next; ``before`` is None for the first one."""

    before: Price | None
    after: Price

    @property
    def is_first_of_organization(self) -> bool:
        """An organization leaves everybody's price."""
        return self.after.organization_id is not None and (
            self.before is None or self.before.organization_id != self.after.organization_id
        )

    @property
    def lines(self) -> list[Line]:
        if self.after.follows_everybody:
            return [Line("Price", "its own", "everybody's")]
        return [*self._rates(), *self._others()]

    @property
    def _base(self) -> Price | None:
        """What the amounts are compared with; a version that follows everybody's price has none."""
        return None if self.before is None or self.before.follows_everybody else self.before

    def _rates(self) -> Iterator[Line]:
        for name in Price.RATES:
            before: Decimal | None = getattr(self._base, name, None)
            after: Decimal | None = getattr(self.after, name)
            if before != after:
                none = "the input price" if name == CACHED else "none"
                was, becomes = (none if value is None else dollars(value) for value in (before, after))
                yield Line(_label(name), was, becomes, percent(before, after), warning(before, after))

    def _others(self) -> Iterator[Line]:
        before, after = self._base, self.after
        if after.enabled != (before is None or before.enabled):
            yield Line("Status", _status(before), _status(after))
        if before and before.audio_minimum_seconds != after.audio_minimum_seconds:
            was, becomes = (f"{version.audio_minimum_seconds} s" for version in (before, after))
            yield Line("Audio is billed for at least", was, becomes)


def percent(before: Decimal | None, after: Decimal | None) -> str:
    """By how much, or nothing where there is no ratio."""
    return f"{(after - before) / before:+,.1%}".replace("-", "−") if before and after is not None else ""


def warning(before: Decimal | None, after: Decimal | None) -> str:
    if not before or after is None:
        return ""
    if after > before * LEAP:
        return "More than ten times as much"
    return "Less than a tenth" if after * LEAP < before else ""


def _label(name: str) -> str:
    return capfirst(str(cast("NanoDollarField", Price._meta.get_field(name)).verbose_name))


def _status(version: Price | None) -> str:
    return "none" if version is None else "Enabled" if version.enabled else "Disabled"
