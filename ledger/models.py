"""The ledger's tables: events with one row for every call, and the rollups and sessions that the dashboard reads.

These tables can be distributed by organization (Citus), because every unique key contains the organization. Only
``ledger.recording`` adds events, and only ``analytics.reports`` aggregates them. The modules in ``ledger.upkeep`` that
change events afterwards hold the organization meanwhile (``ledger.upkeep.hold``) and let the sums follow: ``day_moves``
moves events to other days, ``price_backfill`` prices events without a price, and ``merges`` moves events from one
person or project to another.
"""

from datetime import date
from decimal import Decimal
from typing import NoReturn

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models.functions import Now

from accounts.models import Organization, Project
from ledger.wording import counted
from pricing.fields import NanoDollarField
from pricing.models import Price

CLASSES = 20
"""The number of bounds between the size classes of sessions, for each measure."""
SMALLEST = {"requests": 10, "total_tokens": 10_000, "cost_usd": 10_000_000}
"""The lowest bound of the size classes of sessions, by measure. Cost is in nano-dollars."""


def name_field(max_length: int = 200) -> "models.CharField[str, str]":
    """A text column for an identifier. It is compared byte by byte, which is faster than a language's sorting rules."""
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


class Outcome(models.TextChoices):
    """The status of sums, which tells time-outs from other errors. See ``ledger.rollups.outcome``."""

    SUCCESS = "success"
    ERROR = "error"
    TIMEOUT = "timeout"


class UsageEvent(models.Model):
    """One call to Groq: its people, model, duration, usage and cost, but never a prompt, a completion or a key.

    Times are in UTC, durations in milliseconds. ``day`` and ``hour`` are the start of the call in the organization's
    time zone. The table has no foreign key constraints, since each would cost every insert a look-up, and the rows that
    an event refers to are never deleted.
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
    response_id = name_field()

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

    tool_uses = models.JSONField(default=dict)
    """The number of uses of each of Groq's built-in tools, by its name."""
    tool_price = models.ForeignKey(
        Price, models.PROTECT, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    tool_cost_usd = NanoDollarField(default=Decimal(0))
    """The part of ``cost_usd`` that built-in tools cost."""
    without_tool_fees = models.BooleanField(default=False)
    """True if a tool had no rate, so that ``cost_usd`` is incomplete. Such an event counts as unpriced."""
    reported_cost_usd = NanoDollarField(null=True)
    """The cost that the sender of the event computed. It is shown beside ``cost_usd``, and is in no sum."""

    class Meta:
        # The database's primary key is (id, organization); see migration 0001.
        permissions = (("export_usageevent", "Can export usage events"),)
        constraints = (
            # Serves the writer, which records each call once. Request ids rise with time, so the index entries of new
            # events are side by side.
            models.UniqueConstraint(fields=("request_id", "organization"), name="usageevent_request_id"),
            # Serve the writer, which records a call once even if several programs tell of it, and the search by these
            # ids.
            models.UniqueConstraint(
                fields=("provider_request_id", "organization"),
                name="usageevent_provider_id",
                condition=~models.Q(provider_request_id=""),
            ),
            models.UniqueConstraint(
                fields=("response_id", "organization"),
                name="usageevent_response_id",
                condition=~models.Q(response_id=""),
            ),
        )
        indexes = (
            # Serves the event log, the export, and reports about dimensions that no cube has.
            models.Index(fields=("organization", "day", "timestamp"), name="usageevent_org_day"),
            # Serves the same for one person, and reports of that person's latencies from the index alone.
            models.Index(
                fields=("organization", "user", "day", "timestamp"),
                include=("hour", "provider", "model", "latency_ms", "ttft_ms"),
                name="usageevent_person_time",
            ),
            # Serves the event log of viewers who see all organizations.
            models.Index(fields=("timestamp", "id"), name="usageevent_timestamp"),
        )

    def __str__(self) -> str:
        return self.request_id

    def save(self, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError("ledger.recording.record is the only writer of events.")

    def delete(self, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError("Events are a ledger: they are not deleted one by one.")


class Tail(models.Model):
    """The recorded events that are not in sessions and rollups yet, each with what its sums are made of.

    See ``ledger.rollups.tail``. Columns of fixed width come first, because PostgreSQL finds them faster there.
    """

    pk = models.CompositePrimaryKey("organization_id", "request_id")
    organization = models.ForeignKey(
        Organization, models.PROTECT, db_constraint=False, db_index=False, related_name="+"
    )
    timestamp = models.DateTimeField()
    received_at = models.DateTimeField(db_default=Now())
    input_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    total_tokens = models.BigIntegerField()
    cached_tokens = models.BigIntegerField()
    reasoning_tokens = models.BigIntegerField()
    characters = models.BigIntegerField()
    tool_cost_usd = NanoDollarField()
    day = models.DateField()
    latency_ms = models.IntegerField()
    hour = models.SmallIntegerField()
    tokens_estimated = models.BooleanField()
    without_tool_fees = models.BooleanField()
    project_id = models.BigIntegerField(null=True)
    user_id = models.BigIntegerField(null=True)
    cost_usd = NanoDollarField(null=True)
    ttft_ms = models.IntegerField(null=True)
    request_id = name_field()
    provider = name_field(50)
    model = name_field()
    feature = name_field()
    expert_id = name_field()
    template_id = name_field()
    session_id = name_field()
    status = models.CharField(max_length=10, choices=Status, db_collation="C")
    error_code = name_field()
    audio_seconds = models.DecimalField(max_digits=12, decimal_places=3)

    def __str__(self) -> str:
        return self.request_id


class Supplement(models.Model):
    """What a second program told about a call that is recorded already, until ``ledger.upkeep.gaps`` has added what the
    event lacks."""

    pk = models.CompositePrimaryKey("organization_id", "request_id", "told_as")
    organization = models.ForeignKey(
        Organization, models.PROTECT, db_constraint=False, db_index=False, related_name="+"
    )
    request_id = name_field()
    told_as = name_field()
    """The request id under which the second program told it. ``request_id`` is that of the event."""
    told = models.JSONField()
    """The values of ``event_row.COLUMNS`` by their names, in PostgreSQL's JSON of a row."""

    def __str__(self) -> str:
        return f"{self.request_id}, told as {self.told_as}"


class Fold(models.Model):
    """The last fold, in the only row of this table."""

    finished_at = models.DateTimeField()
    events = models.IntegerField(help_text="The number of events that it moved from the tail into the sums.")
    took_ms = models.IntegerField()

    def __str__(self) -> str:
        return f"{self.finished_at:%Y-%m-%d %H:%M:%S} UTC: {counted(self.events, 'event')} in {self.took_ms:,} ms"


class Counter(models.Model):
    """All-time sums of the events that are not in the tail, for metrics. See ``ledger.rollups.counters``.

    ``model`` may be ``other``, and so may ``provider``. The table has a few hundred rows, since names are limited.
    """

    pk = models.CompositePrimaryKey("provider", "model", "operation", "status")
    provider = name_field(50)
    model = name_field()
    operation = models.CharField(max_length=20, choices=Operation, db_collation="C")
    status = models.CharField(max_length=10, choices=Outcome, db_collation="C")

    requests = models.BigIntegerField()
    unpriced = models.BigIntegerField()
    input_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    cached_tokens = models.BigIntegerField()
    reasoning_tokens = models.BigIntegerField()
    audio_seconds = models.DecimalField(max_digits=18, decimal_places=3)
    cost_usd = NanoDollarField()
    tool_cost_usd = NanoDollarField()
    latency_count = models.BigIntegerField()
    latency_ms_sum = models.BigIntegerField()
    latency_buckets = ArrayField(models.BigIntegerField())
    ttft_count = models.BigIntegerField()
    ttft_ms_sum = models.BigIntegerField()
    ttft_buckets = ArrayField(models.BigIntegerField())
    queue_count = models.BigIntegerField()
    queue_ms_sum = models.FloatField()
    queue_buckets = ArrayField(models.BigIntegerField())
    limits_at = models.DateTimeField(null=True)
    """The time of the newest call whose answer told what is left of the provider's rate limits."""
    limits = models.JSONField(null=True)
    """The limit and the remaining number of requests, and the same of tokens, as that answer told them."""

    def __str__(self) -> str:
        return f"{self.provider}, {self.model}, {self.operation}, {self.status}"


class Tally(models.Model):
    """An all-time count for metrics: calls of the playground and of experiments in an organization, and calls that were
    replayed from journals, which have the organization 0."""

    pk = models.CompositePrimaryKey("kind", "organization_id", "label")
    kind = name_field(20)
    organization_id = models.BigIntegerField()
    label = name_field(100)
    """The name of the experiment, ``unnamed`` or ``other``; empty for other kinds."""
    number = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.kind} {self.label}: {self.number}"


class RollupColumns(models.Model):
    """The columns of sums of events."""

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
    status = models.CharField(max_length=10, choices=Outcome, db_collation="C")
    """The outcome of the events. Here ``error`` does not include time-outs."""
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
    """The number of events without a cost, or with a cost that lacks tool fees."""
    without_tool_fees = models.BigIntegerField(default=0)
    """The number of events with a cost that lacks tool fees."""
    estimated = models.BigIntegerField(default=0)
    input_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    total_tokens = models.BigIntegerField(default=0)
    cached_tokens = models.BigIntegerField(default=0)
    reasoning_tokens = models.BigIntegerField(default=0)
    audio_seconds = models.DecimalField(max_digits=18, decimal_places=3, default=Decimal(0))
    characters = models.BigIntegerField(default=0)
    cost_usd = NanoDollarField(default=Decimal(0))
    tool_cost_usd = NanoDollarField(default=Decimal(0))
    latency_ms_sum = models.BigIntegerField(default=0)
    latency_ms_min = models.IntegerField()
    latency_ms_max = models.IntegerField()
    ttft_ms_sum = models.BigIntegerField(default=0)
    ttft_count = models.BigIntegerField(default=0)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"cube {self.cube}, organization {self.organization_id}, {self.day}"


class Rollup(RollupColumns):
    """Sums of the events that are not in the tail, for each cube that ``ledger.rollups.cubes`` declares. Each cube is a
    partition of the table."""

    class Meta:
        indexes = (
            # Serves viewers who see all organizations. Rows are written in the order of their days, so this small index
            # of page ranges finds the rows of a day.
            BrinIndex(fields=("day",), name="rollup_day", autosummarize=True, pages_per_range=16),
        )


class CurrentRollup(RollupColumns):
    """A view of the sums of all events: the rollups, and each row of the tail as the sums of one event.

    Rows of the tail have ``TAIL_CUBE`` as their cube. So a cube's sums are those of the rows with its number and of the
    rows with that one.
    """

    class Meta:
        managed = False
        db_table = "ledger_current_rollup"


def class_bounds(measure: str) -> list[int]:
    """The bounds between the size classes of a measure. Class 0 lies below the first bound, and each bound is twice the
    one before."""
    return [SMALLEST[measure] * 2**n for n in range(CLASSES)]


def size_class(measure: str) -> "models.GeneratedField":
    """A column with the number of the size class that the measure falls into. PostgreSQL computes its value."""
    bounds = f"{{{','.join(map(str, class_bounds(measure)))}}}"
    template = "width_bucket(%(expressions)s, '%(bounds)s'::bigint[])"
    return models.GeneratedField(
        expression=models.Func(measure, template=template, bounds=bounds),
        output_field=models.SmallIntegerField(),
        db_persist=True,
    )


class SessionColumns(models.Model):
    """A conversation of one person, with the sums of its events on all days.

    ``user_id`` is 0 if the calls name no person. Two people who use the same session id have a session each. The arrays
    hold the distinct values in the session's events, with 0 or "" for events that have no such value.
    ``first_at`` is the start of the first call, and ``last_at`` the end of the last. ``first_day`` and ``last_day`` are
    the local days on which the first and the last call started.

    ``last_utc_day`` and the size classes are rough values that seldom change, so most updates touch no index. A higher
    class always means a larger value, so a list is read by class and sorted by the value only within a class.
    """

    pk = models.CompositePrimaryKey("organization_id", "user_id", "session_id")
    organization = models.ForeignKey(
        Organization, models.PROTECT, db_constraint=False, db_index=False, related_name="+"
    )
    user_id = models.BigIntegerField(default=0)

    requests = models.BigIntegerField()
    errors = models.BigIntegerField()
    """The number of failed events, time-outs too."""
    timeouts = models.BigIntegerField()
    unpriced = models.BigIntegerField()
    without_tool_fees = models.BigIntegerField()
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

    # These columns come last because PostgreSQL finds columns of fixed width faster when no other columns precede them.
    # They hold all values that sessions are filtered by, because a search among ten million events took seconds.
    session_id = name_field()
    model_names = ArrayField(name_field())
    providers = ArrayField(name_field(50), default=list)
    project_ids = ArrayField(models.BigIntegerField(), default=list)
    expert_ids = ArrayField(name_field(), default=list)
    template_ids = ArrayField(name_field(), default=list)
    features = ArrayField(name_field(), default=list)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.session_id


class Session(SessionColumns):
    """The sums of the events of a conversation that are not in the tail."""

    class Meta:
        indexes = (
            # Serves the session list of one organization, newest first, and lists of a few days.
            models.Index(fields=("organization", "last_utc_day", "first_day"), name="session_org_day"),
            # Serves the same lists for viewers who see all organizations.
            models.Index(fields=("last_utc_day", "first_day"), name="session_day"),
            # These three serve the lists that begin with the largest sessions.
            models.Index(fields=("requests_class",), name="session_requests"),
            models.Index(fields=("tokens_class",), name="session_tokens"),
            models.Index(fields=("cost_class",), name="session_cost"),
        )


class CurrentSession(SessionColumns):
    """A view of the conversations with the sums of all their events, those in the tail too."""

    class Meta:
        managed = False
        db_table = "ledger_current_session"


class TailSession(SessionColumns):
    """A view of the conversations with events in the tail, with the sums of all their events."""

    class Meta:
        managed = False
        db_table = "ledger_tail_session"


class Reconciliation(models.Model):
    """One comparison of sums with events, and its result. ``ledger.upkeep.reconciliation`` writes these rows."""

    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(db_default=Now())
    organization = models.ForeignKey(
        Organization, models.PROTECT, null=True, db_index=False, related_name="+", help_text="Empty: all of them."
    )
    first_day = models.DateField(null=True, help_text="Empty: from the first day that is there in detail.")
    last_day = models.DateField(null=True, help_text="Empty: to the last.")
    compared = models.IntegerField(help_text="Days of organizations and of all of them together, sessions aside.")
    drifted = models.IntegerField(help_text="Those of these days on which a sum or a session was wrong.")
    repaired = models.IntegerField(help_text="Those of them that were made right.")
    drifts = models.JSONField(default=list, help_text="What was wrong, the first of it, each as a line of text.")
    left_wrong = models.JSONField(
        default=dict,
        help_text="By the number of an organization, 0 for all: the first and the last day that stayed wrong.",
    )

    class Meta:
        get_latest_by = ("finished_at", "pk")

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M} UTC: {self.drifted} of {self.compared} days drifted"

    @property
    def unrepaired(self) -> int:
        """The number of wrong days that this comparison did not repair."""
        return self.drifted - self.repaired

    @property
    def open_ranges(self) -> list[tuple[int, date, date]]:
        """The id of each organization, 0 for all together, with the first and the last day that this comparison left
        wrong."""
        return [
            (int(organization), date.fromisoformat(first), date.fromisoformat(last))
            for organization, (first, last) in self.left_wrong.items()
        ]

    def covers(self, organization_id: int, first: date, last: date) -> bool:
        """Whether this comparison checked all days from ``first`` to ``last`` of the organization."""
        return (
            self.organization_id in (None, organization_id)
            and (self.first_day is None or self.first_day <= first)
            and (self.last_day is None or self.last_day >= last)
        )
