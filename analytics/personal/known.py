"""The rows that name one person, apart from requests: the account, keys, saved views, sign-ins, and the audit trail."""

from collections.abc import Iterator
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.db.models import Q, QuerySet

from accounts.models import ApiKey, AuditRecord, SignIn, User
from accounts.viewer import Viewer
from analytics.models import SavedView, ScheduledExport

Line = dict[str, Any]


def _seen_by(viewer: Viewer) -> Q:
    """The rows of organizations that the viewer sees. Somebody may have worked in others, too, whose Admins answer for
    what is recorded there."""
    return Q() if viewer.organization_ids is None else Q(organization__in=viewer.organization_ids)


def keys_of(person: User, viewer: Viewer) -> "QuerySet[ApiKey]":
    """The keys and tokens that act for the person, or that the person made."""
    keys = ApiKey.objects.filter(_seen_by(viewer), Q(user=person) | Q(created_by=person))
    return keys.select_related("project").order_by("pk")


def views_of(person: User, viewer: Viewer) -> "QuerySet[SavedView]":
    """The views that the person saved: the private ones, and those that are shared."""
    views = SavedView.objects.filter(owner=person).order_by("pk")
    return views if viewer.organization_ids is None else views.filter(Q(organization=None) | _seen_by(viewer))


def audit_of(person: User, viewer: Viewer) -> "QuerySet[AuditRecord]":
    """The audit records of what the person did, and of what was done to the person's account. Records only have the
    name that the account had at the time, so that those from before a change of the address are not found."""
    about = Q(subject__in={person.email, person.username} - {""}, organization=person.organization_id)
    records = AuditRecord.objects.filter(_seen_by(viewer), Q(actor=person) | about)
    return (records if viewer.sees_cost else records.exclude(action__startswith="price")).order_by("pk")


def lines(person: User, viewer: Viewer, *, is_self: bool) -> Iterator[Line]:
    """Each row that the viewer sees as an object of JSON, whose "record" says what it is. There are no secrets in them.
    Audit records of what the person did name whom it was done to. Private views are told to the person alone."""
    yield _profile(person)
    for alias in person.aliases.order_by("pk"):
        yield {"record": "former name", "name": alias.name, "since": alias.created_at}
    for factor in Authenticator.objects.filter(user=person).order_by("pk"):
        yield {"record": "second factor", "kind": factor.type, "since": factor.created_at, "used": factor.last_used_at}
    for identity in SocialAccount.objects.filter(user=person).order_by("pk"):
        told = {"told": identity.extra_data, "last_used": identity.last_login}
        yield {"record": "single sign-on", "provider": identity.provider, "id": identity.uid} | told
    for sign_in in SignIn.objects.filter(user=person).order_by("pk"):
        times = {"since": sign_in.started_at, "last_seen": sign_in.last_seen_at}
        yield {"record": "sign-in", "device": sign_in.device, "address": sign_in.address} | times
    for key in keys_of(person, viewer).iterator():
        yield _key(key, person)
    views = views_of(person, viewer)
    for view in (views if is_self else views.exclude(organization=None)).iterator():
        shared = {"is_shared": view.organization_id is not None, "since": view.created_at}
        yield {"record": "saved view", "name": view.name, "page": view.page, "query": view.query} | shared
    for export in ScheduledExport.objects.filter(_seen_by(viewer), author=person).order_by("pk"):
        yield {"record": "scheduled export", "what": str(export), "since": export.created_at}
    for record in audit_of(person, viewer).iterator():
        what = {"at": record.at, "action": record.action, "subject": record.subject, "changes": record.changes}
        yield {"record": "audit", "is_by_this_person": record.actor_id == person.pk} | what


def _profile(person: User) -> Line:
    fields = ("username", "handle", "first_name", "last_name", "email", "date_joined", "last_login")
    profile = {name: getattr(person, name) for name in fields}
    profile |= {"role": person.role, "organization": person.organization and person.organization.slug}
    return {"record": "profile", "id": person.pk} | profile | {"standing": person.standing}


def _key(key: ApiKey, person: User) -> Line:
    fields = ("name", "ending", "created_at", "expires_at", "revoked_at", "last_used_at", "state")
    what = {name: getattr(key, name) for name in fields} | {"scopes": sorted(key.scopes)}
    return {"record": "key", "acts_for_this_person": key.user_id == person.pk} | what
