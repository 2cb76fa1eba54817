"""``manage.py price_unpriced``: price events that were recorded without a price."""

from argparse import ArgumentParser
from collections.abc import Callable, Iterable
from datetime import date, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts.models import Organization, User
from ledger.management.options import can_be_run_again, day, moment, organizations_named
from ledger.upkeep.price_backfill import BackfillRequest, BackfillResult, UnusablePriceError, preview, price_events
from pricing.fields import dollars
from pricing.models import DEFAULT_PROVIDER, Price


class Command(BaseCommand):
    help = (
        "Prices requests that were recorded without a price, or without the fees of built-in tools, at a version of "
        "the price table that you choose. Shows first how many and how much, and asks. Sums follow; each "
        "organization's audit trail has a record. What has a price keeps it; audio of unknown length stays unpriced."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--price", type=int, metavar="ID", help="the version to charge")
        which.add_argument("--model", help="charge this model's version in force, each organization's own first")
        parser.add_argument("--provider", default=DEFAULT_PROVIDER, help="of --model")
        parser.add_argument(
            "--at-version",
            dest="at",
            type=moment,
            metavar="MOMENT",
            help="with --model: the version in force at this moment, UTC unless it says otherwise; default now",
        )
        parser.add_argument("--organization", metavar="SLUG", help="only this one")
        parser.add_argument("--from", dest="first", type=day, metavar="DATE", default=date.min)
        parser.add_argument("--to", dest="last", type=day, metavar="DATE", default=date.max)
        parser.add_argument("--by", metavar="USERNAME", help="who does this, for the audit trail")
        parser.add_argument("--dry-run", action="store_true", help="only show what would change")
        parser.add_argument("--yes", action="store_true", help="do not ask")

    @can_be_run_again()
    def handle(self, *, organization: str | None, by: str | None, dry_run: bool, yes: bool, **options: Any) -> None:
        author = _person(by)
        organizations = organizations_named(organization) or list(Organization.objects.order_by("pk"))
        requests = list(_offers(organizations, **options))
        found = self._told(requests, preview, "would be priced")
        if dry_run or not any(one.changed for one in found):
            return
        if not yes and not self._is_confirmed():
            self.stdout.write("Nothing was changed.")
            return
        self._told(requests, lambda request, one: price_events(request, one, by=author), "priced")

    def _told(
        self,
        requests: list[tuple[BackfillRequest, Organization]],
        work: Callable[[BackfillRequest, Organization], BackfillResult],
        verb: str,
    ) -> list[BackfillResult]:
        results = []
        for request, organization in requests:
            try:
                result = work(request, organization)
            except UnusablePriceError as error:
                raise CommandError(str(error)) from None
            if result.changed or result.left:
                self.stdout.write(_line(request.price, result, verb))
            results.append(result)
        if not any(result.changed for result in results):
            self.stdout.write("Nothing to price.")
        return results

    def _is_confirmed(self) -> bool:
        try:
            return input("Price these requests? [y/N] ").strip().lower() in {"y", "yes"}
        except EOFError:
            return False


def _offers(
    organizations: Iterable[Organization],
    *,
    price: int | None,
    model: str | None,
    provider: str,
    at: datetime | None,
    first: date,
    last: date,
    **_: Any,
) -> Iterable[tuple[BackfillRequest, Organization]]:
    """A request for each organization that has a usable price version. CommandError if no organization has one."""
    if at is not None and model is None:
        raise CommandError("--at-version goes with --model.")
    chosen = Price.objects.select_related("organization").filter(pk=price).first() if price is not None else None
    found = False
    for organization in organizations:
        version = chosen
        if model is not None:
            version = Price.objects.in_force(provider, model, organization, at or timezone.now())
        if version is not None and (model is None or version.enabled):
            found = True
            yield BackfillRequest(version, first, last), organization
    if not found:
        raise CommandError(f"There is no price version {price}." if price is not None else f"{model} has no price.")


def _line(price: Price, result: BackfillResult, verb: str) -> str:
    line = f"{result.organization.slug}: {result.events:,} requests {verb} at version {price.pk} ({price.summary})"
    line += f", {dollars(result.cost_usd)}"
    if result.in_part:
        line += f"; {result.in_part:,} in part"
    return f"{line}; {result.left:,} stay unpriced" if result.left else line


def _person(username: str | None) -> User | None:
    if username is None:
        return None
    user = User.objects.filter(username=username).first()
    if user is None:
        raise CommandError(f"There is nobody with the username {username!r}.")
    return user
