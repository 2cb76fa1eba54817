"""The questions of the Overview, listed in advance so that one query answers all that have the same source."""

from analytics.reports.percentiles import Bucket
from analytics.reports.planner import Question
from analytics.reports.report import HEAT, LATENCY, moments_of
from analytics.reports.selection import Grain
from analytics.reports.totals import Summary, Totals

OVERVIEW_QUESTIONS: tuple[Question, ...] = (
    ((), Totals), (("day",), Totals), (("model",), Summary), (("project_id",), Summary), (("user_id",), Summary),
    (("expert_id",), Summary), (("template_id",), Summary), (("feature",), Summary), (("organization_id",), Summary),
    (("provider",), Summary), (("status",), Summary),
)  # fmt: skip
"""The questions of the page without its deferred charts."""


def deferred_questions(grain: Grain) -> tuple[Question, ...]:
    """The questions of the charts that are loaded after the page."""
    return (((), Totals), (HEAT, Summary), ((*moments_of(grain), LATENCY), Bucket))
