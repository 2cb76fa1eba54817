"""The pages on which an Admin merges two people or two projects: a form, a preview of the changes, and the merge."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.decorators import actor_of, administered
from accounts.forms import Styled
from accounts.members import check_changeable
from accounts.merging import check_merge, named
from accounts.models import Organization, Project, User
from accounts.names import MAX_NAME
from accounts.viewer import Viewer
from ledger.upkeep.merges import Extent, extent, merge
from pricing.fields import dollars


class MergeForm(Styled, forms.Form):
    """Asks for the person or project that ``away`` is merged into, and checks that the user ``by`` may do this."""

    into = forms.CharField(
        label="Merge into",
        max_length=MAX_NAME,
        help_text="The name that calls give to the one that stays, in any spelling.",
    )

    def __init__(self, *args: Any, away: User | Project, by: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._away, self._by = away, by

    def clean_into(self) -> User | Project:
        """The person or project that stays. ValidationError if the name is unknown, or if the merge is refused."""
        organization: Organization | None = self._away.organization
        kept = named(type(self._away), organization, self.cleaned_data["into"]) if organization else None
        if kept is None:
            raise ValidationError("Nobody and nothing is called this here.")
        with transaction.atomic():  # check_merge takes a lock while it checks that a Super Admin remains
            check_merge(self._away, kept, by=self._by)
        return kept


@dataclass(frozen=True, slots=True)
class Preview:
    """The changes that a merge will make."""

    away: User | Project
    kept: User | Project
    extent: Extent
    sees_cost: bool

    def lines(self) -> Iterator[tuple[str, str]]:
        """The lines of the preview, each as a label and a text."""
        found, kept = self.extent, self.kept.display_name
        yield "Requests", f"{found.requests:,} become those of {kept}"
        if found.first_day:
            yield "Sums", f"of {found.days:,} days, from {found.first_day} to {found.last_day}"
        yield "Sessions", _sessions(found)
        if self.sees_cost:
            unpriced = f", {found.unpriced:,} requests without a price" if found.unpriced else ""
            yield "Cost", f"{dollars(found.cost_usd)}{unpriced}"
        names = [getattr(self.away, self.away.called), *(alias.name for alias in self.away.aliases.all())]
        yield "Calls that say", f"{', '.join(names)} find {kept}"
        if isinstance(self.away, User) and isinstance(self.kept, User):
            yield "Signing in", _account(self.away)
            yield "Role", f"{kept} stays {self.kept.role or 'without a role'}"


def _sessions(found: Extent) -> str:
    shared = f", {found.shared_sessions:,} of them joined with one of the same id" if found.shared_sessions else ""
    return f"{found.sessions:,}{shared}"


def _account(away: User) -> str:
    if away.is_active:
        return f"{away.username} is signed out and cannot sign in any more"
    return f"{away.username} cannot sign in, as before"


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@administered(User)
def member_merge(request: HttpRequest, viewer: Viewer, person: User) -> HttpResponse:
    """The page that merges a person into another."""
    check_changeable(person, actor_of(request))
    return _merge(request, viewer, person, "member")


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@administered(Project)
def project_merge(request: HttpRequest, viewer: Viewer, project: Project) -> HttpResponse:
    """The page that merges a project into another."""
    return _merge(request, viewer, project, "project")


def _merge(request: HttpRequest, viewer: Viewer, away: User | Project, page: str) -> HttpResponse:
    """GET with ``?into=…`` shows a preview of the merge; POST with ``into`` does the merge."""
    by = actor_of(request)
    asked = request.POST if request.method == "POST" else request.GET if "into" in request.GET else None
    form = MergeForm(asked, away=away, by=by)
    preview = None
    if form.is_valid():
        kept = form.cleaned_data["into"]
        if request.method == "POST":
            return _merged(request, away, kept, page)
        preview = Preview(away, kept, extent(away, kept), viewer.sees_cost)
    context = {"organization": away.organization, "tab": f"{page}s", "form": form, "away": away, "preview": preview}
    return render(request, "accounts/merge.html", context)


def _merged(request: HttpRequest, away: User | Project, kept: User | Project, page: str) -> HttpResponse:
    try:
        is_done = merge(away, kept, by=actor_of(request))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        return redirect(page, away.pk)
    rest = "" if is_done else " Its requests follow in the background; until that is done, figures show both."
    messages.success(request, f"{away.display_name} is merged into {kept.display_name}.{rest}")
    return redirect(page, kept.pk)
