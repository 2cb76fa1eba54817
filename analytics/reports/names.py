"""The names of organizations, projects and users, which events know by id."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from django.db.models import QuerySet

from accounts.models import Organization, Project, User
from accounts.search import MAX_WORDS, containing
from accounts.viewer import Viewer
from analytics.reports.selection import Dimension

NONE_LABEL = "(none)"

SEARCHED: dict[Dimension, tuple[str, ...]] = {
    "organization_id": ("name",),
    "project_id": ("name", "slug_key", "aliases__slug_key"),
    "user_id": ("first_name", "last_name", "handle_key", "aliases__handle_key"),
}
"""The dimensions whose values are ids, and the fields in which their names are searched."""


class Names:
    """The names of values; each is read from the database once. A value that a call did not name is "(none)". For a
    viewer of several organizations, names of projects and users include the organization, since they may repeat."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._known: dict[Dimension, dict[Any, str]] = defaultdict(dict)

    def of(self, dimension: Dimension, values: Iterable[Any]) -> dict[Any, str]:
        wanted, known = list(values), self._known[dimension]
        unknown = [value for value in wanted if value not in known]
        if unknown:
            found = self._of_ids(dimension, unknown) if dimension in SEARCHED else {}
            known |= {value: found.get(value, str(value)) if value else NONE_LABEL for value in unknown}
        return {value: known[value] for value in wanted}

    def _of_ids(self, dimension: Dimension, values: Sequence[Any]) -> Mapping[Any, str]:
        if dimension == "organization_id":
            return self._organizations
        whose = self._organizations if self._viewer.organization_ids is None else {}
        named: QuerySet[Project] | QuerySet[User]
        if dimension == "project_id":
            named = Project.objects.filter(pk__in=values).only("name", "organization_id").order_by()
        else:
            named = User.objects.filter(pk__in=values).only("first_name", "last_name", "handle", "organization_id")
        return {one.pk: " · ".join(filter(None, [one.display_name, whose.get(one.organization_id)])) for one in named}

    @cached_property
    def _organizations(self) -> dict[int | None, str]:
        return dict(Organization.objects.order_by().values_list("pk", "name"))


def matching(viewer: Viewer, dimension: Dimension, values: Iterable[Any], text: str) -> list[Any]:
    """The values whose names contain every word of the text, ignoring case."""
    words = text.casefold().split()[:MAX_WORDS]

    def says(name: str) -> bool:
        return all(word in name.casefold() for word in words)

    is_wanted: Callable[[Any], bool] = says
    if dimension in SEARCHED:
        is_wanted = _ids_named(viewer, dimension, text).__contains__
    return [value for value in values if (is_wanted(value) if value else says(NONE_LABEL))]


def _ids_named(viewer: Viewer, dimension: Dimension, text: str) -> set[int]:
    """The ids of the viewer's organizations, projects or users whose names match the text. Viewers of several
    organizations can also search by organization name."""
    fields = SEARCHED[dimension]
    if dimension == "organization_id":
        return set(containing(Organization.objects.order_by(), text, fields).values_list("pk", flat=True))
    rows: QuerySet[Project] | QuerySet[User] = (Project if dimension == "project_id" else User).objects.order_by()
    if viewer.organization_ids is None:
        fields = (*fields, "organization__name")
    else:
        rows = rows.filter(organization__in=viewer.organization_ids)
    return set(containing(rows, text, fields).values_list("pk", flat=True))
