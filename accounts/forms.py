"""The forms of the pages about organizations."""

import zoneinfo
from typing import Any

from django import forms
from django.utils.text import slugify

from accounts.invitations import Guest, check_address, username_at
from accounts.models import Organization, Project, Role, Standing, User
from accounts.names import MAX_NAME
from accounts.roles import assignable_roles

MAX_ADDRESS = 150
"""The longest e-mail address of an invited person, because it becomes the username."""

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
    """A form whose text fields have the CSS class of app.css."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": ""} | kwargs)
        for field in self.fields.values():
            if not isinstance(field.widget, forms.CheckboxInput):
                field.widget.attrs.setdefault("class", "input")


class InvitationForm(Styled, forms.Form):
    """An invitation by ``by``, with a choice of the roles that ``by`` may give."""

    email = forms.EmailField(label="E-mail address", max_length=MAX_ADDRESS)
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
    """A choice of the roles that ``by`` may give, the weakest first."""
    roles = [(str(role), str(role)) for role in reversed(assignable_roles(by))]
    return forms.ChoiceField(choices=roles, widget=forms.Select(attrs={"class": "input"}))


class RoleForm(Styled, forms.Form):
    def __init__(self, *args: Any, by: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["role"] = role_field(by)


def name_in_calls() -> forms.CharField:
    """The field for the name in calls of an existing person or project."""
    return forms.CharField(
        label="Name in calls",
        max_length=MAX_NAME,
        required=False,
        widget=forms.TextInput(attrs={"class": "input"}),
        help_text="Calls may go on to say the former one. Whether letters are capitals makes no difference. Empty: "
        "as it is.",
    )


class PersonForm(Styled, forms.ModelForm[User]):
    """A person's name and name in calls. While the invitation is open, also the address, since it may be mistyped."""

    class Meta:
        model = User
        fields = ("first_name", "last_name", "handle", "email")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["handle"] = name_in_calls()
        person = self.instance
        if person.standing is Standing.INVITED and person.username == username_at(person.organization, person.email):
            self.fields["email"] = forms.EmailField(
                label="E-mail address",
                max_length=MAX_ADDRESS,
                widget=forms.EmailInput(attrs={"class": "input"}),
                help_text="Links sent to another address stop working.",
            )
        else:
            del self.fields["email"]

    def clean_handle(self) -> str:
        return self.cleaned_data["handle"] or self.instance.handle

    def clean_email(self) -> str:
        email: str = self.cleaned_data["email"].lower()
        check_address(email, self.instance, self.instance.organization)
        return email

    def save(self, commit: bool = True) -> User:
        """Saves only the form's fields, because the person may have been shut out since they were read."""
        person = super().save(commit=False)
        if "email" in self.fields:
            person.username = username_at(person.organization, person.email)
        person.save(update_fields=[*self.fields, "username"])
        return person


class MemberFilter(Styled, forms.Form):
    """The filter of a list of people. Without a standing, the list has all members."""

    q = forms.CharField(label="Search", max_length=MAX_NAME, required=False, widget=forms.SearchInput)
    standing = forms.ChoiceField(
        label="Show",
        required=False,
        choices=[("", "All members"), *((str(standing), str(standing)) for standing in Standing)],
    )


class SearchForm(Styled, forms.Form):
    q = forms.CharField(label="Search", max_length=MAX_NAME, required=False, widget=forms.SearchInput)


class SavesItsFields(forms.ModelForm[Any]):
    """A form that saves only its own fields of a row, because the others may have changed since it was read."""

    def save(self, commit: bool = True) -> Any:
        row = super().save(commit=False)
        row.save(update_fields=[*self.fields])
        return row


class ZonedForm(Styled, forms.ModelForm[Organization]):
    """A form whose time zone is a text field with proposals, which the page lists under ``time-zones``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["time_zone"].widget.attrs |= {"list": "time-zones", "autocomplete": "off"}

    def zones(self) -> list[str]:
        return sorted(zoneinfo.available_timezones())


class SettingsForm(SavesItsFields, ZonedForm):
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
    """A form for a new row with a slug, its name in calls. Without a given slug, it is made from the name."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["slug"] = forms.SlugField(
            label="Name in calls",
            max_length=MAX_NAME,
            required=False,
            widget=forms.TextInput(attrs={"class": "input"}),
            help_text="Letters, digits, - and _. Empty: made from the name.",
        )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if "slug" in cleaned and not cleaned["slug"]:
            cleaned["slug"] = slugify(cleaned.get("name", ""))
            if not cleaned["slug"] and "name" in cleaned:
                self.add_error("slug", "Please give a name in letters from a to z, digits, - and _.")
        return cleaned


class OrganizationForm(SluggedForm, ZonedForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["slug"].help_text += " It stays as it is once made."

    class Meta:
        model = Organization
        fields = ("name", "slug", "time_zone", "show_user_cost")


class ProjectForm(SluggedForm):
    """The form for a new project of ``instance.organization``."""

    class Meta:
        model = Project
        fields = ("name", "slug")


class RenameForm(Styled, SavesItsFields):
    class Meta:
        model = Project
        fields = ("name", "slug")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["slug"] = name_in_calls()

    def clean_slug(self) -> str:
        slug: str = self.cleaned_data["slug"] or self.instance.slug
        return slug
