"""Money in the database: integer nano-dollars behind a field that speaks ``Decimal``."""

from decimal import Decimal, InvalidOperation
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import models

NANO_DIGITS = 9


def to_nano(value: Decimal) -> int:
    """Dollars as nano-dollars; refuses what cannot be stored exactly. ValueError for NaN, infinity or finer parts."""
    if not value.is_finite():
        raise ValueError(f"{value} is not an amount of money.")
    nano = value.scaleb(NANO_DIGITS)
    if nano != nano.to_integral_value():
        raise ValueError(f"{value} is finer than a nano-dollar.")
    return int(nano)


def from_nano(value: int | Decimal) -> Decimal:
    """Nano-dollars as dollars."""
    return Decimal(value).scaleb(-NANO_DIGITS)


class NanoDollarField(models.BigIntegerField):
    """US dollars, stored as ``BIGINT`` nano-dollars, read and written as exact ``Decimal`` dollars."""

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
    def validators(self) -> list[Any]:  # type: ignore[override]
        return []  # BigIntegerField's limits are in nano-dollars; the table's CHECKs hold the real ones

    def formfield(self, **kwargs: Any) -> Any:
        defaults = {"form_class": forms.DecimalField, "max_digits": 18, "decimal_places": NANO_DIGITS, "min_value": 0}
        return super(models.IntegerField, self).formfield(**(defaults | kwargs))
