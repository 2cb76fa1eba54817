"""What a reader can choose of the grouped table: its periods, its dimensions and the kind of file."""

from collections.abc import Mapping
from typing import Any

from django import forms

from accounts.viewer import Viewer
from analytics.filters.facets import FACET, facets_of
from analytics.reports import GroupedTable
from analytics.reports.selection import Selection

PERIODS = (("month", "Month"), ("day", "Day"))
FILES = (("xlsx", "Excel (XLSX)"), ("csv", "CSV"))
FIRST = {"per": "month", "by": "model", "then": "", "format": "xlsx"}
"""The choices that are offered first."""
FORMAT = "format"
"""The name whose presence in a query string asks for the file rather than for the form."""


class TableForm(forms.Form):
    """The choices of a table. Only dimensions that the viewer can filter by are offered."""

    per = forms.ChoiceField(label="Time", choices=PERIODS)
    by = forms.ChoiceField(label="First dimension")
    then = forms.ChoiceField(label="Second dimension", required=False)
    format = forms.ChoiceField(label="File", choices=FILES)

    def __init__(self, query: Mapping[str, Any] | None, viewer: Viewer) -> None:
        super().__init__(query, initial=FIRST, label_suffix="")
        self.viewer = viewer
        offered = [(facet.name, facet.label) for facet in facets_of(viewer) if facet.has_menu]
        for name, choices in (("by", offered), ("then", [("", "None"), *offered])):
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)
            field.choices = choices
        for field in self.fields.values():
            field.widget.attrs["class"] = "input"

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        if data.get("by") and data.get("by") == data.get("then"):
            self.add_error("then", "Choose two different dimensions.")
        return data

    @property
    def name(self) -> str:
        """The choices for the name of a file, such as ``month_model_user``. The form is valid."""
        data = self.cleaned_data
        return "_".join(filter(None, (data["per"], data["by"], data["then"])))

    def table(self, selection: Selection) -> GroupedTable:
        """The table that a valid form asks for, or the one that is offered first."""
        data = self.cleaned_data if self.is_valid() else FIRST
        dimensions = tuple(FACET[data[name]].dimension for name in ("by", "then") if data[name])
        return GroupedTable(self.viewer, selection, "day" if data["per"] == "day" else "month", dimensions)
