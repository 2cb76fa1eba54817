"""Organizations, people, projects and groups in the Django admin, for Super Admins. Each change has an audit record."""

from typing import Any, ClassVar

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.forms import AdminPasswordChangeForm, UserChangeForm
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from accounts.audit import differences, record
from accounts.decorators import actor_of
from accounts.models import AuditRecord, Organization, Project, Role, User
from accounts.roles import check_role_change, role_of


class Recorded(admin.ModelAdmin[Any]):
    """Writes an audit record next to Django's own log entry, in the transaction of the change."""

    thing: ClassVar[str]
    """The first word of the action, as in ``accounts.audit.record``."""
    recorded: ClassVar[tuple[str, ...]]
    """The fields whose changes are recorded."""

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        stored = type(obj)._default_manager.get(pk=obj.pk) if change else None
        obj.before_change = self._particulars(stored) if stored else {}
        super().save_model(request, obj, form, change)

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        self._record("add", request, obj)
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        self._record("change", request, obj)
        return super().log_change(request, obj, message)

    def _record(self, verb: str, request: HttpRequest, obj: Any) -> None:
        changes = differences(obj.before_change, self._particulars(obj))
        if changes:
            organization = obj if isinstance(obj, Organization) else getattr(obj, "organization", None)
            record(f"{self.thing}.{verb}", str(obj), by=actor_of(request), organization=organization, changes=changes)

    def _particulars(self, obj: Any) -> dict[str, Any]:
        return {name: _readable(getattr(obj, name)) for name in self.recorded}


def _readable(value: Any) -> Any:
    return ", ".join(sorted(map(str, value.all()))) if hasattr(value, "all") else value


class Kept(Recorded):
    """An admin for rows that the ledger refers to: they can be changed but never deleted."""

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(Organization)
class OrganizationAdmin(Kept):
    thing = "organization"
    recorded = ("name", "slug", "time_zone", "show_user_cost", "retention_days")
    list_display = ("name", "slug", "time_zone", "show_user_cost")
    search_fields = ("name", "slug")
    prepopulated_fields: ClassVar = {"slug": ("name",)}

    def get_readonly_fields(self, request: HttpRequest, obj: Organization | None = None) -> tuple[str, ...]:
        """The slug of an existing organization cannot change, because calls use it."""
        return ("slug",) if obj else ()

    def get_prepopulated_fields(self, request: HttpRequest, obj: Organization | None = None) -> dict[str, Any]:
        return {} if obj else super().get_prepopulated_fields(request, obj)


@admin.register(Project)
class ProjectAdmin(Kept):
    thing = "project"
    recorded = ("name", "slug", "organization")
    list_display = ("name", "slug", "organization", "created_at")
    list_filter = ("organization",)
    list_select_related = ("organization",)
    search_fields = ("name", "slug")

    def get_readonly_fields(self, request: HttpRequest, obj: Project | None = None) -> tuple[str, ...]:
        """A project cannot move to another organization, because its events belong to the present one."""
        return ("organization",) if obj else ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Project]:
        """The projects without those that were merged into others."""
        return super().get_queryset(request).filter(merged_into=None)


class PersonForm(UserChangeForm[User]):
    """A person's form, which also checks that its ``editor`` may change the role."""

    editor: ClassVar[User | None] = None

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        groups = cleaned.get("groups")
        if groups is not None:
            role = role_of((group.name for group in groups), is_superuser=self.instance.is_superuser)
            # The form has already changed the instance; the rules need the stored person.
            before = User.objects.get(pk=self.instance.pk)
            check_role_change(before, role, is_active=cleaned.get("is_active", False), by=self.editor)
        return cleaned


class PasswordForm(AdminPasswordChangeForm):  # type: ignore[type-arg]  # no type arguments at run time
    """Django's form without the choice of having no password, which could lock out the last Super Admin."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields.pop("usable_password", None)


@admin.register(User)
class PersonAdmin(Kept, UserAdmin[User]):
    thing = "member"
    recorded = ("username", "handle", "first_name", "last_name", "email", "organization", "groups", "is_active")
    form = PersonForm
    change_password_form = PasswordForm
    list_display = ("username", "handle", "organization", "roles", "is_active")
    list_filter = ("organization", "groups", "is_active")
    list_select_related = ("organization",)
    search_fields = ("username", "handle", "handle_key", "first_name", "last_name", "email")
    fieldsets = (
        (None, {"fields": ("username", "handle", "password")}),
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        ("Access", {"fields": ("organization", "groups", "is_active")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    readonly_fields = ("last_login", "date_joined")
    add_fieldsets = (
        (None, {"classes": ("wide",), "fields": ("username", "usable_password", "password1", "password2")}),
        ("Access", {"fields": ("organization", "handle", "groups")}),
    )

    def get_form(self, request: HttpRequest, obj: User | None = None, change: bool = False, **kwargs: Any) -> Any:
        form: type[forms.ModelForm[User]] = super().get_form(request, obj, change=change, **kwargs)
        return type(form.__name__, (form,), {"editor": request.user}) if obj else form

    def get_queryset(self, request: HttpRequest) -> Any:
        """The people without those who were merged into others or made anonymous."""
        people = super().get_queryset(request).filter(merged_into=None, anonymised_at=None)
        return people.prefetch_related("groups")

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:  # noqa: A002
        """Django's view in a transaction; Django's other admin views have one already."""
        with transaction.atomic():
            return super().user_change_password(request, id, form_url)

    def _record(self, verb: str, request: HttpRequest, obj: Any) -> None:
        """A move to another organization is recorded in both audit trails, and neither names the other organization."""
        left = obj.before_change.get("organization")
        if left is not None and left != obj.organization:
            changes = {"organization": (left, None)}
            record(f"{self.thing}.leave", str(obj), by=actor_of(request), organization=left, changes=changes)
            obj.before_change["organization"] = None
        super()._record(verb, request, obj)

    def log_change(self, request: HttpRequest, obj: User, message: Any) -> Any:
        """Django also calls this after a change of only the password, which gets a record of its own."""
        if hasattr(obj, "before_change"):
            return super().log_change(request, obj, message)
        record("password.set", str(obj), by=actor_of(request), organization=obj.organization, changes={})
        return UserAdmin.log_change(self, request, obj, message)

    @admin.display(description="groups")
    def roles(self, person: User) -> str:
        names = [group.name for group in person.groups.all()]
        return ", ".join(sorted(names)) or ("Super Admin" if person.is_superuser else "–")


# Django's page for groups has one of ours instead, and those of allauth have none: applications of identity providers
# come from the settings alone, and factors and identities change by pages that record it.
for model in (Group, EmailAddress, Authenticator, SocialAccount, SocialApp, SocialToken):
    admin.site.unregister(model)


class GroupForm(forms.ModelForm[Group]):
    def clean_name(self) -> str:
        """ValidationError for renaming the group of a role, because roles are found by the names of groups."""
        name: str = self.cleaned_data["name"]
        if self.instance.pk and self.instance.name != name and self.instance.name in set(Role):
            raise ValidationError("The three roles keep their names.")
        return name


@admin.register(Group)
class RoleAdmin(Recorded, GroupAdmin):
    """The permissions of groups, for example the permission to export."""

    thing = "group"
    recorded = ("name", "permissions")
    form = GroupForm

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return obj is None or obj.name not in set(Role)

    def delete_model(self, request: HttpRequest, obj: Group) -> None:
        record(f"{self.thing}.delete", str(obj), by=actor_of(request), organization=None, changes={})
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Group]) -> None:
        with transaction.atomic():
            for group in queryset:
                self.delete_model(request, group)


@admin.register(AuditRecord)
class AuditRecordAdmin(admin.ModelAdmin[AuditRecord]):
    """The audit trail, read-only. Every user of the admin site may see it, because only Super Admins are let in."""

    list_display = ("at", "actor", "action", "subject", "organization")
    list_filter = ("organization", "action")
    list_select_related = ("actor", "organization")
    search_fields = ("action", "subject")
    show_full_result_count = False

    def has_module_permission(self, request: HttpRequest) -> bool:
        return True

    def has_view_permission(self, request: HttpRequest, obj: AuditRecord | None = None) -> bool:
        return True

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: AuditRecord | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: AuditRecord | None = None) -> bool:
        return False
