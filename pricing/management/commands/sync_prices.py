"""Adopt the publicly known prices of Groq or of another provider."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from pricing.known_prices import UnknownProviderError
from pricing.models import DEFAULT_PROVIDER
from pricing.sync import PricesChangedError, Step, apply, plan


class Command(BaseCommand):
    help = (
        "Adds versions to the price table where the known prices of Groq (genai-prices and our own list) or of another "
        "provider (genai-prices) differ from those in force for everybody. Shows them and asks first. Nothing is ever "
        "changed or deleted, and a price that a person entered stands unless --force."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--provider", default=DEFAULT_PROVIDER, help="such as openai or anthropic (default: groq)")
        parser.add_argument("--dry-run", action="store_true", help="only show what would be added")
        parser.add_argument("--yes", action="store_true", help="do not ask")
        parser.add_argument("--force", action="store_true", help="also where a person entered a price")

    def handle(self, *, provider: str, dry_run: bool, yes: bool, force: bool, **options: Any) -> None:
        now = timezone.now()
        try:
            steps = plan(now, provider=provider, force=force)
        except UnknownProviderError as error:
            raise CommandError(str(error)) from None
        self._show(steps)
        if dry_run or not any(step.additions for step in steps):
            return
        if not yes and not self._is_confirmed():
            self.stdout.write("Nothing was changed.")
            return
        try:
            count = apply(steps, now, provider=provider, force=force)
        except PricesChangedError:
            raise CommandError("Somebody changed prices in the meantime. Nothing was added; run this again.") from None
        self.stdout.write(self.style.SUCCESS(f"Added {count} price version{'' if count == 1 else 's'}."))

    def _show(self, steps: list[Step]) -> None:
        rows = [row for step in steps for row in _rows(step)]
        if not rows:
            self.stdout.write("Nothing to do: the known prices are in force.")
            return
        table = [("", "model", "from", "price", "in force now"), *rows]
        widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
        for row in table:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self.stdout.write("  ".join(cells).rstrip())

    def _is_confirmed(self) -> bool:
        try:
            return input("Add these versions? [y/N] ").strip().lower() in {"y", "yes"}
        except EOFError:
            return False


def _rows(step: Step) -> list[tuple[str, str, str, str, str]]:
    if step.kept_by:
        return [("kept", step.model, "", f"edited by {step.kept_by}", step.current)]
    now = timezone.now()
    return [
        (
            "add",
            known.model,
            f"{known.effective_from:%Y-%m-%d}" if known.effective_from else "now",
            known.as_price(now).summary,
            step.current or "–",
        )
        for known in step.additions
    ]
