"""The people of an organization: who they are, what they may do; inviting them, shutting them out."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.audit import record
from accounts.changes import save_recorded
from accounts.decorators import actor_of, administered, for_super_admins
from accounts.forms import InvitationForm, MemberFilter, PersonForm, RoleForm
from accounts.invitations import days_of_a_link, invite, mail_link, password_link, sends_mail
from accounts.models import OF_STANDING, SEEN_IN_CALLS, Organization, Role, Standing, User
from accounts.paging import page_of
from accounts.roles import may_change, set_active, set_role
from accounts.search import containing
from accounts.viewer import Viewer

WORDS = ("handle", "username", "email", "first_name", "last_name")
"""The fields in which a search looks."""


@require_safe
@never_cache
@administered(Organization)
def members(request: HttpRequest, viewer: Viewer, organization: Organization) -> HttpResponse:
    return _list(request, User.objects.filter(organization=organization), organization)


@require_safe
@never_cache
@for_super_admins
def people_without_organization(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Super Admins need none; anybody else of these sees nothing yet."""
    return _list(request, User.objects.filter(organization=None), None)


def _list(request: HttpRequest, people: QuerySet[User], organization: Organization | None) -> HttpResponse:
    form = MemberFilter(request.GET)
    chosen = _matching(people, **form.cleaned_data) if form.is_valid() else people.none()
    page = page_of(request, chosen.order_by("handle", "pk").prefetch_related("groups"))
    context = {"organization": organization, "tab": "members" if organization else "people", "form": form, "page": page}
    return render(request, "accounts/members.html", context)


def _matching(people: QuerySet[User], q: str, standing: str) -> QuerySet[User]:
    people = people.filter(OF_STANDING[Standing(standing)]) if standing else people.exclude(SEEN_IN_CALLS)
    return containing(people, q, WORDS)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@administered(Organization)
def member_invite(request: HttpRequest, viewer: Viewer, organization: Organization) -> HttpResponse:
    """``?handle=…`` proposes somebody whom calls have named."""
    by = actor_of(request)
    form = InvitationForm(request.POST or None, initial={"handle": request.GET.get("handle", "")}, by=by)
    if request.method == "POST" and form.is_valid():
        try:
            person = invite(form.guest(), organization, by=by)
        except ValidationError as error:
            form.add_error(None, error)
        else:
            return _hand_over(request, person, by)
    context = {"organization": organization, "tab": "members", "form": form, "sends_mail": sends_mail()}
    return render(request, "accounts/invite.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@administered(User)
def member(request: HttpRequest, viewer: Viewer, person: User) -> HttpResponse:
    """One person. Posting changes the name."""
    by = actor_of(request)
    if request.method == "POST":
        _check_changeable(person, by)
    form = PersonForm(request.POST or None, instance=person)
    if request.method == "POST" and form.is_valid() and save_recorded(form, "member.change", by=by):
        messages.success(request, f"{person.display_name} is saved.")
        return redirect("member", person.pk)
    context = {
        "organization": person.organization,
        "tab": "members" if person.organization else "people",
        "person": person,
        "form": form,
        "role_form": RoleForm(initial={"role": person.role}, by=by),
        "is_self": person.pk == by.pk,
        "may_change": may_change(person, by) and person.standing is not Standing.SEEN_IN_CALLS,
    }
    return render(request, "accounts/member.html", context)


@require_POST
@administered(User)
def member_role(request: HttpRequest, viewer: Viewer, person: User) -> HttpResponse:
    by = actor_of(request)
    form = RoleForm(request.POST, by=by)
    if not form.is_valid():
        _check_changeable(person, by)
        messages.error(request, "Please choose one of the roles.")
        return redirect("member", person.pk)
    role = Role(form.cleaned_data["role"])
    return _attempt(request, person, f"is {role} now", lambda: set_role(person, role, by=by))


@require_POST
@administered(User)
def member_deactivate(request: HttpRequest, viewer: Viewer, person: User) -> HttpResponse:
    by = actor_of(request)
    return _attempt(request, person, "is deactivated and signed out", lambda: set_active(person, False, by=by))


@require_POST
@administered(User)
def member_reactivate(request: HttpRequest, viewer: Viewer, person: User) -> HttpResponse:
    by = actor_of(request)
    return _attempt(request, person, "may sign in again", lambda: set_active(person, True, by=by))


@require_POST
@never_cache
@administered(User)
def member_link(request: HttpRequest, viewer: Viewer, person: User) -> HttpResponse:
    """A new link for who has lost the invitation or the password."""
    by = actor_of(request)
    _check_changeable(person, by)
    if not person.is_active:
        messages.error(request, f"{person.display_name} is not active, so that a link would not help.")
        return redirect("member", person.pk)
    record("password_link.make", person.username, by=by, organization=person.organization, changes={})
    return _hand_over(request, person, by)


def _attempt(request: HttpRequest, person: User, outcome: str, change: Callable[[], None]) -> HttpResponse:
    """Make a change that the rules may refuse, and say what came of it."""
    _check_changeable(person, actor_of(request))
    try:
        change()
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, f"{person.display_name} {outcome}.")
    return redirect("member", person.pk)


def _check_changeable(person: User, by: User) -> None:
    """An Admin sees the organization's Super Admins and changes nothing about them."""
    if not may_change(person, by):
        raise PermissionDenied


def _hand_over(request: HttpRequest, person: User, by: User) -> HttpResponse:
    """Send the link that lets a person choose a password, or else show it, this once, to who asked for it."""
    link = password_link(request, person)
    if mail_link(link, person, by=by):
        messages.success(request, f"A link to choose a password is on its way to {person.email}.")
        return redirect("member", person.pk)
    context: dict[str, Any] = {
        "organization": person.organization,
        "tab": "members" if person.organization else "people",
        "person": person,
        "link": link,
        "days": days_of_a_link(),
    }
    return render(request, "accounts/link.html", context)
