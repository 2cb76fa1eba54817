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
