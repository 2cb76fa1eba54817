"""A month of the calendar, and the form that chooses one."""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Self

from django import forms

from accounts.forms import Styled
from analytics.filters.range_form import EARLIEST

WRITTEN = re.compile(r"(\d{4})-(\d{2})", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Month:
    first_day: date

    @classmethod
    def of(cls, day: date) -> Self:
        return cls(day.replace(day=1))

    @property
    def last_day(self) -> date:
        return self.first_day.replace(day=self.days)

    @property
    def days(self) -> int:
        return monthrange(self.first_day.year, self.first_day.month)[1]

    @property
    def before(self) -> "Month":
        return Month.of(self.first_day - timedelta(days=1))

    @property
    def after(self) -> "Month":
        return Month.of(self.last_day + timedelta(days=1))

    @property
    def name(self) -> str:
        return f"{self.first_day:%B %Y}"

    def __str__(self) -> str:
        """As in a query string: 2026-11."""
        return f"{self.first_day:%Y-%m}"


class MonthForm(Styled, forms.Form):
    """The choice of a month up to the one of ``today``."""

    month = forms.CharField(widget=forms.TextInput(attrs={"type": "month", "placeholder": "year-month"}))

    def __init__(self, *args: Any, today: date, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.present = Month.of(today)
        self.fields["month"].widget.attrs |= {"max": str(self.present), "min": str(Month.of(EARLIEST))}

    def clean_month(self) -> Month:
        text = self.cleaned_data["month"]
        found = WRITTEN.fullmatch(text)
        if found is None or not 1 <= int(found[2]) <= 12 or int(found[1]) < EARLIEST.year:
            raise forms.ValidationError(f"Write the month as year-month, such as {self.present}.")
        month = Month(date(int(found[1]), int(found[2]), 1))
        if month > self.present:
            raise forms.ValidationError(f"{month.name} has not begun. Choose a month up to {self.present}.")
        return month
