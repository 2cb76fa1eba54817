"""Adding versions to the price table, by one writer at a time and with an audit record for each version."""

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts.audit import differences, record
from accounts.models import Organization, User
from pricing.fields import plain
from pricing.models import Price
from pricing.tool_rates import as_text

LOCK_SQL = "LOCK TABLE pricing_price IN SHARE ROW EXCLUSIVE MODE"
AUDITED = (*Price.RATES, "tool_rates", "audio_minimum_seconds", "enabled", "effective_from", "source_note")

AUDITED_OF_FOLLOWERS = ("follows_everybody", "effective_from", "source_note")

WITHDRAWN = "In place of a scheduled price that was taken back."


def lock_prices() -> None:
    """Keep other writers out until the transaction ends, so that ids are in the order of commits. Readers go on."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK_SQL)


def add_versions(versions: Iterable[Price], *, by: User | None) -> None:
    """Save new versions and an audit record for each, in one transaction. ``by`` is None for a command."""
    with transaction.atomic():
        lock_prices()
        for version in versions:
            start, scope = version.effective_from, version.organization
            before = Price.objects.in_force(version.provider, version.model, scope, start)
            version.author = by
            version.save()
            changes = differences(_audited(before) if before else {}, _audited(version))
            record("price.add", str(version), by=by, organization=scope, changes=changes)


def withdraw(scheduled: Price, *, by: User) -> bool:
    """Take back a version that has not begun, by adding one with the same start that replaces it. The added version
    charges the price in force just before that start, or is disabled if there is none; an organization that had no
    price of its own follows everybody's. False, and no change, if the version has begun or was replaced meanwhile.
    """
    with transaction.atomic():
        lock_prices()
        if scheduled not in Price.objects.scheduled(timezone.now()):
            return False
        scope, start = scheduled.organization, scheduled.effective_from
        until_then = start - timedelta(microseconds=1)
        before = Price.objects.in_force(scheduled.provider, scheduled.model, scope, until_then)
        if scope is not None and (before is None or before.organization_id is None):
            instead = _follower_of(scheduled)
        else:
            instead = (before or scheduled).successor(scope)
            instead.enabled = before is not None and before.enabled
        instead.effective_from, instead.source_note = start, WITHDRAWN
        add_versions([instead], by=by)
    return True


def follow_everybody(own: Price, *, by: User) -> bool:
    """End an organization's own price: from now on it is charged everybody's price. False, and no change, if ``own`` is
    no organization's price or no longer in force.
    """
    with transaction.atomic():
        lock_prices()
        now = timezone.now()
        if own.organization is None or own != Price.objects.in_force(own.provider, own.model, own.organization, now):
            return False
        follower = _follower_of(own)
        follower.effective_from = now
        add_versions([follower], by=by)
    return True


def _follower_of(version: Price) -> Price:
    """An unsaved version for the same organization and model that makes it follow everybody's price."""
    return Price(
        provider=version.provider,
        model=version.model,
        organization=version.organization,
        enabled=False,
        follows_everybody=True,
    )


def entered_after(seen: int, organization: Organization | None) -> QuerySet[Price]:
    """The versions of one scope that were entered after the one with the id ``seen``, the oldest entry first."""
    versions = Price.objects.filter(pk__gt=seen, organization=organization)
    return versions.select_related("author", "organization").order_by("pk")


def news_of(version: Price) -> str:
    """A message about this version for an editor who had not seen it."""
    author = version.author.display_name if version.author else "the price sync"
    return (
        f"Meanwhile {author} has added a version: {version.summary}, from {version.effective_from:%Y-%m-%d %H:%M} UTC."
    )


def id_of(text: str | None) -> int:
    """The id in a text; 0, which no row has, if the text is no id."""
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 19 else 0


def _audited(version: Price) -> dict[str, Any]:
    names = AUDITED_OF_FOLLOWERS if version.follows_everybody else AUDITED
    return {name: _audited_value(getattr(version, name)) for name in names}


def _audited_value(value: Any) -> Any:
    if isinstance(value, dict):
        return as_text(value)
    return plain(value) if isinstance(value, Decimal) else value
