"""The rates of Groq's built-in tools, in dollars for 1,000 uses. Each version of a price has its own."""

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import models

from pricing.fields import DollarField, from_nano, plain, to_nano, validate_money

MAX_RATE = Decimal(1_000)
"""The largest rate in dollars for 1,000 uses; a larger one is a typing error. The field, forms and a constraint of the
table enforce it."""
MAX_TOOLS = 20
_NAME = re.compile(r"[a-z][a-z0-9_]{0,49}", re.ASCII)
_SHAPE = "Write each tool with its price for 1,000 uses, such as: browser_search 5, browser_open 1."

ToolRates = Mapping[str, Decimal]

WRONG_RATES = (
    'strict $ ? (@.type() != "object" || exists(@.* ? '
    f'(@.type() != "number" || @.floor() != @ || @ < 0 || @ > {to_nano(MAX_RATE)})))'
)
"""The JSON path that finds invalid stored rates: anything but whole nano-dollars from 0 to the largest rate."""


def validate_tool_rates(rates: ToolRates) -> None:
    """ValidationError for too many tools, an impossible name of a tool, or a rate that is out of range."""
    if len(rates) > MAX_TOOLS:
        raise ValidationError(f"At most {MAX_TOOLS} tools.")
    for name, rate in rates.items():
        if not _NAME.fullmatch(name):
            raise ValidationError(f"{name[:60]!r} is no name of a tool, such as browser_search. {_SHAPE}")
        validate_money(rate)
        if not 0 <= rate <= MAX_RATE:
            raise ValidationError(f"{name}: a price for 1,000 uses is at least $0 and at most $1,000.")


def as_text(rates: ToolRates) -> str:
    """The rates as people type them: browser_open 1, browser_search 5."""
    return ", ".join(f"{name} {plain(rate)}" for name, rate in sorted(rates.items()))


class ToolRatesFormField(forms.CharField):
    """A field with tools and their rates in one line of text."""

    def to_python(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return dict(value)
        rates: dict[str, Decimal] = {}
        for entry in re.split(r"[,;\n]", super().to_python(value) or ""):
            if not entry.strip():
                continue
            name, *amounts = entry.split()
            if len(amounts) != 1:
                raise ValidationError(f"{entry.strip()[:60]!r} is no tool and its price. {_SHAPE}")
            if name in rates:
                raise ValidationError(f"{name[:60]} is there twice.")
            rates[name] = DollarField().clean(amounts[0].removeprefix("$"))
        validate_tool_rates(rates)
        return rates

    def prepare_value(self, value: Any) -> Any:
        return as_text(value) if isinstance(value, Mapping) else value


class ToolRatesField(models.JSONField):
    """US dollars for 1,000 uses, by the name of the tool. The field reads and writes a ``dict`` of exact ``Decimal``s,
    and stores JSON with whole nano-dollars.
    """

    default_validators = [validate_tool_rates]

    def from_db_value(self, value: Any, *_: object) -> Any:
        """The rates. Django's connections pass the JSON as text, the recorder's connection passes it parsed."""
        stored = json.loads(value) if isinstance(value, str) else value
        return None if stored is None else {name: from_nano(nano) for name, nano in stored.items()}

    def get_prep_value(self, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return {name: to_nano(Decimal(rate)) for name, rate in sorted(value.items())}

    def to_python(self, value: Any) -> Any:
        return {name: Decimal(rate) for name, rate in value.items()} if isinstance(value, Mapping) else value

    def validate(self, value: Any, model_instance: Any) -> None:
        """ValidationError unless the value is a mapping. JSONField's own check would refuse ``Decimal``; the validators
        check the rates."""
        if not isinstance(value, Mapping):
            raise ValidationError(_SHAPE)

    def formfield(self, **kwargs: Any) -> Any:
        return models.Field.formfield(self, **({"form_class": ToolRatesFormField} | kwargs))
