"""What changed prices would have meant for past calls.

``analytics`` reads the sums of these calls, and ``pricing`` does not know ``analytics``. So ``usage_dashboard`` plugs
in the function that makes a preview.
"""

from collections.abc import Callable, Sequence

from accounts.models import Organization
from accounts.viewer import Viewer
from pricing.changes import Change

Preview = Callable[[Viewer, Organization | None, Sequence[Change]], object]
"""From the changes of prices for an organization, or (None) for everybody, to what ``pricing/_preview.html`` shows;
None if the sums cannot be read now."""

_preview: Preview | None = None


def plug_in(preview: Preview) -> None:
    global _preview
    _preview = preview


def preview_of(viewer: Viewer, organization: Organization | None, changes: Sequence[Change]) -> object:
    """The preview of these changes; None if there cannot be one now."""
    return _preview(viewer, organization, changes) if _preview else None
