"""Money in the database and in forms: fields that read and write ``Decimal`` and store integer nano-dollars."""

import re
from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import models

from pricing.units import PER_1K

NANO_DIGITS = 9
NANO = Decimal(1).scaleb(-NANO_DIGITS)
LARGEST = 2**63 - 1
"""The largest number of nano-dollars that fits into a BIGINT: a little more than $9 billion."""

# This context raises instead of rounding. Every amount that fits into a BIGINT has at most 19 digits.
_STRICT = Context(prec=40, traps=[Inexact, InvalidOperation])


def to_nano(value: Decimal) -> int:
    """Dollars as nano-dollars. ValueError for a value that cannot be stored exactly: NaN, infinity, more than nine
    decimals, too large."""
    try:
        if not value.is_finite():
            raise InvalidOperation
        nano = int(value.quantize(NANO, context=_STRICT).scaleb(NANO_DIGITS, context=_STRICT))
    except DecimalException:
        raise ValueError(f"{value} is not a number of dollars with at most {NANO_DIGITS} decimals.") from None
    if abs(nano) > LARGEST:
        raise ValueError(f"{value} is more money than there is.")
    return nano


def from_nano(value: int | Decimal) -> Decimal:
    """Nano-dollars as dollars."""
    return Decimal(value).scaleb(-NANO_DIGITS, context=_STRICT)


def plain(value: Decimal) -> str:
    """The number without trailing zeros and without an exponent: 0.00015, 40, 0."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def dollars(value: Decimal) -> str:
    """The dollars without trailing zeros but with cents: $0.00015, $0.04, $1,000.00."""
    whole, _, decimals = f"{value:,.{NANO_DIGITS}f}".partition(".")
    return f"${whole}.{decimals.rstrip('0').ljust(2, '0')}"


def validate_money(value: Decimal) -> None:
    """ValidationError for a value that ``to_nano`` refuses."""
    try:
        to_nano(value)
    except ValueError as error:
        raise ValidationError(str(error)) from error


class DollarField(forms.DecimalField):
    """Dollars as people type them: digits and at most one decimal point. A comma is refused, because it may be a
    decimal comma or separate thousands."""

    widget = forms.TextInput(attrs={"inputmode": "decimal"})
    unit = PER_1K
    """The unit in which people see and type the amount. A cleaned amount is per thousand in any unit."""
    PLAIN = re.compile(r"-?(\d{1,20}(\.\d{0,40})?|\.\d{1,40})", re.ASCII)

    def to_python(self, value: Any) -> Any:
        text = "" if value is None else str(value).strip()
        if "," in text:
            raise ValidationError("Write it with a decimal point and without commas, such as 0.00015.")
        if text and not self.PLAIN.fullmatch(text):
            raise ValidationError("Enter a plain number of dollars, such as 0.00015.")
        amount = super().to_python(text)
        return None if amount is None else self.unit.per_thousand(amount)

    def prepare_value(self, value: Any) -> Any:
        """A stored amount without trailing zeros; typed text unchanged."""
        return plain(self.unit.of(value)) if isinstance(value, Decimal) else value


class NanoDollarField(models.BigIntegerField[Any, Any]):
    """US dollars, stored as ``BIGINT`` nano-dollars, read and written as exact ``Decimal`` dollars."""

    _pyi_private_set_type: Decimal | int | str  # type: ignore[assignment]
    _pyi_private_get_type: Decimal  # type: ignore[assignment]

    def from_db_value(self, value: int | Decimal | None, *_: object) -> Decimal | None:
        return None if value is None else from_nano(value)

    def get_prep_value(self, value: Any) -> int | None:
        dollars = self.to_python(value)
        return None if dollars is None else to_nano(dollars)

    def to_python(self, value: Any) -> Any:
        if value is None or isinstance(value, Decimal):
            return value
        try:
            return Decimal(str(value))
        except InvalidOperation:
            raise ValidationError("%(value)s is not an amount of money.", params={"value": value}) from None

    @property
    def validators(self) -> list[Any]:
        """``validate_money`` instead of the limits of BigIntegerField, which are in nano-dollars."""
        return [*super(models.IntegerField, self).validators, validate_money]

    def formfield(self, **kwargs: Any) -> Any:
        """A DollarField. The model field's validators, and not the form field, limit the amounts."""
        return models.Field.formfield(self, **({"form_class": DollarField} | kwargs))
