"""The editable price table: a row for each model; each changed row becomes a new version.

The names of a row's fields contain the id of the version that the row shows, and versions never change. So the editor's
changes are the differences from that version, however old the page is. Versions that others have added meanwhile are
merged with these changes, and the editor is told about them.
"""

import re
from collections.abc import Iterator
from datetime import date, datetime
from typing import cast

from django.db.models import Max, Q
from django.http import QueryDict
from django.utils import timezone

from accounts.models import Organization, User
from pricing.catalogue import Catalogue
from pricing.changes import Change
from pricing.models import Price, rank
from pricing.sheet_forms import Key, NewModelRow, PriceRow, Row, SaveForm
from pricing.units import PER_1K, Unit
from pricing.versions import add_versions, entered_after, id_of, news_of

MOST_ROWS = 120
"""At most this number of rows is shown; a search finds the others. A row has seven fields, and Django accepts at most a
thousand fields in one form."""
KEPT = "What you typed is kept. Save again to add yours after it."
ROW_FIELD = re.compile(r"v(\d{1,18})-")


class PriceSheet:
    """The rows for everybody or for one organization, with the posted values. An organization's row shows everybody's
    price if it has no price of its own."""

    def __init__(
        self,
        organization: Organization | None,
        data: QueryDict | None = None,
        *,
        wanted: str = "",
        unit: Unit = PER_1K,
    ) -> None:
        """``wanted`` is the model in the page's address. If it has no price, the row for a new model has its name.
        Prices are shown and posted in ``unit``."""
        self.organization = organization
        self.unit = unit
        self.newest = Price.objects.aggregate(newest=Max("pk"))["newest"] or 0  # Read first: never newer than the rows.
        self._data = data or QueryDict()
        self._seen = id_of(self._data.get("seen"))
        shown = _in_force(organization)
        self._older = {_key(row.version): row for row in self._rows_of_older_versions(shown)}
        self._news = {_key(version): version for version in entered_after(self._seen, organization)} if data else {}
        self.rows = [self._row(version) for version in shown.values()]
        is_priced = any(wanted == model for _, model in shown)
        posted = self._data if "new-model" in self._data else None
        self.new = NewModelRow(organization, set(shown), "" if is_priced else wanted, posted, unit)
        self.save_form = SaveForm(data, label_suffix="")
        self._focus(wanted)

    @property
    def changed(self) -> list[Row]:
        return [row for row in (*self.rows, self.new) if row.has_changed()]

    @property
    def conflicts(self) -> list[PriceRow]:
        return [row for row in self.rows if row.notice]

    @property
    def error_count(self) -> int:
        return sum(len(form.errors) for form in (*self.rows, self.new, self.save_form))

    @property
    def is_ready(self) -> bool:
        """Whether there is a change to save, without errors and without conflicts."""
        return bool(self.changed) and not self.conflicts and not self.error_count

    @property
    def start(self) -> datetime | None:
        """The start of the new versions; None means now."""
        return cast("datetime | None", self.save_form.cleaned_data["effective_from"])

    def scheduled(self) -> list[Price]:
        """The scheduled versions that will replace the versions that are about to be saved."""
        keys = {_key(row.instance) for row in self.changed}
        later = Price.objects.scheduled(self.start or timezone.now()).filter(organization=self.organization)
        return [version for version in later.select_related("organization") if _key(version) in keys]

    def save(self, *, by: User) -> int:
        """Add a version for each changed row; returns their number. Only for a sheet that ``is_ready``."""
        start = self.start or timezone.now()
        versions = [row.instance for row in self.changed]
        for version in versions:
            version.effective_from = start
            version.source_note = self.save_form.cleaned_data["source_note"]
        add_versions(versions, by=by)
        return len(versions)

    @property
    def problems(self) -> list[str]:
        """A sentence for each price that has to be mended."""
        named: list[tuple[str, Row]] = [*((row.version.model, row) for row in self.rows), ("The new model", self.new)]
        return [
            f"{name}, {row[field].label}: {' '.join(map(str, errors))}"
            for name, row in named
            for field, errors in row.errors.items()
        ]

    @property
    def changes(self) -> list[Change]:
        """The changes without errors."""
        return [row.change for row in self.changed if not row.errors]

    def shown(self, search: str, catalogue: Catalogue, today: date) -> tuple[list[PriceRow], list[PriceRow]]:
        """The changed rows and those whose model's name contains ``search``, at most MOST_ROWS: those of models that
        can be called, and those of retired models."""
        found = [row for row in self.rows if row.has_changed() or search.lower() in row.version.model.lower()]
        if len(found) > MOST_ROWS:
            found = sorted(found, key=lambda row: not row.has_changed())[:MOST_ROWS]
        parts: dict[bool, list[PriceRow]] = {False: [], True: []}
        for row in found:
            parts[catalogue.facts(*_key(row.version)).is_retired_on(today)].append(row)
        return parts[False], parts[True]

    def _row(self, version: Price) -> PriceRow:
        older, news = self._older.get(_key(version)), self._news.get(_key(version))
        if older is not None:
            row = older.moved_to(version)
            row.notice = f"{self._what_happened(news or version)} {KEPT}"
            return row
        row = PriceRow(version, self.organization, unit=self.unit)
        if row.add_prefix(Price.RATES[0]) in self._data:
            row = PriceRow(version, self.organization, self._data, self.unit)
        if row.has_changed() and news is not None and news.pk > version.pk:
            row.notice = f"{news_of(news)} {KEPT}"
        return row

    def _what_happened(self, version: Price) -> str:
        if version.pk > self._seen:
            return news_of(version)
        return f"Meanwhile a scheduled version has begun: {version.summary}."

    def _rows_of_older_versions(self, shown: dict[Key, Price]) -> Iterator[PriceRow]:
        """The rows that were changed and whose version is no longer in force."""
        posted = {int(match[1]) for match in map(ROW_FIELD.match, self._data) if match}
        older = posted - {version.pk for version in shown.values()}
        for version in Price.objects.filter(_scope(self.organization), pk__in=older).order_by("pk"):
            row = PriceRow(version, self.organization, self._data, self.unit)
            if row.has_changed():
                yield row

    def _focus(self, wanted: str) -> None:
        """Put the focus on the first field with an error, else on the wanted model."""
        forms = (*self.rows, self.new, self.save_form)
        targets = [form[name] for form in forms for name in form.errors if name in form.fields]
        if wanted:
            row: Row = next((row for row in self.rows if row.version.model == wanted), self.new)
            targets.append(row[Price.RATES[0]])
            row.is_wanted = True
        for target in targets[:1]:
            target.field.widget.attrs["autofocus"] = True


def _in_force(organization: Organization | None) -> dict[Key, Price]:
    """The version that the organization is charged at now, by provider and model."""
    begun = Price.objects.filter(_scope(organization)).latest_begun(timezone.now()).select_related("author")
    return {_key(version): version for version in sorted(begun, key=lambda version: (_key(version), rank(version)))}


def _scope(organization: Organization | None) -> Q:
    """The versions that can be in force for an organization, or (None) for everybody."""
    return Q(organization=None) | Q(organization=organization) if organization else Q(organization=None)


def _key(version: Price) -> Key:
    return version.provider, version.model
