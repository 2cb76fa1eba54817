"""Every address × method × person × (own, colleague's, other organization's) × "show user cost": nobody gets another
tenant's row, nobody finds a cost that is hidden, and an address that this file does not know fails."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from itertools import product
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.http import HttpResponse, StreamingHttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils.http import urlencode
from pyarrow import parquet

from accounts.models import ApiKey, AuditRecord, Organization, PersonAlias, Project, ProviderKey, User
from analytics.models import SavedView, StartView
from analytics.pages.requests.columns import OFFERED
from ledger.models import UsageEvent
from pricing.models import Price
from tests.visibility.world import NOW, Tenant, World, make_world, unmake_world

pytestmark = pytest.mark.django_db

Who = Literal["visitor", "stranger", "user", "user with cost", "admin", "super admin"]
Whose = Literal["own", "colleague", "foreign"]
WHO: tuple[Who, ...] = ("visitor", "stranger", "user", "user with cost", "admin", "super admin")
WHOSE: tuple[Whose, ...] = ("own", "colleague", "foreign")

REFUSED = {302, 401, 403, 404, 405}
METHODS = ("put", "patch", "delete", "options")
TRIES_METHODS: Who = "super admin"
PARTS: tuple[dict[str, str], ...] = (
    {"HX-Request": "true", "HX-Request-Type": "partial", "HX-Target": "div#view"},
    {"HX-Request": "true", "HX-Request-Type": "partial", "HX-Target": "div#results", "HX-Source": "div#results"},
)


# Who may open what


def public(who: Who, whose: Whose) -> int:
    return 200


def with_a_key(who: Who, whose: Whose) -> int:
    """No session opens a door for programs."""
    return 401


def signed_in_only(who: Who, whose: Whose) -> int:
    return 302 if who == "visitor" else 200


def of_those_who_see_costs(who: Who, whose: Whose) -> int:
    return 403 if who == "user" else signed_in_only(who, whose)


def of_price_owners(who: Who, whose: Whose) -> int:
    if who in ("user with cost", "admin") and whose == "foreign":
        return 404
    return of_those_who_see_costs(who, whose)


def of_row_owners(who: Who, whose: Whose) -> int:
    """A User sees the own row, an Admin those of the organization. Others are told that there is none."""
    if who in ("visitor", "stranger", "super admin") or whose == "own":
        return signed_in_only(who, whose)
    return 200 if who == "admin" and whose == "colleague" else 404


def of_admins(who: Who, whose: Whose) -> int:
    if who in ("user", "user with cost"):
        return 403
    return 404 if who == "admin" and whose == "foreign" else signed_in_only(who, whose)


def of_super_admins(who: Who, whose: Whose) -> int:
    return 403 if who in ("user", "user with cost", "admin") else signed_in_only(who, whose)


def of_visitors(who: Who, whose: Whose) -> int:
    """Whoever has signed in is led to the first page."""
    return 200 if who == "visitor" else 302


def of_members(who: Who, whose: Whose) -> int:
    """Everybody of the organization, and Super Admins. Others are told that there is none."""
    return 404 if whose == "foreign" and who in ("user", "user with cost", "admin") else signed_in_only(who, whose)


def of_view_changers(who: Who, whose: Whose) -> int:
    """A shared view: its Admins change it, others of the organization open it, and nobody else finds it."""
    return 403 if who in ("user", "user with cost") and whose != "foreign" else of_members(who, whose)


def of_exporters(who: Who, whose: Whose) -> int:
    return 403 if who in ("user", "user with cost") else signed_in_only(who, whose)


def onwards(who: Who, whose: Whose) -> int:
    """Leads an Admin or Super Admin to a page of theirs."""
    return 302 if who in ("admin", "super admin") else of_admins(who, "own")


def to_sign_in(who: Who, whose: Whose) -> int:
    """Nobody here is between the two steps of signing in."""
    return 302


def to_the_start(who: Who, whose: Whose) -> int:
    """Leads everybody who sees anything to the page that they begin with."""
    return 200 if who == "stranger" else 302


def of_callers(who: Who, whose: Whose) -> int:
    """The API leads nobody to a page."""
    return {"visitor": 401, "stranger": 403}.get(who, 200)


def of_callers_with_costs(who: Who, whose: Whose) -> int:
    return 403 if who == "user" else of_callers(who, whose)


def of_calling_exporters(who: Who, whose: Whose) -> int:
    return 403 if who in ("user", "user with cost") else of_callers(who, whose)


def of_calling_admins(who: Who, whose: Whose) -> int:
    return 404 if who == "admin" and whose == "foreign" else of_calling_exporters(who, whose)


def of_calling_super_admins(who: Who, whose: Whose) -> int:
    return 200 if who == "super admin" else 403


def of_calling_row_owners(who: Who, whose: Whose) -> int:
    is_seen = who in ("visitor", "stranger", "super admin") or of_row_owners(who, whose) == 200
    return of_callers(who, whose) if is_seen else 404


def of_calling_members(who: Who, whose: Whose) -> int:
    is_seen = who in ("visitor", "stranger", "super admin") or of_members(who, whose) == 200
    return of_callers(who, whose) if is_seen else 404


def of_programs(who: Who, whose: Whose) -> int:
    """No session opens it: it asks for a token, or for a request from this machine (tests/api/test_metrics.py)."""
    return 403


def not_there(who: Who, whose: Whose) -> int:
    return 404


def only_posted(who: Who, whose: Whose) -> int:
    return 401 if who == "visitor" else 405


def nowhere(who: Who, whose: Whose) -> int:
    """There is nothing to look at, only something to post."""
    return 405


Rule = Callable[[Who, Whose], int]


@dataclass(frozen=True, slots=True)
class Address:
    """One name in the URLs: who may open it, and the paths by which somebody may try to reach a tenant's things."""

    opens: Rule
    paths: Callable[[Tenant, Whose], list[str]]
    is_fragmented: bool = False
    is_about_costs: bool = False
    """Whether it has words for costs and amounts that are nobody's, as the description of the API has."""
    posts: Rule | None = None
    """Whose posts are taken, as by ``opens`` (200); None where nobody's are."""


def plain(name: str) -> Callable[[Tenant, Whose], list[str]]:
    return lambda tenant, whose: [reverse(name)]


def filtered(name: str, **more: str) -> Callable[[Tenant, Whose], list[str]]:
    """A page of the Analytics tab, with filters for what belongs to a tenant, and in every order."""

    def paths(tenant: Tenant, whose: Whose) -> list[str]:
        event = tenant.event if whose != "colleague" else tenant.colleagues_event
        filters = {
            "organization": event.organization_id, "user": event.user_id, "project": event.project_id,
            "expert": event.expert_id, "session": event.session_id, "model": event.model,
        }  # fmt: skip
        wide = {"range": "all", "provider": "all"} | more
        one_by_one = [urlencode(wide | {key: value}) for key, value in filters.items()]
        return [f"{reverse(name)}?{query}" for query in (urlencode(more), urlencode(wide), *one_by_one)]

    return paths


def asked(name: str) -> Callable[[Tenant, Whose], list[str]]:
    """An address of the API that has ranges and filters, with those that everybody may use."""

    def paths(tenant: Tenant, whose: Whose) -> list[str]:
        event = tenant.event if whose != "colleague" else tenant.colleagues_event
        filters = {"project": event.project_id, "expert": event.expert_id, "session": event.session_id}
        wide = {"range": "all", "provider": "all"}
        one_by_one = [urlencode(wide | {key: value}) for key, value in filters.items()]
        return [f"{reverse(name)}?{query}" for query in ("", urlencode(wide), *one_by_one)]

    return paths


def of_slug(tenant: Tenant, whose: Whose) -> list[str]:
    return [f"{reverse('api-organization-usage', args=[tenant.organization.slug])}?range=all"]


def of_model(tenant: Tenant, whose: Whose) -> list[str]:
    return [f"{reverse('api-model', args=['shared/model'])}?range=all"]


def of_provider(tenant: Tenant, whose: Whose) -> list[str]:
    return [f"{reverse('api-provider', args=['groq'])}?range=all"]


def of_tables(tenant: Tenant, whose: Whose) -> list[str]:
    """The form of the grouped table, and its file with as many names as it can have."""
    chosen = {"per": "day", "by": "user", "then": "project", "format": "csv"}
    return [*filtered("export-table")(tenant, whose), *filtered("export-table", **chosen)(tenant, whose)]


def of_month(name: str) -> Callable[[Tenant, Whose], list[str]]:
    """The costs of a tenant's month."""

    def paths(tenant: Tenant, whose: Whose) -> list[str]:
        query = urlencode({"month": f"{NOW - timedelta(days=1):%Y-%m}", "organization": tenant.organization.slug})
        return [f"{reverse(name)}?{query}"]

    return paths


def of_tenant(name: str) -> Callable[[Tenant, Whose], list[str]]:
    return lambda tenant, whose: [reverse(name, args=[tenant.organization.pk])]


def of_schedule(name: str) -> Callable[[Tenant, Whose], list[str]]:
    return lambda tenant, whose: [reverse(name, args=[tenant.schedule.pk])]


def of_run(name: str) -> Callable[[Tenant, Whose], list[str]]:
    return lambda tenant, whose: [reverse(name, args=[tenant.schedule.runs.get().pk])]


def of_person(name: str) -> Callable[[Tenant, Whose], list[str]]:
    return lambda tenant, whose: [reverse(name, args=[(tenant.colleague if whose == "colleague" else tenant.user).pk])]


def of_project(name: str) -> Callable[[Tenant, Whose], list[str]]:
    return lambda tenant, whose: [reverse(name, args=[tenant.project.pk])]


def of_key(name: str) -> Callable[[Tenant, Whose], list[str]]:
    return lambda tenant, whose: [reverse(name, args=[tenant.key.pk])]


def of_price(tenant: Tenant, whose: Whose) -> list[str]:
    """The history of a tenant's own price."""
    query = {"model": tenant.price.model, "organization": tenant.organization.pk}
    return [f"{reverse('pricing-history')}?{urlencode(query)}"]


def of_facts(tenant: Tenant, whose: Whose) -> list[str]:
    """What is known of a model, which belongs to nobody."""
    return [f"{reverse('pricing-facts')}?{urlencode({'model': 'shared/model'})}"]


def of_event(name: str) -> Callable[[Tenant, Whose], list[str]]:
    """By the numbers of a row."""

    def paths(tenant: Tenant, whose: Whose) -> list[str]:
        event = tenant.colleagues_event if whose == "colleague" else tenant.event
        return [reverse(name, args=[event.organization_id, event.pk])]

    return paths


def of_session(tenant: Tenant, whose: Whose) -> list[str]:
    """The session of an event, and its id under the key of somebody else."""
    event = tenant.colleagues_event if whose == "colleague" else tenant.event
    query = urlencode({"id": event.session_id})
    return [f"{reverse('session', args=[event.organization_id, event.user_id])}?{query}"]


def of_request_id(name: str) -> Callable[[Tenant, Whose], list[str]]:
    def paths(tenant: Tenant, whose: Whose) -> list[str]:
        event = tenant.colleagues_event if whose == "colleague" else tenant.event
        return [reverse(name, args=[event.request_id])]

    return paths


def searched(tenant: Tenant, whose: Whose) -> list[str]:
    """Requests by Groq's id and by ours, and as filtered; these are the ways that find one event."""
    event = tenant.colleagues_event if whose == "colleague" else tenant.event
    found = [f"{reverse('requests')}?q={q}" for q in (event.request_id, event.provider_request_id)]
    every = urlencode({"range": "all", "sort": "cost", "columns": [column.key for column in OFFERED]}, doseq=True)
    return [*filtered("requests")(tenant, whose), *found, f"{reverse('requests')}?{every}"]


def awaited(name: str) -> Callable[[Tenant, Whose], list[str]]:
    """A page that waits for the calls of an organization, and finds one."""
    opened = round((NOW - timedelta(minutes=1)).timestamp() * 1_000)

    def paths(tenant: Tenant, whose: Whose) -> list[str]:
        query = {"organization": tenant.organization.slug, "since": opened, "whose": "all"}
        return [f"{reverse(name)}?{urlencode(query)}"]

    return paths


def choosable(address: str) -> Callable[[Tenant, Whose], list[str]]:
    """What the menus offer, searched for a tenant's names."""

    def paths(tenant: Tenant, whose: Whose) -> list[str]:
        names = ("model", "project", "expert", "template", "feature")
        queries = {name: urlencode({"range": "all", "provider": "all", f"q-{name}": "secret"}) for name in names}
        return [f"{reverse(address, args=[name])}?{query}" for name, query in queries.items()]

    return paths


def of_states(tenant: Tenant, whose: Whose) -> list[str]:
    """The form that saves the filters of each page, here for what belongs to a tenant."""
    event = tenant.event if whose != "colleague" else tenant.colleagues_event
    query = urlencode({"project": event.project_id, "user": event.user_id, "organization": event.organization_id})
    return [f"{reverse('view-add', args=[name])}?{query}" for name in ANALYTICS_PAGES]


def of_view(name: str) -> Callable[[Tenant, Whose], list[str]]:
    """The view that an organization shares."""
    return lambda tenant, whose: [reverse(name, args=[tenant.view.pk])]


def of_other_sessions(name: str) -> Callable[[Tenant, Whose], list[str]]:
    """What is another person's, whom the tests of accounts name; here nobody has one by this number."""
    return lambda tenant, whose: [reverse(name, args=[1])]


def set_password(tenant: Tenant, whose: Whose) -> list[str]:
    return [reverse("password-set", args=["MQ", "set-password"])]


ANALYTICS_PAGES = ("analytics", "requests", "sessions", "models", "my-usage")
LISTS = {name: filtered(name) for name in ANALYTICS_PAGES} | {"requests": searched}

FIGURES = (
    "api-usage", "api-costs", "api-breakdown", "api-series", "api-popular-models", "api-top-users", "api-performance",
    "api-events", "api-sessions",
)  # fmt: skip

ADDRESSES: dict[str, Address] = {
    "sign-in": Address(of_visitors, plain("sign-in"), posts=public),
    "sign-out": Address(nowhere, plain("sign-out"), posts=public),
    "sign-in-second": Address(to_sign_in, plain("sign-in-second"), posts=public),
    "sign-in-passkey": Address(public, plain("sign-in-passkey"), posts=public),
    "sign-in-sso": Address(nowhere, plain("sign-in-sso"), posts=public),
    "sign-in-sso-callback": Address(not_there, plain("sign-in-sso-callback")),
    **{name: Address(signed_in_only, plain(name)) for name in ("security", "confirm", "app-add", "passkey-add")},
    **{name: Address(nowhere, plain(name)) for name in ("app-remove", "recovery-codes", "sign-ins-end")},
    **{name: Address(nowhere, of_other_sessions(name)) for name in ("passkey-remove", "sign-in-end")},
    "password-change": Address(signed_in_only, plain("password-change"), posts=signed_in_only),
    "password-change-done": Address(signed_in_only, plain("password-change-done")),
    **{name: Address(with_a_key, plain(name)) for name in ("otlp-traces", "otlp-logs")},
    "api-document": Address(public, plain("api-document"), is_about_costs=True),
    "api-docs": Address(public, plain("api-docs")),
    **{name: Address(of_callers, plain(name)) for name in ("api-me", "api-models")},
    **{name: Address(of_callers, asked(name)) for name in FIGURES},
    "api-nowhere": Address(not_there, lambda tenant, whose: [reverse("api-nowhere", args=["x"])]),
    "api-providers": Address(of_callers, plain("api-providers")),
    "api-model": Address(of_callers, of_model),
    "api-provider": Address(of_callers, of_provider),
    "api-event": Address(of_calling_row_owners, of_event("api-event")),
    "api-user": Address(of_calling_row_owners, of_person("api-user")),
    "api-organization-usage": Address(of_calling_members, of_slug),
    "api-admin-usage": Address(of_calling_exporters, asked("api-admin-usage")),
    "api-export": Address(of_calling_exporters, asked("api-export")),
    "api-focus": Address(of_calling_admins, of_month("api-focus")),
    "api-free-models": Address(of_callers_with_costs, plain("api-free-models")),
    "api-prices": Address(of_callers_with_costs, plain("api-prices"), posts=of_calling_super_admins),
    "api-estimate-cost": Address(only_posted, plain("api-estimate-cost"), posts=of_callers_with_costs),
    "health": Address(public, plain("health")),
    "metrics": Address(of_programs, plain("metrics")),
    "health-live": Address(public, plain("health-live")),
    "health-details": Address(of_super_admins, plain("health-details")),
    "password-forgotten": Address(public, plain("password-forgotten"), posts=public),
    "password-forgotten-done": Address(public, plain("password-forgotten-done")),
    "password-set": Address(public, set_password, posts=public),
    **{name: Address(signed_in_only, paths, is_fragmented=True) for name, paths in LISTS.items()},
    "start": Address(to_the_start, plain("start")),
    "views": Address(signed_in_only, plain("views")),
    "view-add": Address(signed_in_only, of_states, posts=signed_in_only),
    "view": Address(of_view_changers, of_view("view"), posts=of_view_changers),
    "view-delete": Address(nowhere, of_view("view-delete"), posts=of_view_changers),
    "view-begin": Address(nowhere, of_view("view-begin"), posts=of_members),
    "analytics-charts": Address(signed_in_only, filtered("analytics-charts")),
    "analytics-tables": Address(signed_in_only, filtered("analytics-tables")),
    "choices": Address(signed_in_only, choosable("choices")),
    "request-detail": Address(of_row_owners, of_event("request-detail"), is_fragmented=True),
    "request-json": Address(of_row_owners, of_event("request-json")),
    "models-estimate": Address(of_those_who_see_costs, plain("models-estimate"), posts=of_those_who_see_costs),
    "session": Address(of_row_owners, of_session),
    "export-sessions": Address(of_exporters, filtered("export-sessions")),
    "export-table": Address(of_exporters, of_tables),
    "month-report": Address(signed_in_only, filtered("month-report", month=f"{NOW:%Y-%m}")),
    "my-charts": Address(signed_in_only, filtered("my-charts")),
    "my-choices": Address(signed_in_only, choosable("my-choices")),
    "focus-csv": Address(of_admins, of_month("focus-csv")),
    "focus-parquet": Address(of_admins, of_month("focus-parquet")),
    "export-csv": Address(of_exporters, filtered("export-csv")),
    "export-jsonl": Address(of_exporters, filtered("export-jsonl")),
    "playground": Address(signed_in_only, plain("playground"), posts=signed_in_only),
    "playground-ask": Address(nowhere, plain("playground-ask"), posts=signed_in_only),
    "playground-figures": Address(of_row_owners, of_request_id("playground-figures")),
    "connect": Address(of_members, awaited("connect"), posts=of_admins),
    "connect-call": Address(of_members, awaited("connect-call"), is_fragmented=True),
    "pricing": Address(of_those_who_see_costs, plain("pricing")),
    "pricing-edit": Address(of_super_admins, plain("pricing-edit"), posts=of_super_admins),
    "pricing-aliases": Address(of_super_admins, plain("pricing-aliases"), posts=of_super_admins),
    "pricing-facts": Address(of_super_admins, of_facts, posts=of_super_admins),
    "pricing-history": Address(of_price_owners, of_price),
    "organizations": Address(of_super_admins, plain("organizations")),
    "organization-add": Address(of_super_admins, plain("organization-add"), posts=of_super_admins),
    "people": Address(of_super_admins, plain("people")),
    "all-keys": Address(of_super_admins, plain("all-keys")),
    "whole-audit-trail": Address(of_super_admins, plain("whole-audit-trail")),
    "organization": Address(onwards, plain("organization")),
    "members": Address(of_admins, of_tenant("members")),
    "member-invite": Address(of_admins, of_tenant("member-invite"), posts=of_admins),
    "projects": Address(of_admins, of_tenant("projects")),
    "project-add": Address(of_admins, of_tenant("project-add"), posts=of_admins),
    "project": Address(of_admins, of_project("project"), posts=of_admins),
    "project-merge": Address(of_admins, of_project("project-merge"), posts=of_admins),
    "project-alias-remove": Address(nowhere, of_project("project-alias-remove"), posts=of_admins),
    "tokens": Address(signed_in_only, plain("tokens"), posts=signed_in_only),
    "token-revoke": Address(nowhere, of_key("token-revoke")),
    "keys": Address(of_admins, of_tenant("keys")),
    "key-add": Address(of_admins, of_tenant("key-add"), posts=of_admins),
    "key": Address(of_admins, of_key("key"), posts=of_admins),
    **{
        name: Address(nowhere, of_key(name), posts=of_admins)
        for name in ("key-rotate", "key-drop-secret", "key-revoke")
    },
    "provider-key": Address(of_admins, of_tenant("provider-key"), posts=of_admins),
    "provider-key-remove": Address(nowhere, of_tenant("provider-key-remove"), posts=of_admins),
    "exports": Address(of_admins, of_tenant("exports")),
    "export-add": Address(of_admins, of_tenant("export-add"), posts=of_admins),
    "export-remove": Address(nowhere, of_schedule("export-remove"), posts=of_admins),
    "export-again": Address(nowhere, of_run("export-again"), posts=of_admins),
    "organization-settings": Address(of_admins, of_tenant("organization-settings"), posts=of_admins),
    "audit-trail": Address(of_admins, of_tenant("audit-trail")),
    "member": Address(of_admins, of_person("member"), posts=of_admins),
    "member-merge": Address(of_admins, of_person("member-merge"), posts=of_admins),
    "member-anonymise": Address(of_admins, of_person("member-anonymise"), posts=of_admins),
    "member-privacy": Address(of_admins, of_person("member-privacy")),
    "member-privacy-file": Address(of_admins, of_person("member-privacy-file")),
    **{name: Address(signed_in_only, plain(name)) for name in ("privacy", "privacy-file")},
    **{
        name: Address(nowhere, of_person(name), posts=of_admins)
        for name in (
            *("member-role", "member-deactivate", "member-reactivate", "member-link", "member-alias-remove"),
            *("member-sessions-end", "member-factors-remove"),
        )
    },
}


# The world, and who looks at it


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: Any) -> Iterator[World]:
    """Made once: the tests here only look, and what they post is rolled back."""
    with django_db_blocker.unblock():
        yield make_world()
        unmake_world()


@contextmanager
def looking(world: World, who: Who) -> Iterator[Client]:
    """A browser of this person. Everything that happens in it is rolled back."""
    people: dict[Who, User | None] = {
        "visitor": None, "stranger": world.stranger, "user": world.acme.user, "user with cost": world.acme.user,
        "admin": world.acme.admin, "super admin": world.super_admin,
    }  # fmt: skip
    person, client = people[who], Client()
    if person:
        client.cookies[settings.SESSION_COOKIE_NAME] = world.sessions[person]
    with transaction.atomic():
        Organization.objects.filter(pk=world.acme.organization.pk).update(show_user_cost=who == "user with cost")
        yield client
        transaction.set_rollback(True)


def things(world: World) -> Iterator[tuple[Whose, Tenant]]:
    yield "own", world.acme
    yield "colleague", world.acme
    yield "foreign", world.globex


def body(response: HttpResponse | StreamingHttpResponse) -> str:
    streamed = isinstance(response, StreamingHttpResponse)
    content: bytes = b"".join(response) if streamed else response.content  # type: ignore[arg-type,assignment]
    return str(parquet.read_table(BytesIO(content)).to_pylist()) if content.startswith(b"PAR1") else content.decode()


def leaks(who: Who, text: str, world: World, *, with_costs: bool = True) -> list[str]:
    """What this person must not read, and reads here."""
    everything = ["ACMESECRET", "ANNSECRET", "BENSECRET", "GLOBEXSECRET", "EVESECRET", "FAYSECRET"]
    hidden: dict[Who, list[str]] = {
        "visitor": everything, "stranger": everything, "user": everything[2:], "user with cost": everything[2:],
        "admin": everything[3:], "super admin": [],
    }  # fmt: skip
    found = [name for name in hidden[who] if name in text]
    sees_costs = who in ("user with cost", "admin", "super admin") or not with_costs
    return found if sees_costs else found + _costs(text)


def _costs(text: str) -> list[str]:
    """Amounts, and every word for them. Styles and scripts have names of their own and say nothing."""
    costs = {str(cost.normalize()) for cost in UsageEvent.objects.values_list("cost_usd", flat=True) if cost}
    return re.findall(r"\$\s?\d|cost|pric|usd", text, re.IGNORECASE) + [cost for cost in costs if cost in text]


def told(response: HttpResponse | StreamingHttpResponse, path: str) -> str:
    """All that an answer says, headers included, without what it repeats of the question."""
    text = _without_token(response) + "\n".join(
        f"{name}: {unquote(unquote(value))}" for name, value in response.items()
    )
    address, _, question = path.partition("?")
    for repeated in (
        address,
        unquote(question),
        question.replace("&", "&amp;"),
        question,
        *(value for _, value in parse_qsl(question)),
    ):
        text = text.replace(repeated, "") if len(repeated) > 8 else text
    return text


def status(response: HttpResponse) -> int:
    """htmx is sent to the sign-in page by a header."""
    return 302 if "HX-Redirect" in response else response.status_code


CASES = [(name, who) for name, who in product(ADDRESSES, WHO)]


@pytest.mark.parametrize(("name", "who"), CASES)
def test_looking(world: World, name: str, who: Who) -> None:
    address = ADDRESSES[name]
    looks = {}  # by what is asked and expected: most paths lead to the same from what is one's own and what is not
    for whose, tenant in things(world):
        paths, expected = address.paths(tenant, whose), address.opens(who, whose)
        looks |= {("get", path, "", expected): {} for path in paths}
        if address.is_fragmented:
            looks |= {("get", paths[0], part["HX-Target"], expected): part for part in PARTS}
        looks["head", paths[0], "", expected] = {}
    with looking(world, who) as client:
        for (method, path, _, expected), headers in looks.items():
            response = getattr(client, method)(path, headers=headers)
            if method == "head":
                assert response.status_code in {expected, 405}, path
            else:
                assert status(response) == expected, (path, headers)
                found = leaks(who, told(response, path), world, with_costs=not address.is_about_costs)
                assert found == [], (path, headers)


@pytest.mark.parametrize(("name", "who"), CASES)
def test_changing(world: World, name: str, who: Who) -> None:
    """Whoever may not open a page changes nothing by POST, and nobody does by a method that the page does not have. The
    answer to such a method does not depend on who asks, so that one person tries them."""
    address = ADDRESSES[name]
    tries = set()
    for whose, tenant in things(world):
        allowed = address.posts is not None and address.posts(who, whose) == 200 and who != "stranger"
        tries |= {(path, allowed) for path in address.paths(tenant, whose)[:1]}
    with looking(world, who) as client:
        for path, allowed in sorted(tries):
            before = everything_there_is()
            for method in (*(METHODS if who == TRIES_METHODS else ()), *(() if allowed else ("post",))):
                response = getattr(client, method)(path)
                assert response.status_code in REFUSED | {200}, (method, path)
                with_costs = not address.is_about_costs
                assert leaks(who, told(response, path), world, with_costs=with_costs) == [], (method, path)
            assert everything_there_is() == before, path
            if allowed:
                assert client.post(path).status_code < 500, path


KEPT = (
    Organization, User, Project, PersonAlias, ApiKey, SavedView, StartView, ProviderKey, Price, AuditRecord, UsageEvent,
)  # fmt: skip
ROWS = " UNION ALL ".join(f"SELECT t::text FROM {model._meta.db_table} t" for model in KEPT)


def everything_there_is() -> list[str]:
    """Every row that somebody might change, as PostgreSQL writes it: a query, where reading models took longer than the
    request between two of them."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT row FROM ({ROWS}) AS rows(row) ORDER BY row")
        return [row for (row,) in cursor.fetchall()]


SORTS = {
    "analytics": ["model:-cost_usd", "model:cost_usd", "project:-cost_usd", "feature:-cost_change"],
    "my-usage": ["model:-cost_usd", "model:cost_usd", "project:-cost_usd", "feature:cost_usd"],
    "sessions": ["cost", "-cost", "cost_usd", "-cost_usd"],
    "models": ["cost", "-cost", "cost_usd", "-cost_usd"],
    "requests": ["cost", "-cost_usd"],
}


@pytest.mark.parametrize("name", ANALYTICS_PAGES)
def test_an_order_tells_no_cost(world: World, name: str) -> None:
    with looking(world, "user") as client:
        settings = [("sort", sort) for sort in SORTS[name]]
        settings += [
            ("cost_min", "0.5"),
            ("cost_max", "0.5"),
            ("unpriced", "1"),
            ("cost_on", "shared/model"),
            ("columns", "cost"),
        ]
        usual = _without_token(client.get(reverse(name)))
        for setting in settings:
            assert _without_token(client.get(f"{reverse(name)}?{urlencode([setting])}")) == usual, setting


def _without_token(response: HttpResponse) -> str:
    return re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", body(response))


def test_a_cost_is_seen_by_those_who_may(world: World) -> None:
    """That this file would notice one."""
    for who in WHO:
        with looking(world, who) as client:
            found = _costs(body(client.get("/")))
            assert bool(found) == (who in ("user with cost", "admin", "super admin")), who


@pytest.mark.parametrize(
    ("who", "offered"), [("user", set()), ("admin", {"user"}), ("super admin", {"user", "organization"})]
)
def test_nobody_chooses_among_others(world: World, who: Who, offered: set[str]) -> None:
    with looking(world, who) as client:
        for name in ("user", "organization"):
            response = client.get(f"{reverse('choices', args=[name])}?range=all&q=secret")
            assert response.status_code == (200 if name in offered else 404), name
            assert leaks(who, body(response), world) == [], name


# No address is forgotten


def test_every_address_is_known() -> None:
    assert sorted(_names(get_resolver().url_patterns)) == sorted(ADDRESSES)


def _names(patterns: list[URLPattern | URLResolver]) -> Iterator[str]:
    """Of everything but the Django admin, which has a test of its own."""
    for pattern in patterns:
        if isinstance(pattern, URLPattern):
            yield pattern.name or str(pattern.pattern)
        elif pattern.namespace != "admin":
            yield from _names(pattern.url_patterns)


def _admin_paths() -> Iterator[str]:
    (site,) = (p for p in get_resolver().url_patterns if isinstance(p, URLResolver) and p.namespace == "admin")
    for pattern, prefix in _flat(site.url_patterns, str(site.pattern)):
        yield "/" + re.sub(r"<[^>]*>|\(\?P<[^>]*>[^)]*\)", "1", prefix + str(pattern.pattern)).strip("^$")


def _flat(patterns: list[Any], prefix: str) -> Iterator[tuple[URLPattern, str]]:
    for pattern in patterns:
        if isinstance(pattern, URLPattern):
            yield pattern, prefix
        else:
            yield from _flat(pattern.url_patterns, prefix + str(pattern.pattern))


@pytest.mark.parametrize("who", [who for who in WHO if who != "super admin"])
def test_the_django_admin_is_closed(world: World, who: Who) -> None:
    paths = [path for path in _admin_paths() if not path.startswith(("/admin/login", "/admin/logout"))]
    assert len(paths) > 20
    with looking(world, who) as client:
        before = everything_there_is()
        for path, method in product(paths, ("get", "post")):
            response = getattr(client, method)(path)
            assert response.status_code in {301, 302, 403, 404}, path
            assert leaks(who, response.content.decode(), world) == [], path
        assert everything_there_is() == before
