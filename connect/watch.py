"""What the page waits for: a call of an organization since the page was opened."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Self

from django.http import QueryDict
from django.utils import timezone

from accounts.models import Organization, User
from accounts.viewer import Viewer
from analytics import reports
from ledger.models import UsageEvent

LONGEST = timedelta(days=1)
"""A page that has been open for longer finds the calls of this time alone."""
EVERYBODY = "all"


@dataclass(frozen=True, slots=True)
class Watch:
    """``viewer`` sees no more than what is waited for. ``is_own``: the person's own calls, and nobody else's."""

    LOOKS: ClassVar[int] = 300
    """After this number of looks in vain, ten minutes, an open page rests until somebody lets it go on."""

    viewer: Viewer
    organization: Organization
    since: datetime
    is_own: bool
    may_widen: bool
    """Whether the person may choose between the own calls and all of the organization."""

    @classmethod
    def read(cls, query: QueryDict, viewer: Viewer, person: User, organization: Organization) -> Self:
        """The watch of a query string: ``since`` in milliseconds since 1970, and ``whose=all`` for everybody's calls.

        Somebody from outside the organization has no calls of their own there, and waits for everybody's.
        """
        is_member, sees_others = person.organization_id == organization.pk, viewer.user_ids is None
        is_own = is_member and not (sees_others and query.get("whose") == EVERYBODY)
        watched = viewer.narrowed_to(person) if is_own else viewer
        return cls(watched, organization, _moment(query.get("since", "")), is_own, is_member and sees_others)

    @property
    def since_text(self) -> str:
        return str(round(self.since.timestamp() * 1_000))

    @property
    def whose(self) -> str | None:
        """The value of ``whose`` in a query string that means this watch; None if it needs none."""
        return EVERYBODY if self.may_widen and not self.is_own else None

    def newest(self) -> UsageEvent | None:
        return reports.newest_since(self.viewer, self.organization, self.since)


def _moment(text: str) -> datetime:
    """The moment in a query string: now without a valid one, and not longer ago than LONGEST."""
    now = timezone.now()
    if not (text.isdecimal() and len(text) <= 13):
        return now
    return min(max(datetime.fromtimestamp(int(text) / 1_000, UTC), now - LONGEST), now)
