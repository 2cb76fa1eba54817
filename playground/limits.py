"""Limits for one person, so that nobody blocks the others or spends money without end. Budgets will replace the limit
on spending."""

from decimal import Decimal

from django.conf import settings

from accounts.models import Organization, User
from accounts.places import Places
from accounts.viewer import Viewer
from analytics import reports
from analytics.reports import Report
from analytics.reports.selection import Selection
from playground.asking import FEATURE

ASKS = Places(settings.PLAYGROUND_ASKS, settings.PLAYGROUND_ASKS_PER_PERSON)
"""The places for messages that wait for Groq's answer."""
SPENT = "You have spent what one person may spend here on a day. Try again tomorrow."


def has_spent_the_day(user: User, organization: Organization) -> bool:
    """Whether the person's messages of the organization's present day have reached the limit on cost. Messages sent at
    the same time may exceed it. Calls of a Super Admin from outside belong to nobody and have no limit."""
    if not settings.PLAYGROUND_DAILY_USD or user.organization_id != organization.pk:
        return False
    everything = Viewer(
        user.role,
        frozenset({organization.pk}),
        frozenset({user.pk}),
        sees_cost=True,
        may_export=False,
        may_edit_pricing=False,
    )
    today = reports.today(everything)
    spent = Report(everything, Selection(today, today, {"feature": (FEATURE,)})).totals().cost_usd
    return (spent or Decimal(0)) >= settings.PLAYGROUND_DAILY_USD
