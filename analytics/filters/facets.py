"""The dimensions that a page can be filtered by, and their names in a query string."""

from dataclasses import dataclass

from accounts.viewer import Viewer
from analytics.reports.selection import Dimension
from groq_client.names import identity

DEFAULT_PROVIDER = "groq"
NONE = "(none)"
"""The value, in a query string, for events that name no model, project, user and so on."""
ALL = "all"
"""The value, in a query string, that lifts the default filter by provider. For other filters it is an ordinary name."""
NOWHERE = -1
"""An id that no row has."""
LARGEST_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Facet:
    """A filter over one dimension: its name in the query string, and its label.

    A filter without a menu has too many values to offer; only links set it.
    """

    name: str
    dimension: Dimension
    label: str
    by_id: bool = False
    has_menu: bool = True

    def parse(self, text: str) -> str | int:
        """The value in the events that the text stands for. A text that is no id becomes an id that no row has."""
        if text == NONE:
            return 0 if self.by_id else ""
        if not self.by_id:
            return identity(text) or text
        return int(text) if text.isdecimal() and len(text) < 20 and int(text) <= LARGEST_ID else NOWHERE

    def text(self, value: str | int) -> str:
        """The text that stands for the value in a query string."""
        return str(value) or NONE if not self.by_id else str(value or NONE)


FACETS = (
    Facet("provider", "provider", "Provider"),
    Facet("model", "model", "Model"),
    Facet("project", "project_id", "Project", by_id=True),
    Facet("user", "user_id", "User", by_id=True),
    Facet("expert", "expert_id", "Expert"),
    Facet("template", "template_id", "Template"),
    Facet("feature", "feature", "Feature"),
    Facet("status", "status", "Status"),
    Facet("organization", "organization_id", "Organization", by_id=True),
    Facet("session", "session_id", "Session", has_menu=False),
)
FACET = {facet.name: facet for facet in FACETS}
MODEL = FACET["model"]


def facets_of(viewer: Viewer) -> tuple[Facet, ...]:
    """The filters that the viewer can use: none by organization, user or project for somebody who sees only
    one."""
    hidden = set()
    if viewer.organization_ids is not None:
        hidden.add("organization")
    if viewer.user_ids is not None:
        hidden.add("user")
    if viewer.project_ids is not None:
        hidden.add("project")
    return tuple(facet for facet in FACETS if facet.name not in hidden)
