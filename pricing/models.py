"""Price versions. A row is never changed: an edit adds a version, and an event refers to the one it was charged at."""

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
from pricing.fields import NanoDollarField, dollars, validate_money
from pricing.tool_rates import WRONG_RATES, ToolRatesField
from pricing.units import PER_1K, PER_1M, Unit

MAX_PRICE = Decimal(1_000)
"""The largest price in dollars per unit. A larger one is a typing error, and the cost of a large call might not fit
into its column. The model, forms and constraints of the table enforce it."""
DEFAULT_PROVIDER = "groq"
EVERYBODY_FIRST = F("organization_id").asc(nulls_first=True)
OUT_OF_RANGE = "A price is at least $0 and at most $1,000."
TOO_MUCH = "At least $0 and at most $1,000 for 1k tokens, which is $1,000,000 for 1M."
TOO_FINE = "No price is that fine: at most 9 decimals for 1k tokens, 6 for 1M."

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


def _tool_rate_constraint() -> models.CheckConstraint:
    are_right = models.Func(
        "tool_rates",
        template=f"NOT jsonb_path_exists(%(expressions)s, '{WRONG_RATES}')",
        output_field=models.BooleanField(),
    )
    return models.CheckConstraint(
        condition=are_right, name="price_tool_rates_range", violation_error_message=OUT_OF_RANGE
    )


def validate_rate(value: Decimal) -> None:
    """ValidationError for an amount that is negative or larger than MAX_PRICE."""
    if value.is_finite() and not 0 <= value <= MAX_PRICE:
        raise ValidationError(OUT_OF_RANGE)


def validate_typed_rate(per_thousand: Decimal) -> None:
    """ValidationError for a rate that no price may have, with words that hold in whatever unit it was typed."""
    for validate, message in ((validate_rate, TOO_MUCH), (validate_money, TOO_FINE)):
        try:
            validate(per_thousand)
        except ValidationError:
            raise ValidationError(message) from None


def order(version: "Price") -> tuple[datetime, int]:
    """The sort key of versions of one scope (an organization, or everybody). Of those that have begun, the last one in
    this order counts: the latest start, and among equal starts the latest entry."""
    return version.effective_from, version.pk


def rank(version: "Price") -> int:
    """The sort key of the versions that count in their scopes; the highest one is in force. An organization's own
    version outranks everybody's, unless it follows everybody's.
    """
    return 0 if version.follows_everybody else 1 if version.organization_id is None else 2


def pick_in_force(versions: Iterable["Price"], organization_id: int | None, at: datetime) -> "Price | None":
    """The version that a call of this organization, started ``at``, is charged at; None if there is none.

    The version may be a disabled one, which means that the model has no price at that time.
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
        """The version in force for a model at a moment (default: now); None if it has none. See ``pick_in_force``."""
        organization_id = organization.pk if organization else None
        return pick_in_force(self.filter(provider=provider, model=model), organization_id, at or timezone.now())

    def visible_to(self, viewer: Viewer) -> Self:
        """Everybody's prices and those of the viewer's organizations. Viewers who may not see prices get none."""
        if not viewer.sees_pricing:
            return self.none()
        if viewer.organization_ids is None:
            return self
        return self.filter(Q(organization=None) | Q(organization__in=viewer.organization_ids))

    def latest_begun(self, at: datetime) -> Self:
        """For each model and scope, the version that has begun last. A scope is an organization, or everybody."""
        begun = self.filter(effective_from__lte=at)
        return begun.order_by("provider", "model", EVERYBODY_FIRST, "-effective_from", "-pk").distinct(
            "provider", "model", "organization"
        )

    def scheduled(self, after: datetime) -> Self:
        """The versions that begin after a moment, the next ones first. Of several with the same start only the last
        entered one is included, because only that one will count.
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
    """The price of a model from a moment on. A unit whose price is None cannot be charged; usage of it is unpriced."""

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
    tool_rates = ToolRatesField(
        "tools $ / 1k uses",
        default=dict,
        blank=True,
        help_text="Groq's built-in tools, such as: browser_search 5, browser_open 1.",
    )
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
    """The names of the fields with rates."""
    PER_THOUSAND = tuple(name for name in _RATES if "_1k_" in name)
    """The names of those whose rates are for a thousand tokens or characters."""

    class Meta:
        ordering = ("provider", "model", "-effective_from", "-id")
        indexes = (
            # This index serves in_force() and the history of a model.
            models.Index(fields=("provider", "model", "effective_from"), name="price_in_force"),
        )
        constraints = (
            models.CheckConstraint(
                condition=Q(follows_everybody=False) | Q(organization__isnull=False, enabled=False),
                name="price_follows_everybody",
            ),
            *_rate_constraints(),
            _tool_rate_constraint(),
        )

    def __str__(self) -> str:
        scope = f" for {self.organization}" if self.organization_id else ""
        return f"{self.provider}/{self.model}{scope} from {self.effective_from:%Y-%m-%d %H:%M} UTC"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("Prices are history and are never changed; add a new version instead.")
        super().save(*args, **kwargs)

    def get_absolute_url(self) -> str:
        """The address of the history of this price."""
        scope = {"organization": self.organization_id} if self.organization_id else {}
        provider = {"provider": self.provider} if self.provider != DEFAULT_PROVIDER else {}
        return f"{reverse('pricing-history')}?{urlencode({'model': self.model, **scope, **provider})}"

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("Prices are history and are never deleted; add a disabled version instead.")

    def successor(self, organization: Organization | None) -> "Price":
        """A new version for the organization, or (None) for everybody, that charges the same."""
        same = ("provider", "model", "audio_minimum_seconds", "enabled", "tool_rates", *_RATES)
        return Price(organization=organization, **{name: getattr(self, name) for name in same})

    @property
    def summary(self) -> str:
        """The rates as text, in the units of Groq's price list."""
        return self.summary_in(PER_1M)

    def summary_in(self, unit: Unit) -> str:
        """The rates as text."""
        if self.follows_everybody:
            return "everybody's price"
        if not self.enabled:
            return "no price"
        rates = (
            (self.input_usd_per_1k_tokens, unit, f"{unit.label} input tokens"),
            (self.cached_input_usd_per_1k_tokens, unit, f"{unit.label} cached"),
            (self.output_usd_per_1k_tokens, unit, f"{unit.label} output"),
            (self.audio_usd_per_hour, PER_1K, "audio hour"),
            (self.usd_per_1k_characters, unit, f"{unit.label} characters"),
        )
        said = [f"${per.of(rate).normalize():f} / {what}" for rate, per, what in rates if rate is not None]
        said += [f"{dollars(rate)} / 1k {tool}" for tool, rate in sorted(self.tool_rates.items())]
        return ", ".join(said) or "–"


class ModelAlias(models.Model):
    """Another name of a model. New calls that use the alias are charged, listed and summed up as the model; the name
    that they used is kept in ``UsageEvent.model_requested``. Rows are added and removed but never changed, on which
    ``pricing.book`` relies.
    """

    provider = models.CharField(max_length=50, default=DEFAULT_PROVIDER, db_collation="C", editable=False)
    alias = models.CharField(max_length=200, db_collation="C", help_text="As calls say it.")
    model = models.CharField(max_length=200, db_collation="C", help_text="As the price list says it.")
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, editable=False, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("provider", "alias")
        constraints = (
            # An alias stands for exactly one model, on which pricing.book relies.
            models.UniqueConstraint(fields=("provider", "alias"), name="model_alias"),
        )

    def __str__(self) -> str:
        return f"{self.provider}/{self.alias}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("An alias is never changed; remove it and add another one.")
        super().save(*args, **kwargs)


class FactsEdit(models.Model):
    """What a Super Admin changed in the facts of a model (``pricing.catalogue``). ``changes`` maps the names of the
    changed fields to their values; all other facts come from the checked-in file."""

    provider = models.CharField(max_length=50, default=DEFAULT_PROVIDER, db_collation="C")
    model = models.CharField(max_length=200, db_collation="C")
    changes = models.JSONField()
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("provider", "model")
        constraints = (models.UniqueConstraint(fields=("provider", "model"), name="facts_edit"),)

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"
