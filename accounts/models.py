"""Who: organizations, their people and their projects."""

import zoneinfo
from collections.abc import Iterator
from enum import StrEnum
from typing import ClassVar, NoReturn, Self

from django.conf import settings
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.contrib.auth.models import AbstractUser, UserManager
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.functional import cached_property

from accounts.day_changes import defer_change_of_days

MAX_NAME = 200
MAX_RETENTION_DAYS = 36_500


def validate_time_zone(value: str) -> None:
    """Refuse a name that the time zone database does not know."""
    if value not in zoneinfo.available_timezones():
        raise ValidationError(
            "%(value)s is not a time zone; use a name such as Europe/Berlin.", params={"value": value}
        )


class Role(StrEnum):
    """What somebody may do. The values are the names of the Django groups that the role follows from."""

    SUPER_ADMIN = "Super Admin"
    ADMIN = "Admin"
    USER = "User"


class Standing(StrEnum):
    """How far somebody belongs. The values are the words on the page."""

    ACTIVE = "Active"
    INVITED = "Invited"
    DEACTIVATED = "Deactivated"
    SEEN_IN_CALLS = "Seen in calls"


class Organization(models.Model):
    """A company or department with its own people, projects, calendar and, if it has any, prices."""

    name = models.CharField(max_length=MAX_NAME)
    slug = models.SlugField(max_length=MAX_NAME, unique=True, db_collation="C")
    time_zone = models.CharField(
        max_length=64, default="UTC", validators=[validate_time_zone], help_text="Its days begin and end in this zone."
    )
    show_user_cost = models.BooleanField(
        "show user cost", default=False, help_text="People with the role User see what their own calls cost."
    )
    retention_days = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_RETENTION_DAYS)],
        help_text="Requests are kept in detail for so many days; sums are kept for ever. Empty: details too.",
    )
    detail_from = models.DateField(
        null=True, editable=False, help_text="Requests of earlier days are no longer there in detail."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    def save(self, *args: object, **kwargs: object) -> None:
        """Another time zone moves past days: that is done in the background."""
        with transaction.atomic():
            stored = Organization.objects.select_for_update(no_key=True).filter(pk=self.pk)
            zone = stored.values_list("time_zone", flat=True).first()
            super().save(*args, **kwargs)  # type: ignore[arg-type]
            if zone is not None and zone != self.time_zone:
                defer_change_of_days(self.pk)


WITHOUT_PASSWORD = models.Q(password__startswith=UNUSABLE_PASSWORD_PREFIX)
SEEN_IN_CALLS = models.Q(is_active=False, email="") & WITHOUT_PASSWORD
"""Those whom only calls have named so far: accounts.directory made them, and an invitation makes them members."""

OF_STANDING = {
    Standing.ACTIVE: models.Q(is_active=True) & ~WITHOUT_PASSWORD,
    Standing.INVITED: models.Q(is_active=True) & WITHOUT_PASSWORD,
    Standing.DEACTIVATED: models.Q(is_active=False) & ~SEEN_IN_CALLS,
    Standing.SEEN_IN_CALLS: SEEN_IN_CALLS,
}
"""The condition of each standing; ``User.standing`` says the same of one person."""


class User(AbstractUser):
    """A person. ``username`` signs in and is unique everywhere; ``handle`` is how calls name the person.

    A call that names an unknown user makes one who cannot sign in (no usable password, ``is_active`` false).
    """

    organization = models.ForeignKey(
        Organization, models.PROTECT, null=True, blank=True, db_index=False, related_name="users"
    )
    handle = models.CharField(
        max_length=MAX_NAME,
        blank=True,
        db_collation="C",
        help_text="The user name that calls give; as a rule the same as the username.",
    )
    shut_out_at = models.DateTimeField(
        null=True, editable=False, help_text="Sessions and links from before have ended, also where somebody is back."
    )

    objects: ClassVar[UserManager[Self]] = UserManager()

    class Meta(AbstractUser.Meta):
        constraints = (
            # Serves accounts.directory (the person that a call names) and an organization's people.
            models.UniqueConstraint(fields=("organization", "handle"), name="user_handle_in_organization"),
        )

    def clean(self) -> None:
        super().clean()
        self.handle = self.handle or self.username

    def save(self, *args: object, **kwargs: object) -> None:
        if not self.handle:
            self.handle = self.username
        if not self.is_active:
            self.shut_out_at = timezone.now()
        super().save(*args, **kwargs)  # type: ignore[arg-type]

    def get_session_auth_hash(self) -> str:
        """Sessions hold this value, and one with another value has ended. So it changes when somebody is shut out."""
        return super().get_session_auth_hash() + self._shut_out

    def get_session_auth_fallback_hash(self) -> Iterator[str]:
        return (value + self._shut_out for value in super().get_session_auth_fallback_hash())

    @property
    def _shut_out(self) -> str:
        return f" {self.shut_out_at.timestamp()}" if self.shut_out_at else ""

    @cached_property
    def role(self) -> Role | None:
        """The strongest role among the person's groups; None for a stranger."""
        if self.is_superuser:
            return Role.SUPER_ADMIN
        groups = {group.name for group in self.groups.all()}  # which a list of people has fetched already
        return next((role for role in Role if role in groups), None)

    @property
    def standing(self) -> Standing:
        if self.is_active:
            return Standing.ACTIVE if self.has_usable_password() else Standing.INVITED
        is_member = self.email or self.has_usable_password()
        return Standing.DEACTIVATED if is_member else Standing.SEEN_IN_CALLS

    @property
    def display_name(self) -> str:
        return self.get_full_name() or self.handle


class Project(models.Model):
    """What an organization books its calls on. Made on first use when a call names a new one."""

    organization = models.ForeignKey(Organization, models.PROTECT, db_index=False, related_name="projects")
    slug = models.CharField(max_length=MAX_NAME, db_collation="C")
    name = models.CharField(max_length=MAX_NAME)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)
        constraints = (
            # Serves accounts.directory (the project that a call names) and an organization's projects.
            models.UniqueConstraint(fields=("organization", "slug"), name="project_slug_in_organization"),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def display_name(self) -> str:
        return self.name


class AuditRecord(models.Model):
    """Who changed what, and when. Written by ``accounts.audit.record`` in the transaction of the change; never changed.

    ``changes`` maps a field's name to what it was and what it became, both as text or None.
    """

    at = models.DateTimeField(db_default=Now())
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        db_index=False,
        related_name="+",
        help_text="Empty: a command or the system itself.",
    )
    organization = models.ForeignKey(
        Organization, models.PROTECT, null=True, db_index=False, related_name="+", help_text="Empty: everybody's."
    )
    action = models.CharField(max_length=50, db_collation="C")
    subject = models.CharField(max_length=300)
    changes = models.JSONField(default=dict)

    class Meta:
        ordering = ("-at", "-id")
        indexes = (
            # Serves the audit trail of one organization, and of all of them.
            models.Index(fields=("organization", "-at"), name="audit_organization"),
            models.Index(fields=("-at",), name="audit_at"),
        )

    def __str__(self) -> str:
        return f"{self.action} {self.subject}"

    def save(self, *args: object, **kwargs: object) -> None:
        if not self._state.adding:
            raise TypeError("An audit record is never changed.")
        super().save(*args, **kwargs)  # type: ignore[arg-type]

    def delete(self, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError("An audit record is never deleted.")

    @property
    def title(self) -> str:
        """What was done, in words: "Invite member" for member.invite."""
        thing, _, verb = self.action.partition(".")
        return f"{verb} {thing}".replace("_", " ").strip().capitalize()

    @property
    def changed(self) -> list[tuple[str, str | None, str | None]]:
        """Each change: the field in words, what it was, what it became."""
        return [(name.replace("_", " "), before, after) for name, (before, after) in self.changes.items()]
