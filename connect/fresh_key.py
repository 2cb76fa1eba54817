"""The key that the page makes at the press of a button, for somebody's first calls."""

from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from accounts import api_keys
from accounts.models import ApiKey, KeyState, Organization, User

NAME = "Connect, "
"""The beginning of the names of these keys. A key that is given another name is no longer one of them."""
MAX_PER_PERSON = 5
"""At most this number of them, made by one person in an organization, are not revoked."""


@sensitive_variables("secret")
def fresh_key(organization: Organization, *, by: User) -> tuple[ApiKey, str]:
    """A key with its secret, which cannot be shown again. It calls and ingests, and acts for the person, if that is one
    of the organization's people.

    A key that was made so and is not used yet gets another secret, so that trying out leaves one key. ValidationError
    if the person has MAX_PER_PERSON of them, or the organization has as many keys as it may have.
    """
    with transaction.atomic():
        Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)  # One key is made at a time.
        person = by if by.organization_id == organization.pk else None
        made = organization.api_keys.filter(created_by=by, revoked_at=None, name__startswith=NAME)
        unused = made.filter(last_used_at=None, user=person, may_call=True, may_ingest=True).select_related("user")
        for key in unused:
            if key.state is KeyState.ACTIVE:
                return key, api_keys.replace_secret(key, by=by)
        if made.count() >= MAX_PER_PERSON:
            raise ValidationError(
                f"You have made {MAX_PER_PERSON} keys here. Give one that is in use a name of its own, or revoke one, "
                "on the page Keys.",
                code="enough",
            )
        key = ApiKey(organization=organization, name=_free_name(organization), user=person, may_ingest=True)
        return key, api_keys.create(key, by=by)


def _free_name(organization: Organization) -> str:
    """A name with the date, such as "Connect, 28 Nov", and with a number if there is one already."""
    today = timezone.localdate(timezone=ZoneInfo(organization.time_zone))
    name = f"{NAME}{today.day} {today:%b}"
    taken = set(organization.api_keys.filter(revoked_at=None, name__startswith=name).values_list("name", flat=True))
    numbered = (f"{name} ({number})" for number in range(2, len(taken) + 3))
    return next(free for free in (name, *numbered) if free not in taken)
