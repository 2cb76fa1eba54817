"""The pages of the Analytics tab.

All pages share the frame, the filters and the live refresh in ``analytics.views``. Each page's own module makes the
content below the filters.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from analytics.filters.filters import Filters
from analytics.filters.remembered import Setting
from analytics.reports import Question, Report


@dataclass(frozen=True, slots=True)
class Page:
    """One page: the name of its URL pattern, its title, its template, and the function that makes the context."""

    name: str
    title: str
    template: str
    results: Callable[[Report, Filters], dict[str, Any]]
    settings: tuple[str, ...] = ()
    """Names in the query string that only this page understands."""
    remembered: tuple[Setting, ...] = ()
    """Those of the ``settings`` that the browser remembers."""
    styles: tuple[str, ...] = ()
    """The page's own style sheets, under ``static/``."""
    script: str = ""
    """The page's own script, under ``static/``."""
    questions: tuple[Question, ...] = ()
    """The questions that the page asks its report, so that one query can answer several."""
    compares: bool = False
    """Whether the page also shows the previous period, if there is one."""
    has_charts: bool = False
    knows_choices: bool = False
    """Whether the page's own tables load the values of the filter menus; otherwise a menu is filled when it opens."""
    leads_to_first_call: bool = False
    """Whether the steps to the first call stand in place of the page while nothing is recorded."""
    has_notice: bool = False
    """Whether the page says in a line which requests have no price. Other pages have a mark in their head."""
    is_own: bool = False
    """Whether the page shows only the reader's own rows, whatever the role."""
    ages: bool = False
    """Whether the page also shows figures of the last hour, which change without a new call."""
