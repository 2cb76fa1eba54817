"""The pages of the Analytics tab.

All have the same frame, filters and live refresh (``analytics.views``); a module each says what is below the filters.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from analytics.filters import Filters
from analytics.reports import Question, Report


@dataclass(frozen=True, slots=True)
class Page:
    """One page: the name of its address, what people call it, and what fills its template."""

    name: str
    title: str
    template: str
    results: Callable[[Report, Filters], dict[str, Any]]
    settings: tuple[str, ...] = ()
    """Names in the query string that it alone understands."""
    style: str = ""
    """A style sheet of its own, under ``static/``."""
    script: str = ""
    """A script of its own, likewise."""
    questions: tuple[Question, ...] = ()
    """What it asks of its report, so that one pass over the same rows can answer several."""
    compares: bool = False
    """Whether it shows the period before as well, where there is one."""
    has_charts: bool = False
    knows_choices: bool = False
    """Whether its own tables answer what the filter menus offer; elsewhere a menu is filled when it is opened."""
