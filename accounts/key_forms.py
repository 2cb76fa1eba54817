"""The forms of the pages about keys."""

import zoneinfo
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from accounts.forms import SavesItsFields, Styled
from accounts.merging import named
from accounts.models import ApiKey, Organization, Project, Standing, User
from accounts.names import MAX_NAME

MAX_PROPOSALS = 200
"""At most this number of names is proposed while one types. Other names can be typed too."""
PROVIDER_KEY_LENGTHS = (12, 200)


class LastDayField(forms.DateField):
    """A day of the organization, kept as the moment at which the day ends."""

    widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")

    def __init__(self, *, zone: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._zone = zoneinfo.ZoneInfo(zone)

    def to_python(self, value: Any) -> Any:
        """The end of the day in UTC; None for an empty value."""
        day = super().to_python(value)
        if day is None:
            return None
        if day.year > date.max.year - 1:
            raise ValidationError(self.error_messages["invalid"], code="invalid")
        return datetime.combine(day + timedelta(days=1), time(), self._zone).astimezone(UTC)

    def prepare_value(self, value: Any) -> Any:
        is_moment = isinstance(value, datetime)
        return (value - timedelta(microseconds=1)).astimezone(self._zone).date() if is_moment else value


class NamedField(forms.CharField):
    """A person or project of the organization, written as calls name them, in any spelling."""

    def __init__(
        self, *, model: type[User] | type[Project], organization: Organization, unknown: str, **kwargs: Any
    ) -> None:
        super().__init__(max_length=MAX_NAME, required=False, **kwargs)
        self._model, self._organization, self._unknown = model, organization, unknown

    def clean(self, value: Any) -> Any:
        """The person or project; None for an empty value. ValidationError for an unknown name."""
        name = super().clean(value)
        found = named(self._model, self._organization, name) if name else None
        if name and found is None:
            raise ValidationError(self._unknown, code="unknown")
        return found


class LimitsForm(Styled, SavesItsFields):
    """What can be changed about a key: its name, its limits and its last day."""

    class Meta:
        model = ApiKey
        fields = ("name", "requests_per_minute", "tokens_per_minute", "expires_at")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        zone = self.instance.organization.time_zone
        self.fields["expires_at"] = LastDayField(
            zone=zone,
            label="Last day",
            required=False,
            help_text=f"The key works until this day ends ({zone}). Empty: for ever.",
        )
        self.fields["expires_at"].widget.attrs["class"] = "input"
        for name in self.fields.keys() & {"requests_per_minute", "tokens_per_minute"}:
            self.fields[name].label = name.replace("_per_", " a ").capitalize()

    def clean_expires_at(self) -> datetime | None:
        ends: datetime | None = self.cleaned_data["expires_at"]
        if ends is not None and ends <= timezone.now() and "expires_at" in self.changed_data:
            raise ValidationError("This day is over. Please choose a later one.", code="over")
        return ends


class TokenForm(LimitsForm):
    """A new token of ``instance.user``, which reads what that person sees."""

    class Meta(LimitsForm.Meta):
        fields = ("name", "expires_at")  # type: ignore[assignment]  # a shorter tuple

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].help_text = "What the token is for, such as “My notebook”."

    def clean_name(self) -> str:
        """The name with the person's own in front, because names of keys may not repeat in an organization."""
        name = f"{self.instance.user.handle}: {self.cleaned_data['name']}"
        if len(name) > MAX_NAME:
            raise ValidationError("This name is too long.", code="long")
        return name

    def clean(self) -> dict[str, Any]:
        self.instance.may_call, self.instance.may_ingest, self.instance.may_read = False, False, True
        return super().clean() or self.cleaned_data


class KeyForm(LimitsForm):
    """A new key of ``instance.organization``."""

    class Meta(LimitsForm.Meta):
        fields = (  # type: ignore[assignment]  # a longer tuple
            "name", "project", "user", "may_call", "may_ingest", "may_read",
            "requests_per_minute", "tokens_per_minute", "expires_at",
        )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].help_text = "What the key is for, such as “Nightly summaries”."
        organization = self.instance.organization
        for name, model, label, whose, unknown in (
            ("project", Project, "Project", "for this project", "No project is called this in calls."),
            ("user", User, "Person", "this person's", "Nobody is called this in calls."),
        ):
            field = NamedField(model=model, organization=organization, label=label, unknown=unknown)
            field.help_text = f"All calls with this key are {whose}, whatever they say. Empty: each call says it."
            field.widget.attrs |= {"class": "input", "list": f"{name}-names", "autocomplete": "off"}
            self.fields[name] = field

    def project_names(self) -> list[str]:
        """The first projects, as calls name them."""
        projects = self.instance.organization.projects.filter(merged_into=None)
        return list(projects.order_by("slug").values_list("slug", flat=True)[:MAX_PROPOSALS])

    def user_names(self) -> list[str]:
        """The first active members, as calls name them."""
        people = self.instance.organization.users.filter(merged_into=None, is_active=True)
        return list(people.order_by("handle").values_list("handle", flat=True)[:MAX_PROPOSALS])

    def clean_user(self) -> User | None:
        person: User | None = self.cleaned_data["user"]
        if person is not None and person.standing is Standing.DEACTIVATED:
            raise ValidationError("This person is deactivated, so that the key would not work.", code="deactivated")
        return person

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if not (cleaned.get("may_call") or cleaned.get("may_ingest") or cleaned.get("may_read")):
            raise ValidationError("Please choose at least one thing that the key may do.", code="no_scope")
        return cleaned


class ProviderKeyForm(Styled, forms.Form):
    """An organization's own key for Groq. What was typed is never sent back."""

    key = forms.CharField(
        label="Key for Groq",
        min_length=PROVIDER_KEY_LENGTHS[0],
        max_length=PROVIDER_KEY_LENGTHS[1],
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        validators=[RegexValidator(r"^[!-~]+\Z", "A key has only letters, digits and signs of ASCII, without blanks.")],
    )

    @sensitive_variables("key")
    def clean_key(self) -> str:
        key: str = self.cleaned_data["key"]
        return key
