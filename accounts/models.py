"""The models of organizations, their people and projects, and the audit trail."""

import zoneinfo
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, ClassVar, NoReturn, Self

from django.apps import apps
from django.conf import settings
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.contrib.auth.models import AbstractUser, UserManager
from django.contrib.sessions.models import Session
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.functional import cached_property

from accounts.day_changes import defer_change_of_days
from accounts.names import MAX_NAME, KeyField, folded, written

MAX_RETENTION_DAYS = 36_500


def validate_time_zone(value: str) -> None:
    """ValidationError for a name that the time zone database does not have."""
    if value not in zoneinfo.available_timezones():
        raise ValidationError(
            "%(value)s is not a time zone; use a name such as Europe/Berlin.", params={"value": value}
        )


class Role(StrEnum):
    """The role of a person. Each value is the name of the Django group whose members have the role."""

    SUPER_ADMIN = "Super Admin"
    ADMIN = "Admin"
    USER = "User"


class Standing(StrEnum):
    """The state of a person's membership. The values are shown on pages."""

    ACTIVE = "Active"
    INVITED = "Invited"
    DEACTIVATED = "Deactivated"
    SEEN_IN_CALLS = "Seen in calls"
    ANONYMOUS = "Anonymous"
    """Made anonymous by ``accounts.anonymising``, for good."""


class KeyState(StrEnum):
    """Whether a key works, and if not, why. The values are shown on pages."""

    ACTIVE = "Active"
    EXPIRED = "Expired"
    SUSPENDED = "Suspended"
    """The person it acts for is deactivated."""
    REVOKED = "Revoked"


def must_have_second_factor(role: Role | None) -> bool:
    """Whether the setting SECOND_FACTOR_FOR asks people of this role for a second factor."""
    is_admin = role in (Role.SUPER_ADMIN, Role.ADMIN)
    return is_admin if settings.SECOND_FACTOR_FOR == "admins" else bool(settings.SECOND_FACTOR_FOR == "everybody")


class Organization(models.Model):
    """A company or department with its own people, projects, calendar and possibly its own prices."""

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
        help_text="Requests are kept in detail for this many days; sums are kept for ever. Empty: details too.",
    )
    retained_from = models.DateField(
        null=True, editable=False, help_text="Requests of earlier days are no longer there in detail."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    def save(self, *args: object, **kwargs: object) -> None:
        """Saves, and defers the job that rebuilds past days if the time zone has changed."""
        with transaction.atomic():
            stored = Organization.objects.select_for_update(no_key=True).filter(pk=self.pk)
            zone = stored.values_list("time_zone", flat=True).first()
            super().save(*args, **kwargs)  # type: ignore[arg-type]
            if zone is not None and zone != self.time_zone:
                defer_change_of_days(self.pk)


WITHOUT_PASSWORD = models.Q(password__startswith=UNUSABLE_PASSWORD_PREFIX)
NEVER_IN = WITHOUT_PASSWORD & models.Q(last_login=None)
"""The condition for people who could not come in yet. Who comes in by single sign-on has no password either."""
SEEN_IN_CALLS = models.Q(is_active=False, email="") & WITHOUT_PASSWORD
"""The condition for people who are only known from calls. accounts.directory makes them; an invitation makes them
members. It is also true for people who were made anonymous: they are members no more."""

OF_STANDING = {
    Standing.ACTIVE: models.Q(is_active=True) & ~NEVER_IN,
    Standing.INVITED: models.Q(is_active=True) & NEVER_IN,
    Standing.DEACTIVATED: models.Q(is_active=False) & ~SEEN_IN_CALLS,
    Standing.SEEN_IN_CALLS: SEEN_IN_CALLS & models.Q(anonymised_at=None),
    Standing.ANONYMOUS: models.Q(anonymised_at__isnull=False),
}
"""The condition of each standing; ``User.standing`` is the same for one person."""


class Named(models.Model):
    """A person or project that calls find by a name and by aliases, which are former names. The keys of all names and
    aliases in an organization differ, which triggers (migration 0005) enforce between names and aliases."""

    called: ClassVar[str]
    """The name of the field with the name in calls; its key is in the field ``<called>_key``."""
    organization_id: Any
    aliases: Any

    merged_into = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        editable=False,
        db_index=False,
        related_name="+",
        help_text="Who has the calls now. One that was merged away only stays for what refers to it.",
    )

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Saves; after a change of the name, the former name becomes an alias."""
        fields = kwargs.get("update_fields")
        if fields is not None and self.called not in fields:
            super().save(*args, **kwargs)
            return
        if fields is not None:
            kwargs["update_fields"] = {*fields, f"{self.called}_key"}
        setattr(self, self.called, written(getattr(self, self.called)))
        with transaction.atomic(), self._keeping_former_name():
            super().save(*args, **kwargs)

    def clean(self) -> None:
        """ValidationError if calls already find another person or project by this name."""
        super().clean()
        name = written(getattr(self, self.called))
        setattr(self, self.called, name)
        taken = {"organization": self.organization_id, f"{self.called}_key": folded(name)}
        others = type(self)._default_manager.exclude(pk=self.pk)
        formerly = {f"aliases__{field}": value for field, value in taken.items()}
        if self.organization_id and (others.filter(**taken) | others.filter(**formerly)).exists():
            raise ValidationError({self.called: "This is taken already. Please choose another."}, code="taken")

    @property
    def current(self) -> Self:
        """The one who has the calls now: this one, or the one that it was merged into."""
        return self.merged_into if isinstance(self.merged_into, type(self)) else self

    @contextmanager
    def _keeping_former_name(self) -> Iterator[None]:
        """Make the former name an alias after a change of the name. A move to another organization deletes the aliases,
        because they belong to the former organization."""
        key = f"{self.called}_key"
        rows = type(self)._default_manager.select_for_update().filter(pk=self.pk)
        before = (rows.values("organization_id", self.called, key).first() if self.pk else None) or {}
        stays = before.get("organization_id") == self.organization_id is not None
        is_renamed = stays and self.merged_into is None and before[key] != folded(getattr(self, self.called))
        if before and not stays:
            self.aliases.all().delete()
        if is_renamed:
            self.aliases.filter(**{key: folded(getattr(self, self.called))}).delete()
        yield
        if is_renamed:
            self.aliases.create(organization_id=self.organization_id, name=before[self.called])


class User(Named, AbstractUser):
    """A person. ``username`` is for signing in and unique in the database; ``handle`` is the person's name in calls.

    A call that names an unknown user creates a person who cannot sign in (no usable password, ``is_active`` false).
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
    handle_key = KeyField(of="handle")
    shut_out_at = models.DateTimeField(
        null=True, editable=False, help_text="Sessions and links from before have ended, also where somebody is back."
    )
    anonymised_at = models.DateTimeField(
        null=True, editable=False, help_text="Since then nobody can tell who this was; no call and no account finds it."
    )

    objects: ClassVar[UserManager[Self]] = UserManager()
    called = "handle"

    class Meta(AbstractUser.Meta):
        constraints = (
            # This index serves accounts.directory (the person that a call names) and an organization's people.
            models.UniqueConstraint(fields=("organization", "handle_key"), name="user_handle_in_organization"),
        )

    def __str__(self) -> str:
        """The name of the account on pages and in the audit trail. The username could reveal another account with the
        same address (``accounts.invitations``).
        """
        return self.email or self.username

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.handle = written(self.handle) or self.username
        if not self.is_active:
            self.shut_out_at = timezone.now()
        super().save(*args, **kwargs)

    def clean(self) -> None:
        self.handle = written(self.handle) or self.username
        super().clean()

    def get_session_auth_hash(self) -> str:
        """A value that sessions keep; a session with another value is invalid. Shutting a person out changes it."""
        return super().get_session_auth_hash() + self._shut_out

    def get_session_auth_fallback_hash(self) -> Iterator[str]:
        return (value + self._shut_out for value in super().get_session_auth_fallback_hash())

    @property
    def _shut_out(self) -> str:
        return f" {self.shut_out_at.timestamp()}" if self.shut_out_at else ""

    @cached_property
    def role(self) -> Role | None:
        """The strongest role among the person's groups; None without one."""
        if self.is_superuser:
            return Role.SUPER_ADMIN
        groups = {group.name for group in self.groups.all()}  # A list of people prefetches the groups.
        return next((role for role in Role if role in groups), None)

    @cached_property
    def has_second_factor(self) -> bool:
        """Whether the person has an app with codes or a passkey. ``accounts.backends`` reads this with the person."""
        authenticators = apps.get_model("mfa", "Authenticator")._default_manager
        return bool(authenticators.filter(user_id=self.pk, type__in=("totp", "webauthn")).exists())

    @property
    def lacks_second_factor(self) -> bool:
        """Whether the role asks for a second factor (SECOND_FACTOR_FOR) that the person does not have yet."""
        return must_have_second_factor(self.role) and not self.has_second_factor

    @property
    def came_by_single_sign_on(self) -> bool:
        """Whether the person has been here and has no password, so that the identity provider vouches for them."""
        return not self.has_usable_password() and self.last_login is not None

    @property
    def standing(self) -> Standing:
        if self.anonymised_at is not None:
            return Standing.ANONYMOUS
        if self.is_active:
            return Standing.ACTIVE if self.has_usable_password() or self.last_login else Standing.INVITED
        is_member = self.email or self.has_usable_password()
        return Standing.DEACTIVATED if is_member else Standing.SEEN_IN_CALLS

    @property
    def display_name(self) -> str:
        return self.get_full_name() or self.handle


class Project(Named):
    """A project that an organization's calls belong to. A call that names an unknown project creates it."""

    organization = models.ForeignKey(Organization, models.PROTECT, db_index=False, related_name="projects")
    slug = models.CharField(max_length=MAX_NAME, db_collation="C", help_text="The name that calls give.")
    slug_key = KeyField(of="slug")
    name = models.CharField(max_length=MAX_NAME)
    created_at = models.DateTimeField(auto_now_add=True)

    called = "slug"

    class Meta:
        ordering = ("name",)
        constraints = (
            # This index serves accounts.directory (the project that a call names) and an organization's projects.
            models.UniqueConstraint(fields=("organization", "slug_key"), name="project_slug_in_organization"),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def display_name(self) -> str:
        return self.name


class Alias(models.Model):
    """A former name, by which calls still find a person or a project."""

    organization = models.ForeignKey(Organization, models.PROTECT, db_index=False, related_name="+")
    name = models.CharField(max_length=MAX_NAME, db_collation="C")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class PersonAlias(Alias):
    """A former handle of a person, or a handle of somebody who was merged into the person."""

    handle_key = KeyField(of="name")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="aliases")

    class Meta(Alias.Meta):
        constraints = (
            # This index serves accounts.directory.
            models.UniqueConstraint(fields=("organization", "handle_key"), name="person_alias_in_organization"),
        )


class ProjectAlias(Alias):
    """A former slug of a project, or a slug of a project that was merged into it."""

    slug_key = KeyField(of="name")
    project = models.ForeignKey(Project, models.PROTECT, related_name="aliases")

    class Meta(Alias.Meta):
        constraints = (
            # This index serves accounts.directory.
            models.UniqueConstraint(fields=("organization", "slug_key"), name="project_alias_in_organization"),
        )


class ApiKey(models.Model):
    """A key with which a program calls the gateway, sends events, or reads figures, for one organization.

    Of a secret only the SHA-256 is kept. While a key is rotated it has two secrets: both work until the first one is
    dropped.
    """

    organization = models.ForeignKey(Organization, models.PROTECT, related_name="api_keys")
    name = models.CharField(max_length=MAX_NAME)
    digest = models.BinaryField(max_length=32, editable=False)
    ending = models.CharField(max_length=4, editable=False, help_text="The last characters of the secret.")
    next_digest = models.BinaryField(max_length=32, null=True, editable=False)
    next_ending = models.CharField(max_length=4, default="", editable=False)
    project = models.ForeignKey(
        Project,
        models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        related_name="+",
        help_text="All calls with this key are for this project. Empty: each call says it.",
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        related_name="+",
        help_text="All calls with this key are this person's. Empty: each call says it.",
    )
    may_call = models.BooleanField("call", default=True, help_text="Calls Groq through the gateway.")
    may_ingest = models.BooleanField("ingest", default=False, help_text="Sends events of calls made elsewhere.")
    may_read = models.BooleanField("read", default=False, help_text="Reads figures through the API.")
    requests_per_minute = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)], help_text="Empty: no limit."
    )
    tokens_per_minute = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)], help_text="Empty: no limit."
    )
    expires_at = models.DateTimeField(null=True, blank=True, help_text="In UTC. Empty: never.")
    revoked_at = models.DateTimeField(null=True, editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False, help_text="To the minute.")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, db_index=False, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name", "pk")
        constraints = (
            # A form that is sent twice makes one key. The name of a revoked key is free again.
            models.UniqueConstraint(
                fields=("organization", "name"), condition=models.Q(revoked_at=None), name="key_name_in_organization"
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def state(self) -> KeyState:
        """Whether the key works. ``accounts.keyring`` decides the same."""
        if self.revoked_at is not None:
            return KeyState.REVOKED
        if self.expires_at is not None and self.expires_at <= timezone.now():
            return KeyState.EXPIRED
        is_suspended = self.user is not None and self.user.current.standing is Standing.DEACTIVATED
        return KeyState.SUSPENDED if is_suspended else KeyState.ACTIVE

    @property
    def scopes(self) -> frozenset[str]:
        """What the key may do: any of "call", "ingest" and "read"."""
        granted = {"call": self.may_call, "ingest": self.may_ingest, "read": self.may_read}
        return frozenset(scope for scope, is_granted in granted.items() if is_granted)

    @property
    def is_token(self) -> bool:
        """Whether a person made this key for the own reading. ``accounts.api_keys.TOKENS`` says the same."""
        return self.user_id is not None and self.user_id == self.created_by_id and self.scopes == {"read"}


class ProviderKey(models.Model):
    """An organization's own key for Groq, with which its calls leave the gateway. ``accounts.provider_keys`` encrypts
    and decrypts it."""

    organization = models.OneToOneField(Organization, models.PROTECT, primary_key=True, related_name="provider_key")
    encrypted = models.TextField(editable=False)
    ending = models.CharField(max_length=4, editable=False, help_text="The last characters of the key.")
    set_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, db_index=False, related_name="+"
    )
    set_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"…{self.ending}"


class AuditRecord(models.Model):
    """A record of who changed what, and when. ``accounts.audit.record`` writes it; it is never changed or deleted.

    ``changes`` maps the name of a field to its values before and after the change, both as text or None.
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
            # These indexes serve the audit trail of one organization, and of all of them.
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
        """The action in words, such as "Invite member" for member.invite."""
        thing, _, verb = self.action.partition(".")
        return f"{verb} {thing}".replace("_", " ").strip().capitalize()

    @property
    def changed(self) -> list[tuple[str, str | None, str | None]]:
        """The changes: the field in words, its value before, and its value after."""
        return [(name.replace("_", " "), before, after) for name, (before, after) in self.changes.items()]


class SignInAttempts(models.Model):
    """The recent attempts to sign in with one name from one address, counted by ``accounts.attempts``.

    Name and address are keyed hashes, so that nobody can read here what people have typed.
    """

    name = models.CharField(max_length=64, db_collation="C")
    address = models.CharField(max_length=64, db_collation="C")
    count = models.PositiveIntegerField()
    last_at = models.DateTimeField(help_text="Of the last attempt that was let through.")

    class Meta:
        constraints = (
            # This index serves the count, and the search for all addresses of a name.
            models.UniqueConstraint(fields=("name", "address"), name="attempts_of_name_from_address"),
        )

    def __str__(self) -> str:
        return f"{self.count} attempts until {self.last_at}"


class SignIn(models.Model):
    """A session of a person, as its owner sees it in the list of devices. ``accounts.sign_ins`` writes it; it goes
    with the session itself."""

    # The index of ``session`` serves the note that it is in use, that of ``user`` the list of a person's sessions.
    session = models.OneToOneField(Session, models.CASCADE)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="sign_ins")
    address = models.CharField(max_length=64, help_text="Of the client, as far as it is known.")
    device = models.CharField(max_length=60)
    started_at = models.DateTimeField(db_default=Now())
    last_seen_at = models.DateTimeField(db_default=Now(), help_text="To the minute.")

    class Meta:
        ordering = ("-last_seen_at", "pk")

    def __str__(self) -> str:
        return self.device
