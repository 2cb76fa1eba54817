"""The menu "Views" of a page."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.http import QueryDict

from accounts.models import User
from analytics.filters.facets import FACETS
from analytics.filters.filters import PLACES, Filters
from analytics.filters.query_string import QueryString
from analytics.filters.range_form import DEFAULT_RANGE, RANGES
from analytics.models import SavedView
from analytics.pages import Page
from analytics.pages.directory import NAMED


@dataclass(frozen=True, slots=True)
class Menu:
    """The views that a person can open, and the state of the page, which can be saved or copied."""

    private: Sequence[SavedView]
    shared: Sequence[SavedView]
    page: Page
    state: QueryString

    def is_open(self, view: SavedView) -> bool:
        """Whether the page shows this view now."""
        return (view.page, view.query) == (self.page.name, self.state.string)


def menu(person: User, page: Page, filters: Filters) -> Menu:
    views = list(SavedView.objects.seen_by(person))
    return Menu(
        [view for view in views if view.organization_id is None],
        [view for view in views if view.organization_id is not None],
        page,
        state_of(filters),
    )


def state_of(filters: Filters) -> QueryString:
    """What is saved of a page: its known parameters in their canonical form, without the place in a list."""
    return filters.query.without(*PLACES)


def described(view: SavedView) -> str:
    """The page, the range and the filters of a view, such as "Requests · Last 7 days · Model, Project"."""
    query = QueryDict(view.query)
    chosen = ", ".join(facet.label for facet in FACETS if facet.name in query)
    range_ = RANGES[query.get("range", DEFAULT_RANGE)]
    days = " to ".join(query[name] for name in ("from", "to") if name in query)
    return " · ".join(filter(None, (NAMED[view.page].title, days or range_, chosen)))
