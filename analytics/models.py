"""Saved views: named filters of a page. They are the only thing that the dashboard itself keeps."""

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse

from accounts.models import Organization, User
from accounts.names import MAX_NAME, KeyField, written
from accounts.viewer import Viewer

LONGEST_QUERY = 2_000
FORMATS = ("csv", "jsonl", "parquet")
"""The kinds of files of scheduled exports."""


class SavedViews(models.QuerySet["SavedView"]):
    def seen_by(self, person: User) -> Self:
        """The views in a person's menu: the own ones, and those that are shared with the person's organization."""
        own, shared = Q(owner=person), Q(organization=person.organization_id)
        return self.filter(own if person.organization_id is None else own | shared)

    def reached_by(self, person: User, viewer: Viewer) -> Self:
        """The views on the page Views. A Super Admin also finds those that any organization shares."""
        shared = self.exclude(organization=None) if viewer.administers else self.none()
        return self.seen_by(person) | shared


class SavedView(models.Model):
    """The filters of a page, under a name.

    Without an organization it is private: only its owner opens and changes it. Otherwise everybody of the organization
    opens it, and its Admins and Super Admins change it. Whoever opens a view sees their own share of the figures. The
    private views of somebody who was merged into another person stay with the former account, which nobody can use.
    """

    name = models.CharField(max_length=MAX_NAME)
    name_key = KeyField(of="name")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="saved_views")
    organization = models.ForeignKey(
        Organization, models.CASCADE, null=True, db_index=False, related_name="saved_views"
    )
    page = models.CharField(max_length=20, db_collation="C", help_text="The name of the page in the URLs.")
    query = models.CharField(max_length=LONGEST_QUERY, blank=True, help_text="The canonical query string.")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = SavedViews.as_manager()

    class Meta:
        ordering = ("name_key", "pk")
        constraints = (
            models.UniqueConstraint(
                fields=("owner", "name_key"), condition=Q(organization=None), name="private_view_name_of_owner"
            ),
            # This index serves the menus of an organization's people.
            models.UniqueConstraint(fields=("organization", "name_key"), name="shared_view_name_in_organization"),
        )

    def __str__(self) -> str:
        return self.name

    def save(self, *args: object, **kwargs: object) -> None:
        self.name = written(self.name)
        super().save(*args, **kwargs)  # type: ignore[arg-type]

    def get_absolute_url(self) -> str:
        """The address of the page with these filters."""
        return reverse(self.page) + (f"?{self.query}" if self.query else "")

    def is_seen_by(self, person: User) -> bool:
        """Whether the view is in the person's menu, as by ``SavedViews.seen_by``."""
        return self.owner_id == person.pk or self.organization_id == person.organization_id is not None

    def may_be_changed_by(self, person: User, viewer: Viewer) -> bool:
        if self.organization_id is None:
            return self.owner_id == person.pk
        return viewer.may_administer(self.organization_id)


class StartView(models.Model):
    """The view that a person begins with. It ends with the view."""

    person = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="start_view")
    view = models.ForeignKey(SavedView, models.CASCADE, related_name="starts")

    def __str__(self) -> str:
        return str(self.view)


class ScheduledExport(models.Model):
    """Files that the worker makes for an organization whenever a period of its calendar is over.

    Their content is what the author may see and export at that time. ``first_day`` is in the first period.
    """

    class Kind(models.TextChoices):
        EVENTS = "events", "Requests"
        FOCUS = "focus", "FOCUS, the costs for finance"
        TABLE = "table", "Grouped table, by day"

    class Every(models.TextChoices):
        DAY = "day", "Every day"
        WEEK = "week", "Every week, from Monday"
        MONTH = "month", "Every month"

    class Place(models.TextChoices):
        FOLDER = "folder", "Folder of the server"
        BUCKET = "bucket", "Bucket (S3)"

    organization = models.ForeignKey(Organization, models.CASCADE, db_index=False, related_name="scheduled_exports")
    kind = models.CharField("what", max_length=10, choices=Kind)
    format = models.CharField(
        "kind of file", max_length=10, choices=[(name, name) for name in ("csv", "jsonl", "parquet")]
    )
    by = models.CharField("grouped by", max_length=20, blank=True, help_text="For a grouped table.")
    every = models.CharField(max_length=10, choices=Every)
    place = models.CharField("where to", max_length=10, choices=Place)
    prefix = models.CharField("path", max_length=100, blank=True)
    first_day = models.DateField()
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, db_index=False, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("pk",)
        constraints = (
            # Two exports never write the same files. This index serves an organization's page.
            models.UniqueConstraint(
                fields=("organization", "kind", "format", "every", "place", "prefix"), name="scheduled_export_files"
            ),
        )

    def __str__(self) -> str:
        return f"{self.get_kind_display()} as {self.format}, {self.get_every_display().lower()}"

    @property
    def directory(self) -> str:
        """Where the files of all periods are. An organization's files are below its own name, whatever the path."""
        return "/".join(filter(None, [self.organization.slug, self.prefix, f"{self.kind}-{self.format}-{self.every}"]))


class ExportRun(models.Model):
    """The files of one period of a scheduled export. ``parts`` are those that are complete."""

    schedule = models.ForeignKey(ScheduledExport, models.CASCADE, db_index=False, related_name="runs")
    first_day = models.DateField()
    last_day = models.DateField()
    parts = models.JSONField(default=list)
    attempts = models.IntegerField(default=0)
    problem = models.CharField(max_length=500, blank=True)
    retry_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-first_day",)
        constraints = (
            # Each period is exported once.
            models.UniqueConstraint(fields=("schedule", "first_day"), name="export_run_period"),
        )

    def __str__(self) -> str:
        return str(self.first_day) if self.first_day == self.last_day else f"{self.first_day} to {self.last_day}"

    @property
    def directory(self) -> str:
        return f"{self.schedule.directory}/{self.first_day}_{self.last_day}"

    @property
    def size(self) -> int:
        return sum(part["bytes"] for part in self.parts)
