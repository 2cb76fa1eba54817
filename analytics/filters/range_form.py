"""The range of days that a query string asks for."""

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any

from django import forms

from accounts.viewer import Viewer
from analytics import reports

RANGES = {
    "today": "Today",
    "yesterday": "Yesterday",
    "7d": "Last 7 days",
    "30d": "Last 30 days",
    "90d": "Last 90 days",
    "month": "This month",
    "last-month": "Last month",
    "year": "This year",
    "all": "All time",
    "custom": "Custom",
}
MONTH = "month"
DEFAULT_RANGE = "30d"
DAY = timedelta(days=1)
RANGE_OF: dict[str, Callable[[date], tuple[date, date]]] = {
    "today": lambda today: (today, today),
    "yesterday": lambda today: (today - DAY, today - DAY),
    "7d": lambda today: (today - 6 * DAY, today),
    "30d": lambda today: (today - 29 * DAY, today),
    "90d": lambda today: (today - 89 * DAY, today),
    MONTH: lambda today: (today.replace(day=1), today),
    "last-month": lambda today: ((today.replace(day=1) - DAY).replace(day=1), today.replace(day=1) - DAY),
    "year": lambda today: (today.replace(month=1, day=1), today),
}
"""For each range that today's date determines, its first and last day."""
MAX_DAYS = 3_660
EARLIEST = date(2000, 1, 1)


class RangeForm(forms.Form):
    """The first and the last day of the range. Errors explain what is wrong with a date."""

    range = forms.CharField(required=False)
    grain = forms.CharField(required=False)

    def __init__(self, query: Mapping[str, Any], viewer: Viewer) -> None:
        super().__init__(query)
        self.earliest_today, self.today = reports.local_dates(viewer)
        self.viewer = viewer
        for name, label in (("from", "From"), ("to", "To")):
            message = f"{label}: write the date as year-month-day, such as {self.today:%Y-%m-%d}."
            self.fields[name] = forms.DateField(
                label=label, required=False, input_formats=["%Y-%m-%d"], error_messages={"invalid": message}
            )

    def clean_range(self) -> str:
        """The range's name. Dates without a name mean a custom range; an unknown name means the default range."""
        name = self.cleaned_data["range"]
        if name in RANGES:
            return str(name)
        return "custom" if not name and (self.data.get("from") or self.data.get("to")) else DEFAULT_RANGE

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        if data["range"] != "custom":
            for name in ("from", "to"):  # These dates do not count, so neither do their errors.
                self.errors.pop(name, None)
            data["from"], data["to"] = self._fixed(data["range"])
        elif not self.errors:
            self._clean_custom(data)
        return data

    def days(self) -> tuple[date, date]:
        """The first and the last day; those of the default range if the form has errors."""
        if self.is_valid():
            return self.cleaned_data["from"], self.cleaned_data["to"]
        return self._fixed(DEFAULT_RANGE)

    def _fixed(self, name: str) -> tuple[date, date]:
        if name == "all":
            first = reports.first_day(self.viewer) or self.today
            return max(min(first, self.today), self.today - timedelta(days=MAX_DAYS - 1)), self.today
        return RANGE_OF[name](self.today)

    def _clean_custom(self, data: dict[str, Any]) -> None:
        latest = self.today + timedelta(days=366)
        for name in ("from", "to"):
            if data[name] and not EARLIEST <= data[name] <= latest:
                self.add_error(name, f"Choose a date from {EARLIEST} to {latest}.")
                return
        data["to"] = data["to"] or max(self.today, data["from"] or self.today)
        data["from"] = data["from"] or max(min(reports.first_day(self.viewer) or data["to"], data["to"]), EARLIEST)
        if data["from"] > data["to"]:
            self.add_error("to", "The range ends before it begins: choose a later end or an earlier beginning.")
        elif (data["to"] - data["from"]).days >= MAX_DAYS:
            self.add_error("to", "Choose at most ten years.")
