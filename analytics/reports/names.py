"""Names for people, of what events know by id."""

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet

from accounts.models import Organization, Project, User
from accounts.viewer import Viewer
from analytics.selection import Dimension

NONE_LABEL = "(none)"


def labels(viewer: Viewer, dimension: Dimension, values: Sequence[Any]) -> dict[Any, str]:
    """Names for people. What a call did not say is "(none)". Two organizations may each have a project "web" or an Ann,
    so that somebody who sees several is told whose."""
    none: dict[Any, str] = {0: NONE_LABEL, "": NONE_LABEL}
    if dimension == "organization_id":
        return none | dict(Organization.objects.filter(pk__in=values).order_by().values_list("pk", "name"))
    if dimension not in ("project_id", "user_id"):
        return none
    whose: dict[int | None, str] = {}
    if viewer.organization_ids is None:
        whose |= dict(Organization.objects.values_list("pk", "name"))
    named: QuerySet[Project] | QuerySet[User]
    if dimension == "project_id":
        named = Project.objects.filter(pk__in=values).only("name", "organization_id").order_by()
    else:
        named = User.objects.filter(pk__in=values).only("first_name", "last_name", "handle", "organization_id")
    return none | {
        one.pk: " · ".join(filter(None, [one.display_name, whose.get(one.organization_id)])) for one in named
    }
