"""Removing an alias, a former name by which calls still find a person or a project."""

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from accounts.audit import record
from accounts.decorators import actor_of, administered
from accounts.members import check_changeable
from accounts.models import Project, User
from accounts.viewer import Viewer


@require_POST
@administered(User)
def member_alias_remove(request: HttpRequest, viewer: Viewer, person: User) -> HttpResponse:
    check_changeable(person, actor_of(request))
    return _remove(request, person, "member")


@require_POST
@administered(Project)
def project_alias_remove(request: HttpRequest, viewer: Viewer, project: Project) -> HttpResponse:
    return _remove(request, project, "project")


def _remove(request: HttpRequest, one: User | Project, page: str) -> HttpResponse:
    form = forms.Form(request.POST)
    form.fields["alias"] = forms.ModelChoiceField(one.aliases.all())
    if form.is_valid():
        alias = form.cleaned_data["alias"]
        with transaction.atomic():
            alias.delete()
            changes = {"also called": (alias.name, None)}
            record(f"{page}.change", str(one), by=actor_of(request), organization=one.organization, changes=changes)
        messages.success(request, f"Calls that say {alias.name} do not find {one.display_name} any more.")
    else:
        messages.error(request, "This name was taken away already.")
    return redirect(page, one.pk)
