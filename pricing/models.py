"""Price versions. A row is never changed: an edit adds a version, and an event points at the one it was charged at."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, NoReturn, Self
from urllib.parse import urlencode

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils import timezone

from accounts.models import Organization
from accounts.viewer import Viewer
from pricing.fields import NanoDollarField

MAX_PRICE = Decimal(1_000)
"""Dollars per unit; above it a price is a slip of the finger, and the cost of a large call could leave its column. Held
by the model, and so by forms, and by the table."""
DEFAULT_PROVIDER = "groq"
EVERYBODY_FIRST = F("organization_id").asc(nulls_first=True)
OUT_OF_RANGE = "A price is at least $0 and at most $1,000."

_RATES = (
    "input_usd_per_1k_tokens",
    "output_usd_per_1k_tokens",
    "cached_input_usd_per_1k_tokens",
    "audio_usd_per_hour",
    "usd_per_1k_characters",
)


def _rate_constraints() -> Iterator[models.CheckConstraint]:
    for rate in _RATES:
        yield models.CheckConstraint(
            condition=Q(**{f"{rate}__isnull": True}) | Q(**{f"{rate}__range": (Decimal(0), MAX_PRICE)}),
            name=f"price_{rate}_range",
            violation_error_message=OUT_OF_RANGE,
        )


def validate_rate(value: Decimal) -> None:
    """Refuse what is an amount of money and yet cannot be the price of one unit."""
    if value.is_finite() and not 0 <= value <= MAX_PRICE:
        raise ValidationError(OUT_OF_RANGE)


def order(version: "Price") -> tuple[datetime, int]:
    """Of the versions of one scope that have begun, the last counts: the latest start, then the latest entry."""
    return version.effective_from, version.pk


def rank(version: "Price") -> int:
    """Of the versions that count, one for each scope, the highest is in force: an organization's own wins over
    everybody's, unless it says to follow that.
    """
    return 0 if version.follows_everybody else 1 if version.organization_id is None else 2


def pick_in_force(versions: Iterable["Price"], organization_id: int | None, at: datetime) -> "Price | None":
    """The version that a call of this organization, started ``at``, is charged at.

    A disabled version that wins is returned as well: it says that the model has no price now.
    """
    begun = [v for v in versions if v.effective_from <= at]
    for scope in (organization_id, None):
        latest = max((v for v in begun if v.organization_id == scope), key=order, default=None)
        if latest is not None and not latest.follows_everybody:
            return latest
    return None


class PriceQuerySet(models.QuerySet["Price"]):
    def in_force(
        self, provider: str, model: str, organization: Organization | None = None, at: datetime | None = None
    ) -> "Price | None":
        """The version in force for a model at a moment (now), or None if it was never priced. See pick_in_force."""
        organization_id = organization.pk if organization else None
        return pick_in_force(self.filter(provider=provider, model=model), organization_id, at or timezone.now())

    def visible_to(self, viewer: Viewer) -> Self:
        """Everybody's prices, and those of the organizations that the viewer sees; none for who sees no prices."""
        if not viewer.sees_pricing:
            return self.none()
        if viewer.organization_ids is None:
            return self
        return self.filter(Q(organization=None) | Q(organization__in=viewer.organization_ids))

    def latest_begun(self, at: datetime) -> Self:
        """One version for each model and scope: the last to have begun."""
        begun = self.filter(effective_from__lte=at)
        return begun.order_by("provider", "model", EVERYBODY_FIRST, "-effective_from", "-pk").distinct(
            "provider", "model", "organization"
        )

    def scheduled(self, after: datetime) -> Self:
        """Versions that are still to begin, the next ones first. Of several with the same start only the one that will
        count, which is the last entered.
        """
        same_start = ("effective_from", "provider", "model")
        return (
            self.filter(effective_from__gt=after)
            .order_by(*same_start, EVERYBODY_FIRST, "-pk")
            .distinct(*same_start, "organization")
        )

    def delete(self) -> NoReturn:
        raise TypeError("Prices are history and are never deleted; add a disabled version instead.")

    def update(self, **kwargs: Any) -> NoReturn:
        raise TypeError("Prices are history and are never changed; add a new version instead.")


class Price(models.Model):
    """What a model costs from a moment on. A unit without a price (None) cannot be charged: such usage is unpriced."""

    provider = models.CharField(max_length=50, default=DEFAULT_PROVIDER, db_collation="C")
    model = models.CharField(max_length=200, db_collation="C")
    organization = models.ForeignKey(
        Organization, models.PROTECT, null=True, blank=True, related_name="prices", help_text="Empty: for everybody."
    )
    input_usd_per_1k_tokens = NanoDollarField("input $ / 1k tokens", null=True, blank=True, validators=[validate_rate])
    output_usd_per_1k_tokens = NanoDollarField(
        "output $ / 1k tokens", null=True, blank=True, validators=[validate_rate]
    )
    cached_input_usd_per_1k_tokens = NanoDollarField(
        "cached input $ / 1k tokens",
        null=True,
        blank=True,
        validators=[validate_rate],
        help_text="Empty: the input price.",
    )
    audio_usd_per_hour = NanoDollarField("audio $ / hour", null=True, blank=True, validators=[validate_rate])
    audio_minimum_seconds = models.PositiveIntegerField(
        default=10, help_text="A request is billed for at least this many seconds (Groq: 10)."
    )
    usd_per_1k_characters = NanoDollarField("$ / 1k characters", null=True, blank=True, validators=[validate_rate])
    enabled = models.BooleanField(default=True, help_text="Off: new calls are recorded without a cost.")
    follows_everybody = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Ends an organization's own price: everybody's is charged again. Has none itself.",
    )
    effective_from = models.DateTimeField(default=timezone.now)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    source_note = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = PriceQuerySet.as_manager()

    RATES = _RATES
    """The fields that hold money."""

    class Meta:
        ordering = ("provider", "model", "-effective_from", "-id")
        indexes = (
            # Serves in_force() and the history of a model.
            models.Index(fields=("provider", "model", "effective_from"), name="price_in_force"),
        )
        constraints = (
            models.CheckConstraint(
                condition=Q(follows_everybody=False) | Q(organization__isnull=False, enabled=False),
                name="price_follows_everybody",
            ),
            *_rate_constraints(),
        )

    def __str__(self) -> str:
        scope = f" for {self.organization}" if self.organization_id else ""
        return f"{self.provider}/{self.model}{scope} from {self.effective_from:%Y-%m-%d %H:%M} UTC"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("Prices are history and are never changed; add a new version instead.")
        super().save(*args, **kwargs)

    def get_absolute_url(self) -> str:
        """The history that it belongs to."""
        scope = {"organization": self.organization_id} if self.organization_id else {}
        provider = {"provider": self.provider} if self.provider != DEFAULT_PROVIDER else {}
        return f"{reverse('pricing-history')}?{urlencode({'model': self.model, **scope, **provider})}"

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("Prices are history and are never deleted; add a disabled version instead.")

    def successor(self, organization: Organization | None) -> "Price":
        """A new version for the organization, or (None) for everybody, that charges the same."""
        same = ("provider", "model", "audio_minimum_seconds", "enabled", *_RATES)
        return Price(organization=organization, **{name: getattr(self, name) for name in same})

    @property
    def summary(self) -> str:
        """What it charges, in the units that Groq's price list has."""
        if self.follows_everybody:
            return "everybody's price"
        if not self.enabled:
            return "no price"
        rates = (
            (self.input_usd_per_1k_tokens, 1_000, "1M input tokens"),
            (self.cached_input_usd_per_1k_tokens, 1_000, "1M cached"),
            (self.output_usd_per_1k_tokens, 1_000, "1M output"),
            (self.audio_usd_per_hour, 1, "audio hour"),
            (self.usd_per_1k_characters, 1_000, "1M characters"),
        )
        return ", ".join(f"${(rate * n).normalize():f} / {unit}" for rate, n, unit in rates if rate is not None) or "–"
