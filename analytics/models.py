"""The ledger's tables: one row for every call, and the rollups that the dashboard reads.

Both can be distributed by organization (Citus): every unique key contains it. Only ``analytics.recording`` adds events,
and only ``analytics.reports`` aggregates. What else changes them holds the organization (``analytics.rebuild.holding``)
and lets the sums follow: ``time_zone`` moves events to other days, ``late_pricing`` prices what has no price.
"""

from decimal import Decimal
from typing import NoReturn

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models.functions import Now

from accounts.models import Organization, Project
from pricing.fields import NanoDollarField
from pricing.models import Price

CLASSES = 20
SMALLEST = {"requests": 10, "total_tokens": 10_000, "cost_usd": 10_000_000}
"""Where the classes of sessions by size begin; cost is in nano-dollars."""


def name_field(max_length: int = 200) -> "models.CharField[str, str]":
    """An identifier, compared byte by byte: a language's sorting rules would only cost time."""
    return models.CharField(max_length=max_length, default="", blank=True, db_collation="C")


class Operation(models.TextChoices):
    CHAT = "chat"
    TRANSCRIPTION = "transcription"
    TRANSLATION = "translation"
    SPEECH = "speech"
    EMBEDDING = "embedding"
    BATCH = "batch"


class Status(models.TextChoices):
    SUCCESS = "success"
    ERROR = "error"


class UsageEvent(models.Model):
    """One call to Groq: who, what, how long, how much. Never a prompt, a completion or a key.

    Times are UTC, durations milliseconds. ``day`` and ``hour`` are those of the organization's time zone at the start
    of the call. The rows that it points at are never deleted, so the table carries no foreign key constraints, which
    would cost every insert a look-up.
    """

    organization = models.ForeignKey(
        Organization, models.PROTECT, db_constraint=False, db_index=False, related_name="+"
    )
    request_id = name_field()
    timestamp = models.DateTimeField()
    received_at = models.DateTimeField(db_default=Now())
    day = models.DateField()
    hour = models.SmallIntegerField()

    provider = name_field(50)
    model = name_field()
    model_requested = name_field()
    operation = models.CharField(max_length=20, choices=Operation, default=Operation.CHAT, db_collation="C")
    feature = name_field()
    project = models.ForeignKey(
        Project, models.PROTECT, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    expert_id = name_field()
    template_id = name_field()
    session_id = name_field()
    provider_request_id = name_field()

    status = models.CharField(max_length=10, choices=Status, default=Status.SUCCESS, db_collation="C")
    error_code = name_field()
    error_message = models.CharField(max_length=500, default="", blank=True)
    http_status = models.SmallIntegerField(null=True)
    attempts = models.SmallIntegerField(default=1)
    stream = models.BooleanField(default=False)

    input_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    total_tokens = models.BigIntegerField(default=0)
    cached_tokens = models.BigIntegerField(default=0)
    reasoning_tokens = models.BigIntegerField(default=0)
    audio_seconds = models.DecimalField(max_digits=12, decimal_places=3, default=Decimal(0))
    characters = models.BigIntegerField(default=0)
    tokens_estimated = models.BooleanField(default=False)

    latency_ms = models.IntegerField()
    ttft_ms = models.IntegerField(null=True)
    queue_ms = models.FloatField(null=True)
    prompt_ms = models.FloatField(null=True)
    completion_ms = models.FloatField(null=True)

    cost_usd = NanoDollarField(null=True)
    price = models.ForeignKey(Price, models.PROTECT, null=True, db_constraint=False, db_index=False, related_name="+")
    usage_breakdown = models.JSONField(null=True)
    service_tier = name_field(20)
    limit_requests = models.BigIntegerField(null=True)
    remaining_requests = models.BigIntegerField(null=True)
    limit_tokens = models.BigIntegerField(null=True)
    remaining_tokens = models.BigIntegerField(null=True)
    metadata = models.JSONField(default=dict)

    class Meta:
        # The database's primary key is (id, organization); see migration 0001.
        permissions = (("export_usageevent", "Can export usage events"),)
        constraints = (
            # Serves the writer: a call is recorded once. Request ids rise with time, so that new ones lie side by side.
            models.UniqueConstraint(fields=("request_id", "organization"), name="usageevent_request_id"),
        )
        indexes = (
            # Serves the event log, the export and reports that no cube has the dimensions for.
            models.Index(fields=("organization", "day", "timestamp"), name="usageevent_org_day"),
            # Serves the same for one person, and how long that person's calls took without a look at the events.
            models.Index(
                fields=("organization", "user", "day", "timestamp"),
                include=("hour", "provider", "model", "latency_ms", "ttft_ms"),
                name="usageevent_person_time",
            ),
            # Serves the event log of those who see all organizations.
            models.Index(fields=("timestamp", "id"), name="usageevent_timestamp"),
            # Serves the search by Groq's own request id. Those rise with time, so that new ones lie side by side.
            models.Index(
                fields=("provider_request_id",),
                name="usageevent_provider_id",
                condition=~models.Q(provider_request_id=""),
            ),
        )

    def __str__(self) -> str:
        return self.request_id

    def save(self, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError("analytics.recording is the only writer of events.")

    def delete(self, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError("Events are a ledger: they are not deleted one by one.")


class Rollup(models.Model):
    """Sums of events; ``analytics.cubes`` says over what. One table, a partition for each cube."""

    pk = models.CompositePrimaryKey(
        "organization_id", "cube", "day", "provider", "status", "hour", "project_id", "user_id", "latency_bucket",
        "model", "expert_id", "template_id", "feature",
    )  # fmt: skip
    organization = models.ForeignKey(
        Organization, models.PROTECT, db_constraint=False, db_index=False, related_name="+"
    )
    cube = models.SmallIntegerField()
    day = models.DateField()
    provider = name_field(50)
    status = models.CharField(max_length=10, choices=Status, db_collation="C")
    hour = models.SmallIntegerField(default=0)
    project_id = models.BigIntegerField(default=0)
    user_id = models.BigIntegerField(default=0)
    latency_bucket = models.SmallIntegerField(default=0)
    model = name_field()
    expert_id = name_field()
    template_id = name_field()
    feature = name_field()

    requests = models.BigIntegerField(default=0)
    unpriced = models.BigIntegerField(default=0)
    estimated = models.BigIntegerField(default=0)
    input_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    total_tokens = models.BigIntegerField(default=0)
    cached_tokens = models.BigIntegerField(default=0)
    reasoning_tokens = models.BigIntegerField(default=0)
    audio_seconds = models.DecimalField(max_digits=18, decimal_places=3, default=Decimal(0))
    characters = models.BigIntegerField(default=0)
    cost_usd = NanoDollarField(default=Decimal(0))
    latency_ms_sum = models.BigIntegerField(default=0)
    latency_ms_min = models.IntegerField()
    latency_ms_max = models.IntegerField()
    ttft_ms_sum = models.BigIntegerField(default=0)
    ttft_count = models.BigIntegerField(default=0)

    class Meta:
        indexes = (
            # Serves those who see all organizations: days come in order, so a
            # few bytes for a range of pages tell them apart.
            BrinIndex(fields=("day",), name="rollup_day", autosummarize=True, pages_per_range=16),
        )

    def __str__(self) -> str:
        return f"cube {self.cube}, organization {self.organization_id}, {self.day}"


def class_bounds(measure: str) -> list[int]:
    """Class 0 is below the first bound, and each bound is twice the one before."""
    return [SMALLEST[measure] * 2**n for n in range(CLASSES)]


def size_class(measure: str) -> "models.GeneratedField":
    bounds = f"{{{','.join(map(str, class_bounds(measure)))}}}"
    template = "width_bucket(%(expressions)s, '%(bounds)s'::bigint[])"
    return models.GeneratedField(
        expression=models.Func(measure, template=template, bounds=bounds),
        output_field=models.SmallIntegerField(),
        db_persist=True,
    )


class Session(models.Model):
    """A conversation of one person, with the sums of all its events, whenever they happened. ``user_id`` is 0 where
    calls name nobody. Two people who use the same session id have a session each.

    The arrays hold what occurs in its events, 0 and "" standing for none.
    ``first_at`` is the start of the first call and ``last_at`` the end of the last; the days are the local ones of
    the first and the last start. ``last_utc_day`` and the classes say roughly how recent and how large a session is:
    they seldom change, so that they can be indexed and most updates still touch no index. What comes first by its class
    comes first by the value itself, which is all there is to sort within a class.
    """

    pk = models.CompositePrimaryKey("organization_id", "user_id", "session_id")
    organization = models.ForeignKey(
        Organization, models.PROTECT, db_constraint=False, db_index=False, related_name="+"
    )
    user_id = models.BigIntegerField(default=0)

    requests = models.BigIntegerField()
    errors = models.BigIntegerField()
    unpriced = models.BigIntegerField()
    input_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    cached_tokens = models.BigIntegerField()
    total_tokens = models.BigIntegerField()
    cost_usd = NanoDollarField()
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    first_day = models.DateField()
    last_day = models.DateField()

    last_utc_day = models.GeneratedField(
        expression=models.Func("last_at", template="(%(expressions)s AT TIME ZONE 'UTC')::date"),
        output_field=models.DateField(),
        db_persist=True,
    )
    requests_class = size_class("requests")
    tokens_class = size_class("total_tokens")
    cost_class = size_class("cost_usd")

    # Last, so that the columns of fixed width are found quickly where many rows are read. What a session is filtered by
    # is in its row: to look for it in ten million events took seconds.
    session_id = name_field()
    model_names = ArrayField(name_field())
    providers = ArrayField(name_field(50), default=list)
    project_ids = ArrayField(models.BigIntegerField(), default=list)
    expert_ids = ArrayField(name_field(), default=list)
    template_ids = ArrayField(name_field(), default=list)
    features = ArrayField(name_field(), default=list)

    class Meta:
        indexes = (
            # Serves the list of one organization, the newest first, and any list of a few days of it.
            models.Index(fields=("organization", "last_utc_day", "first_day"), name="session_org_day"),
            # Serves the same for those who see all organizations.
            models.Index(fields=("last_utc_day", "first_day"), name="session_day"),
            # Serve the lists from the largest down.
            models.Index(fields=("requests_class",), name="session_requests"),
            models.Index(fields=("tokens_class",), name="session_tokens"),
            models.Index(fields=("cost_class",), name="session_cost"),
        )

    def __str__(self) -> str:
        return self.session_id


class Reconciliation(models.Model):
    """One comparison of sums with events, and what came of it. Written by ``analytics.reconciliation``."""

    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(db_default=Now())
    organization = models.ForeignKey(
        Organization, models.PROTECT, null=True, db_index=False, related_name="+", help_text="Empty: all of them."
    )
    first_day = models.DateField(null=True, help_text="Empty: from the first day that is there in detail.")
    last_day = models.DateField(null=True, help_text="Empty: to the last.")
    compared = models.IntegerField(help_text="Days of organizations, sessions aside.")
    drifted = models.IntegerField(help_text="Days of organizations on which a sum or a session was wrong.")
    repaired = models.IntegerField(help_text="Those of them that were made right.")
    drifts = models.JSONField(default=list, help_text="What was wrong, the first of it, each as a line of text.")

    class Meta:
        get_latest_by = ("finished_at", "pk")

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M} UTC: {self.drifted} of {self.compared} days drifted"

    @property
    def unrepaired(self) -> int:
        return self.drifted - self.repaired
