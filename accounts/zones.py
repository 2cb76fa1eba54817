"""The time zone in which a person reads moments that belong to no organization, such as the start of a price."""

from accounts.models import Organization
from accounts.viewer import Viewer

ZONE_OF_ALL = "UTC"


def reader_zone(viewer: Viewer) -> str:
    """The zone of the viewer's only organization; UTC for viewers of several."""
    seen = viewer.organization_ids
    if seen is None or len(seen) != 1:
        return ZONE_OF_ALL
    return Organization.objects.values_list("time_zone", flat=True).get(pk__in=seen)
