"""The form of a saved view, and saving what it says."""

from typing import Any

from django import forms
from django.db import transaction

from accounts.audit import Changes, record
from accounts.forms import Styled
from accounts.models import Organization, User
from accounts.names import folded, written
from analytics.models import SavedView, SavedViews, StartView

LONGEST_NAME = 80
MOST_PRIVATE = 50
MOST_SHARED = 100
TOO_MANY_PRIVATE = f"You have {MOST_PRIVATE} views, which is the most. Please delete one first."
TOO_MANY_SHARED = f"The organization shares {MOST_SHARED} views, which is the most. Please delete one first."
REPLACE = "Replace the view of this name"
TAKEN = "There is a view with this name already. Please choose another name{}."


class ViewForm(Styled, forms.Form):
    """The form of a view. Its owner can share it with ``organization``, if there is one."""

    name = forms.CharField(max_length=LONGEST_NAME)
    is_shared = forms.BooleanField(required=False)
    is_start = forms.BooleanField(
        label="Begin here", required=False, help_text="The page that you see first after signing in."
    )
    is_replacing = forms.BooleanField(label=REPLACE, required=False, help_text="Its old filters are forgotten.")

    def __init__(self, *args: Any, view: SavedView, person: User, organization: Organization | None, **kwargs: Any):
        initial = {
            "name": view.name,
            "is_shared": view.organization is not None,
            "is_start": view.pk is not None and StartView.objects.filter(person=person, view=view).exists(),
        }
        super().__init__(*args, initial=initial, **kwargs)
        self.view, self.person, self.organization = view, person, organization
        self.fields["name"].widget.attrs |= {"autocomplete": "off", "autofocus": True}
        if view.pk is not None:
            del self.fields["is_replacing"]
        if not view.is_seen_by(person):
            del self.fields["is_start"]
        if organization is None or view.owner_id != person.pk:
            del self.fields["is_shared"]
        else:
            self.fields["is_shared"].label = f"Share with everybody at {organization.name}"
            self.fields["is_shared"].help_text = "Each sees their own share of the figures."

    def clean_name(self) -> str:
        name = written(" ".join(self.cleaned_data["name"].split()))
        if not name:
            raise forms.ValidationError("Please write a name that can be seen.")
        return name

    def save(self) -> bool:
        """Save a valid form; ``view`` is then what was saved. False, with an error on the form, if the name is taken
        and that view is to stay, or if there are too many views."""
        view, before = self.view, (self.view.name, self.view.organization)
        view.name = self.cleaned_data["name"]
        if "is_shared" in self.fields:
            view.organization = self.organization if self.cleaned_data["is_shared"] else None
        with transaction.atomic():
            others, most, too_many = self._others()
            same = others.filter(name_key=folded(view.name)).first()
            if same and self.cleaned_data.get("is_replacing"):
                self._replace(same)
                return True
            if same or others.count() >= most:
                self.add_error("name", self._taken() if same else too_many)
                return False
            view.save()
            self._begin()
            self._record(*before)
        return True

    def _taken(self) -> str:
        return TAKEN.format(f", or tick “{REPLACE}”" if "is_replacing" in self.fields else "")

    def _replace(self, same: SavedView) -> None:
        """Give the view of this name the filters of the new one. Whoever may save a view beside it may change it."""
        new, was = self.view, (same.page, same.query)
        same.page, same.query = new.page, new.query
        same.save()
        self.view = same
        self._begin()
        if same.organization is not None:
            changes: Changes = {"page": (was[0], same.page), "filters": (was[1], same.query)}
            record_change("replace", same, self.person, changes)

    def _others(self) -> tuple[SavedViews, int, str]:
        """The views beside this one, the most that there may be, and what to say of more. Locks the person or
        organization that they are of."""
        view = self.view
        if view.organization is None:
            User.objects.select_for_update(no_key=True).get(pk=view.owner_id)
            others, most, too_many = SavedView.objects.filter(owner=view.owner), MOST_PRIVATE, TOO_MANY_PRIVATE
        else:
            Organization.objects.select_for_update(no_key=True).get(pk=view.organization.pk)
            others, most, too_many = SavedView.objects.all(), MOST_SHARED, TOO_MANY_SHARED
        return others.filter(organization=view.organization).exclude(pk=view.pk), most, too_many

    def _begin(self) -> None:
        if self.cleaned_data.get("is_start"):
            begin_with(self.person, self.view)
        elif not self.cleaned_data.get("is_replacing"):
            StartView.objects.filter(person=self.person, view=self.view).delete()

    def _record(self, name: str, organization: Organization | None) -> None:
        """What happens to shared views is in the audit trail; private ones are nobody else's business."""
        view = self.view
        if organization is None and view.organization is not None:
            record_change("share", view, self.person, {"page": (None, view.page), "filters": (None, view.query)})
        elif organization is not None and view.organization is None:
            record("view.unshare", view.name, by=self.person, organization=organization, changes={})
        elif organization is not None and name != view.name:
            record_change("rename", view, self.person, {"name": (name, view.name)})


def begin_with(person: User, view: SavedView) -> None:
    StartView.objects.update_or_create(person=person, defaults={"view": view})


def record_change(verb: str, view: SavedView, by: User, changes: Changes) -> None:
    """Write an audit record about a shared view."""
    record(f"view.{verb}", view.name, by=by, organization=view.organization, changes=changes)
