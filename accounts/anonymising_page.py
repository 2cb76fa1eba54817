"""The page on which an Admin makes a person anonymous. It says what happens, and asks for the person's name."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.anonymising import anonymise, check_anonymise
from accounts.confirmation import is_recent, to_confirmation
from accounts.decorators import actor_of, administered
from accounts.forms import Styled
from accounts.members import check_changeable
from accounts.models import User
from accounts.names import MAX_NAME, folded, written
from accounts.viewer import Viewer


class AnonymiseForm(Styled, forms.Form):
    """Asks for the name in calls of the person, so that nobody makes the wrong one anonymous."""

    name = forms.CharField(label="Name in calls", max_length=MAX_NAME, widget=forms.TextInput({"autocomplete": "off"}))

    def __init__(self, *args: Any, person: User, by: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._person, self._by = person, by
        self.fields["name"].help_text = f"To confirm, type {person.handle}."

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if folded(written(name)) != folded(self._person.handle):
            raise ValidationError("This is not the person's name in calls.")
        return name

    def clean(self) -> None:
        with transaction.atomic():  # The check takes a lock while it makes sure that a Super Admin remains.
            check_anonymise(self._person, by=self._by)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@administered(User)
def member_anonymise(request: HttpRequest, viewer: Viewer, person: User) -> HttpResponse:
    by = actor_of(request)
    check_changeable(person, by)
    if not is_recent(request):
        return to_confirmation(request)
    form = AnonymiseForm(request.POST or None, person=person, by=by)
    if request.method == "POST" and form.is_valid():
        try:
            now = anonymise(person, by=by)
        except ValidationError as error:  # Somebody was faster.
            form.add_error(None, error)
        else:
            messages.success(request, f"This is {now.display_name} now. Texts of past requests are cleared soon.")
            return redirect("member", now.pk)
    tab = "members" if person.organization else "people"
    context = {"organization": person.organization, "tab": tab, "person": person, "form": form}
    return render(request, "accounts/anonymise.html", context)
