"""The pages about the people of an organization: list, invitation, name, role, deactivation and password links."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.anonymising import is_being_cleared
from accounts.audit import record
from accounts.changes import save_recorded
from accounts.decorators import actor_of, administered, for_super_admins
from accounts.forms import InvitationForm, MemberFilter, PersonForm, RoleForm
from accounts.invitations import invite
from accounts.links import can_be_mailed, days_of_a_link, mail_link, sends_mail, shown_link
from accounts.merging import still_moving
from accounts.models import OF_STANDING, SEEN_IN_CALLS, Organization, Role, Standing, User
from accounts.paging import page_of
from accounts.roles import may_change, set_active, set_role
from accounts.search import containing
from accounts.second_factor.factors import end_all_sessions, remove_all
from accounts.viewer import Viewer

WORDS = ("handle_key", "aliases__handle_key", "email", "first_name", "last_name")
"""The fields that are searched."""


@require_safe
@never_cache
@administered(Organization)
def members(request: HttpRequest, viewer: Viewer, organization: Organization) -> HttpResponse:
    return _list(request, User.objects.filter(organization=organization, merged_into=None), organization)


@require_safe
@never_cache
@for_super_admins
def people_without_organization(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The people without an organization: Super Admins, who need none, and others, who see nothing yet."""
    return _list(request, User.objects.filter(organization=None, merged_into=None), None)


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
    """The page that invites somebody. ``?handle=…`` fills in the name of a person known from calls."""
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
    """The page of one person. Posting changes the name."""
    by = actor_of(request)
    if person.merged_into is not None:
        return redirect("member", person.merged_into.pk)
    if request.method == "POST":
        check_changeable(person, by)
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
        "may_rename": person.organization is not None and may_change(person, by),
        "still_moving": still_moving(person),
        "is_being_cleared": is_being_cleared(person),
        "may_change": may_change(person, by) and person.standing is not Standing.SEEN_IN_CALLS,
        "may_make_link": can_be_mailed(person) or _may_show_link(person, by),
    }
    return render(request, "accounts/member.html", context)


@require_POST
@administered(User)
def member_role(request: HttpRequest, viewer: Viewer, person: User) -> HttpResponse:
    by = actor_of(request)
    form = RoleForm(request.POST, by=by)
    if not form.is_valid():
        check_changeable(person, by)
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
@administered(User)
def member_sessions_end(request: HttpRequest, viewer: Viewer, person: User) -> HttpResponse:
    by = actor_of(request)
    return _attempt(request, person, "is signed out everywhere", lambda: end_all_sessions(person, by=by))


@require_POST
@administered(User)
def member_factors_remove(request: HttpRequest, viewer: Viewer, person: User) -> HttpResponse:
    """Removes the second factors of a person who has lost them. Nobody removes their own here, without confirming who
    they are."""
    by = actor_of(request)
    if person.pk == by.pk:
        raise PermissionDenied
    return _attempt(request, person, "signs in without a second factor now", lambda: _remove_factors(person, by))


def _remove_factors(person: User, by: User) -> None:
    if not remove_all(person, by=by):
        raise ValidationError(f"{person.display_name} has no second factor.")


@require_POST
@never_cache
@administered(User)
def member_link(request: HttpRequest, viewer: Viewer, person: User) -> HttpResponse:
    """Makes a new link for a person who has lost the invitation or the password."""
    by = actor_of(request)
    check_changeable(person, by)
    if not person.is_active:
        messages.error(request, f"{person.display_name} is not active, so that a link would not help.")
        return redirect("member", person.pk)
    if person.came_by_single_sign_on:
        messages.error(request, f"{person.display_name} comes in by single sign-on and has no password here.")
        return redirect("member", person.pk)
    if not (can_be_mailed(person) or _may_show_link(person, by)):
        return _not_mailed(request, person)
    record("password_link.make", str(person), by=by, organization=person.organization, changes={})
    return _hand_over(request, person, by)


def _attempt(request: HttpRequest, person: User, outcome: str, change: Callable[[], None]) -> HttpResponse:
    """Make a change that may raise ValidationError, and show its outcome as a message."""
    check_changeable(person, actor_of(request))
    try:
        change()
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, f"{person.display_name} {outcome}.")
    return redirect("member", person.pk)


def check_changeable(person: User, by: User) -> None:
    """PermissionDenied if ``by`` may not change the person: an Admin sees the organization's Super Admins but cannot
    change them."""
    if not may_change(person, by):
        raise PermissionDenied


def _may_show_link(person: User, by: User) -> bool:
    """Whether ``by`` may see the person's link, and so could choose the password. Only a Super Admin may see the link
    of a person who has a password."""
    return person.standing is Standing.INVITED or by.role is Role.SUPER_ADMIN


def _hand_over(request: HttpRequest, person: User, by: User) -> HttpResponse:
    """Mail the person a link to choose a password. If that fails, show the link once to ``by``, who may have to be a
    Super Admin for that."""
    if mail_link(request, person, by=by):
        messages.success(request, f"A link to choose a password is on its way to {person.email}.")
        return redirect("member", person.pk)
    if not _may_show_link(person, by):
        return _not_mailed(request, person)
    record("password_link.show", str(person), by=by, organization=person.organization, changes={})
    context: dict[str, Any] = {
        "organization": person.organization,
        "tab": "members" if person.organization else "people",
        "person": person,
        "link": shown_link(request, person, by=by),
        "days": days_of_a_link(),
    }
    return render(request, "accounts/link.html", context)


def _not_mailed(request: HttpRequest, person: User) -> HttpResponse:
    name = person.display_name
    messages.error(request, f"No link could be mailed to {name}. A Super Admin can make one, to be passed on by hand.")
    return redirect("member", person.pk)
