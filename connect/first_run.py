"""The way to the first call, which stands in place of figures while there are none."""

from dataclasses import dataclass
from typing import Self

from django.db.models import F, Q

from accounts.models import ApiKey, KeyState, Organization
from accounts.viewer import Viewer

LOOKED_AT = 20
"""At most this number of keys are looked at for one that works."""


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps that are done. Without a first call the third one never is."""

    key: ApiKey | None
    """A key that works, with which the viewer's first call can be made."""

    @property
    def has_run(self) -> bool:
        """Whether a program has reached the ledger with the key, even if no call came of it."""
        return self.key is not None and self.key.last_used_at is not None

    @classmethod
    def of(cls, viewer: Viewer, organization: Organization) -> Self:
        """Those who see others' calls may use every key of the organization, others the keys that act for them."""
        keys = organization.api_keys.filter(Q(may_call=True) | Q(may_ingest=True), revoked_at=None)
        if viewer.user_ids is not None:
            keys = keys.filter(user__in=viewer.user_ids)
        latest = keys.select_related("user").order_by(F("last_used_at").desc(nulls_last=True), "-created_at")
        return cls(next((key for key in latest[:LOOKED_AT] if key.state is KeyState.ACTIVE), None))
