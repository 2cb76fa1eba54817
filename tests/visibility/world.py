"""Two organizations whose every name gives away whose it is, so that a leak can be found in any answer."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import connection

from accounts.api_keys import add_secret, create
from accounts.audit import record as audit
from accounts.models import ApiKey, Organization, Project, ProviderKey, Role, User
from analytics.models import SavedView, ScheduledExport
from groq_client.call import Call
from ledger.models import UsageEvent
from ledger.recording.record import record
from pricing.models import Price
from tests.cast import make_user, signed_in
from tests.ledger.calls import call, failed, usage

NOW = datetime.now(UTC) - timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Tenant:
    """An organization, its people, and one call of each of the two Users."""

    organization: Organization
    project: Project
    admin: User
    user: User
    colleague: User
    event: UsageEvent
    colleagues_event: UsageEvent
    price: Price
    key: ApiKey
    schedule: ScheduledExport
    view: SavedView


@dataclass(frozen=True, slots=True)
class World:
    acme: Tenant
    globex: Tenant
    super_admin: User
    stranger: User
    sessions: dict[User, str]
    """Of those who look: to sign in takes longer than to see most pages."""


def make_world() -> World:
    """Committed, as the recorder has connections of its own."""
    # So that pages say so. The files of costs are those of months from which nothing was deleted.
    kept: Any = {"retention_days": 10, "retained_from": (NOW - timedelta(days=10)).date().replace(day=1)}
    acme = Organization.objects.create(name="Acme ACMESECRET", slug="acme", time_zone="America/Los_Angeles", **kept)
    globex = Organization.objects.create(name="Globex GLOBEXSECRET", slug="globex", time_zone="Asia/Kolkata", **kept)
    super_admin = make_user("root", Role.SUPER_ADMIN)
    Price.objects.create(
        model="shared/model", input_usd_per_1k_tokens=Decimal("0.777"), output_usd_per_1k_tokens=Decimal("0.777"),
        effective_from=NOW - timedelta(days=400), source_note="everybody's price",
    )  # fmt: skip
    tenants = _tenant(acme, "ann", "ben", "boss", super_admin), _tenant(globex, "eve", "fay", "chief", super_admin)
    stranger = make_user("sam")
    looking = (stranger, tenants[0].user, tenants[0].admin, super_admin)
    sessions = {person: signed_in(person).cookies[settings.SESSION_COOKIE_NAME].value for person in looking}
    return World(*tenants, super_admin, stranger, sessions)


def unmake_world() -> None:
    """All but what the migrations made. Prices and events are never deleted, but in a test they can be truncated."""
    kept = {"auth_group", "auth_group_permissions", "auth_permission", "django_content_type", "django_migrations"}
    tables = set(connection.introspection.django_table_names(only_existing=True)) - kept - {"accounts_organization"}
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(sorted(tables))}")
    Organization.objects.filter(slug__in=("acme", "globex")).delete()


def _tenant(organization: Organization, user: str, colleague: str, admin: str, super_admin: User) -> Tenant:
    secret = f"{organization.slug}secret".upper()
    people = [make_user(user, Role.USER, organization), make_user(colleague, Role.USER, organization)]
    for person in people:
        person.last_name = f"{person.username}secret".upper()
        person.save()
        person.aliases.create(organization=organization, name=f"{secret} {person.username}")
    own_price = Price.objects.create(
        model=f"{secret}/model", organization=organization, input_usd_per_1k_tokens=Decimal("0.777"),
        output_usd_per_1k_tokens=Decimal("0.777"), author=super_admin, source_note=secret,
        effective_from=NOW - timedelta(days=300),
    )  # fmt: skip
    record([*_calls(organization.slug, user), *_calls(organization.slug, colleague)])
    audit("organization.change", secret, by=super_admin, organization=organization, changes={"name": ("x", secret)})
    events = {
        event.user_id: event for event in UsageEvent.objects.filter(organization=organization).order_by("timestamp")
    }
    chief = make_user(admin, Role.ADMIN, organization)
    return Tenant(
        organization,
        Project.objects.get(organization=organization, slug=f"{user}secret".upper()),
        chief,
        people[0],
        people[1],
        events[people[0].pk],
        events[people[1].pk],
        own_price,
        _key(organization, people[0], secret, super_admin),
        _schedule(organization, chief, secret),
        SavedView.objects.create(owner=chief, organization=organization, name=f"{secret} view", page="analytics"),
    )


def _schedule(organization: Organization, author: User, secret: str) -> ScheduledExport:
    """A scheduled export with a failed run."""
    day = NOW.date()
    schedule = ScheduledExport.objects.create(
        organization=organization, author=author, kind="events", format="csv", every="day", place="folder",
        prefix=secret, first_day=day,
    )  # fmt: skip
    schedule.runs.create(first_day=day, last_day=day, problem=secret, attempts=1, retry_at=NOW)
    return schedule


def _key(organization: Organization, user: User, secret: str, by: User) -> ApiKey:
    """A key that is being rotated, and an own key for Groq that nothing decrypts."""
    project = Project.objects.get(organization=organization, slug=f"{user.username}secret".upper())
    key = ApiKey(organization=organization, name=f"{secret} key", user=user, project=project, may_read=True)
    create(key, by=by)
    add_secret(key, by=by)
    ProviderKey.objects.create(organization=organization, encrypted=secret, ending="abcd", set_by=by)
    return key


def _calls(organization: str, user: str) -> list[Call]:
    """Calls of one person in which everything that can be named is named after the person and the organization."""
    secret, whose = f"{user}secret".upper(), f"{organization}secret".upper()
    named: dict[str, Any] = {
        "organization": organization, "user": user, "project": secret, "expert_id": f"{secret}-{whose}-expert",
        "template_id": f"{secret}-{whose}-template", "session_id": f"{secret}-{whose}-session",
        "feature": f"{secret}-{whose}-feature", "provider_request_id": f"req_{secret}{whose}",
    }  # fmt: skip
    made = [
        call("shared/model", at=NOW, **named, usage=usage(1_000, 310, cached_tokens=100)),
        call(f"{whose}/model", at=NOW - timedelta(days=2), **named, usage=usage(431, 59)),
        call(f"{secret}/unknown", at=NOW - timedelta(days=3), **named),
    ]
    return [*made, failed(at=NOW - timedelta(days=1), **named, error_message=f"{secret} {whose}")]
