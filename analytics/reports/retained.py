"""The ends of detail: requests of days before an organization's ``retained_from`` were deleted by
``ledger.upkeep.retention``, and only their sums are kept."""

from dataclasses import dataclass
from datetime import date

from accounts.models import Organization
from accounts.viewer import Viewer
from analytics.reports.selection import Selection


@dataclass(frozen=True, slots=True)
class RetainedFrom:
    """The first day of one organization whose requests are all kept."""

    organization_id: int
    name: str
    day: date


def retained_from(viewer: Viewer, selection: Selection | None = None) -> list[RetainedFrom]:
    """The ends of detail of the viewer's organizations that fall within a selection, or all of them without one; the
    latest day first. Empty if all requests are kept."""
    rows = Organization.objects.exclude(retained_from=None)
    if viewer.organization_ids is not None:
        rows = rows.filter(pk__in=viewer.organization_ids)
    if selection is not None:
        rows = rows.filter(retained_from__gt=selection.first_day)
        if chosen := selection.chosen.get("organization_id"):
            rows = rows.filter(pk__in=chosen)
    found = rows.order_by("-retained_from", "name").values_list("pk", "name", "retained_from")
    return [RetainedFrom(pk, name, day) for pk, name, day in found if day is not None]
