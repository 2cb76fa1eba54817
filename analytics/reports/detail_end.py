"""Where detail ends: requests of days before an organization's ``detail_from`` were deleted, and only sums tell of them
(``analytics.retention``)."""

from dataclasses import dataclass
from datetime import date

from accounts.models import Organization
from accounts.viewer import Viewer
from analytics.selection import Selection


@dataclass(frozen=True, slots=True)
class DetailEnd:
    """For one organization, the first day whose requests are all there."""

    organization_id: int
    name: str
    day: date


def detail_ends(viewer: Viewer, selection: Selection | None = None) -> list[DetailEnd]:
    """Of the organizations that the viewer may see, those whose detail ends within a selection (or ever), the latest
    day first. Empty where all requests are there."""
    rows = Organization.objects.exclude(detail_from=None)
    if viewer.organization_ids is not None:
        rows = rows.filter(pk__in=viewer.organization_ids)
    if selection is not None:
        rows = rows.filter(detail_from__gt=selection.first_day)
        if chosen := selection.chosen.get("organization_id"):
            rows = rows.filter(pk__in=chosen)
    found = rows.order_by("-detail_from", "name").values_list("pk", "name", "detail_from")
    return [DetailEnd(pk, name, day) for pk, name, day in found if day is not None]
