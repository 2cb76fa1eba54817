"""The forms of the organization's pages."""

import zoneinfo
from typing import Any

from django import forms
from django.utils.text import slugify

from accounts.invitations import Guest, check_address
from accounts.models import MAX_NAME, Organization, Project, Role, Standing, User
from accounts.roles import assignable_roles

MAX_ADDRESS = 150
"""Of an invited person, whose address becomes the username."""


ZONE_CHANGE = (
    "After a change, past requests move to the days and hours of the new zone too: their figures are rebuilt in the "
    "background."
)
RETENTION = (
    "Older requests are deleted for good the next night. They can no longer be listed, looked at or exported, and "
    "filters that only requests can answer leave them out. The sums behind totals, charts and sessions stay. Empty: "
    "requests are kept for ever."
)


class Styled(forms.BaseForm):
    """Gives the fields that one types into the look of app.css."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": ""} | kwargs)
        for field in self.fields.values():
            if not isinstance(field.widget, forms.CheckboxInput):
                field.widget.attrs.setdefault("class", "input")


class InvitationForm(Styled, forms.Form):
    """``by`` is who invites; nobody can give a role that they may not give."""

    email = forms.EmailField(label="E-mail address", max_length=MAX_ADDRESS, help_text="It is also the username.")
    role = forms.ChoiceField()
    first_name = forms.CharField(max_length=150, required=False)
    last_name = forms.CharField(max_length=150, required=False)
    handle = forms.CharField(
        label="Name in calls",
        max_length=MAX_NAME,
        required=False,
        help_text="How calls name the person; what they have recorded so far becomes the person's. Empty: the address, "
        "or the part before the @ if calls use that.",
    )

    def __init__(self, *args: Any, by: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["role"] = role_field(by)
        self.order_fields(["email", "role", "first_name", "last_name", "handle"])

    def guest(self) -> Guest:
        cleaned = self.cleaned_data
        return Guest(**cleaned | {"role": Role(cleaned["role"])})


def role_field(by: User) -> forms.ChoiceField:
    """The roles that ``by`` may give, the least of them first."""
    roles = [(str(role), str(role)) for role in reversed(assignable_roles(by))]
    return forms.ChoiceField(choices=roles, widget=forms.Select(attrs={"class": "input"}))


class RoleForm(Styled, forms.Form):
    def __init__(self, *args: Any, by: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["role"] = role_field(by)


class PersonForm(Styled, forms.ModelForm[User]):
    """A person's name; the address too as long as the invitation is open, since it may have been mistyped."""

    class Meta:
        model = User
        fields = ("first_name", "last_name", "email")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.standing is Standing.INVITED and self.instance.email == self.instance.username:
            self.fields["email"] = forms.EmailField(
                label="E-mail address",
                max_length=MAX_ADDRESS,
                widget=forms.EmailInput(attrs={"class": "input"}),
                help_text="It is also the username. Links sent to another address stop working.",
            )
        else:
            del self.fields["email"]

    def clean_email(self) -> str:
        """Its person signs in with it."""
        email: str = self.cleaned_data["email"].lower()
        check_address(email, self.instance)
        return email

    def save(self, commit: bool = True) -> User:
        """Nothing else of the person, who may have been shut out since this one was read."""
        person = super().save(commit=False)
        if "email" in self.fields:
            person.username = person.email
        person.save(update_fields=[*self.fields, "username"])
        return person


class MemberFilter(Styled, forms.Form):
    """Which people a page lists. Without a standing: members, of whatever standing."""

    q = forms.CharField(label="Search", max_length=MAX_NAME, required=False, widget=forms.SearchInput)
    standing = forms.ChoiceField(
        label="Show",
        required=False,
        choices=[("", "All members"), *((str(standing), str(standing)) for standing in Standing)],
    )


class SearchForm(Styled, forms.Form):
    q = forms.CharField(label="Search", max_length=MAX_NAME, required=False, widget=forms.SearchInput)


class ZonedForm(Styled, forms.ModelForm[Organization]):
    """The time zone is typed, with proposals that the page lists under ``time-zones``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["time_zone"].widget.attrs |= {"list": "time-zones", "autocomplete": "off"}

    def zones(self) -> list[str]:
        return sorted(zoneinfo.available_timezones())


class SettingsForm(ZonedForm):
    class Meta:
        model = Organization
        fields = ("name", "time_zone", "show_user_cost", "retention_days")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        zone, kept = self.fields["time_zone"], self.fields["retention_days"]
        zone.help_text = f"{zone.help_text} {ZONE_CHANGE}"
        kept.label, kept.help_text = "Days that requests are kept in detail", RETENTION
        kept.widget.attrs["placeholder"] = "for ever"


class SluggedForm(Styled, forms.ModelForm[Any]):
    """For a new thing that calls name by its slug, which follows from the name unless it is given."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["slug"] = forms.SlugField(
            label="Name in calls",
            max_length=MAX_NAME,
            required=False,
            widget=forms.TextInput(attrs={"class": "input"}),
            help_text="Letters, digits, - and _. It stays as it is once made. Empty: made from the name.",
        )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if "slug" in cleaned and not cleaned["slug"]:
            cleaned["slug"] = slugify(cleaned.get("name", ""))
            if not cleaned["slug"] and "name" in cleaned:
                self.add_error("slug", "Please give a name in letters from a to z, digits, - and _.")
        return cleaned


class OrganizationForm(SluggedForm, ZonedForm):
    class Meta:
        model = Organization
        fields = ("name", "slug", "time_zone", "show_user_cost")


class ProjectForm(SluggedForm):
    """A new project of ``instance.organization``."""

    class Meta:
        model = Project
        fields = ("name", "slug")


class RenameForm(Styled, forms.ModelForm[Project]):
    class Meta:
        model = Project
        fields = ("name",)
