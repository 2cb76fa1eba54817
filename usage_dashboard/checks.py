"""System checks for misconfigurations, each with an id and a hint: ``manage.py check --deploy --database default``."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from accounts.models import Organization, ProviderKey, Role
from accounts.provider_keys import unreadable_provider_keys

LOCAL_HOSTS = {"localhost", "127.0.0.1", "[::1]", ".localhost", "testserver"}
SHORTEST_KEY = 50
FEWEST_LETTERS = 5
SECOND_FACTOR_FOR = ("nobody", "admins", "everybody")


def public_hosts() -> list[str]:
    """The names in ALLOWED_HOSTS by which other machines can reach this service."""
    return sorted(set(settings.ALLOWED_HOSTS) - LOCAL_HOSTS)


@register(Tags.security)
def check_debug(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    """Refuses DEBUG on public hosts: debug pages show settings and local variables to anybody who causes an error."""
    public = public_hosts()
    if not (settings.DEBUG and public):
        return []
    hint = "Unset DEBUG, or let ALLOWED_HOSTS name this machine only."
    return [Error(f"DEBUG is on and the hosts {', '.join(public)} are served.", hint=hint, id="usage_dashboard.E001")]


@register(Tags.security, deploy=True)
def check_hosts(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    """Refuses ALLOWED_HOSTS that admit every host, because the Host header is used in links and redirects."""
    if settings.ALLOWED_HOSTS and "*" not in settings.ALLOWED_HOSTS:
        return []
    hint = "Set ALLOWED_HOSTS to the names that this service is reached by, such as usage.example.com."
    return [Error("ALLOWED_HOSTS is empty or admits every host.", hint=hint, id="usage_dashboard.E002")]


@register(Tags.security)
def check_secret_key(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    """Refuses a SECRET_KEY that can be guessed, with which anybody could make links and sessions."""
    key = settings.SECRET_KEY
    is_known = key.startswith("django-insecure-")
    if len(key) >= SHORTEST_KEY and len(set(key)) >= FEWEST_LETTERS and not is_known:
        return []
    hint = "Set it to the output of: python -c 'import secrets; print(secrets.token_urlsafe(64))', or unset it."
    message = f"SECRET_KEY is {'an example' if is_known else 'too short or too simple'}."
    return [Error(message, hint=hint, id="usage_dashboard.E004")]


@register(Tags.security)
def check_https(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    """Refuses to serve other machines in the clear: passwords, sessions and keys would cross the network readable."""
    public = public_hosts()
    if settings.HTTPS or settings.INSECURE_HTTP or not public:
        return []
    hint = "Set HTTPS=1 behind a proxy that speaks TLS. INSECURE_HTTP=1 says that you know, and serves it nonetheless."
    message = f"The hosts {', '.join(public)} are served without HTTPS."
    return [Error(message, hint=hint, id="usage_dashboard.E005")]


@register(Tags.security)
def check_second_factor(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    """Refuses a value that nobody could mean: it would let everybody in with a password alone."""
    if settings.SECOND_FACTOR_FOR in SECOND_FACTOR_FOR:
        return []
    hint = f"Set it to one of: {', '.join(SECOND_FACTOR_FOR)}."
    message = f"SECOND_FACTOR_FOR is {settings.SECOND_FACTOR_FOR!r}."
    return [Error(message, hint=hint, id="usage_dashboard.E006")]


@register(Tags.security)
def check_single_sign_on(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    """Refuses single sign-on that is half set up, or in the clear, or gives roles that do not exist."""
    if not settings.OIDC_ISSUER:
        return []
    issuer, roles = urlsplit(settings.OIDC_ISSUER), list(Role)
    unknown = sorted({*settings.OIDC_ROLES.values(), settings.OIDC_DEFAULT_ROLE} - {*roles, ""})
    wrong = {
        "OIDC_CLIENT_ID is missing.": not settings.OIDC_CLIENT_ID,
        "OIDC_CLIENT_SECRET is missing.": not settings.OIDC_CLIENT_SECRET,
        "OIDC_ISSUER is no https address.": issuer.scheme != "https" and issuer.hostname not in LOCAL_HOSTS,
        f"There are no roles {', '.join(unknown)}; they are {', '.join(roles)}.": bool(unknown),
        "OIDC_SCOPES does not have openid.": "openid" not in settings.OIDC_SCOPES,
    }
    hint = "docs/configuration.md lists what single sign-on needs. Without OIDC_ISSUER there is none."
    return [Error(text, hint=hint, id="usage_dashboard.E007") for text, is_wrong in wrong.items() if is_wrong]


@register(Tags.database)
def check_organizations_of_single_sign_on(
    app_configs: object, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Warns of organizations that the settings of single sign-on name and that do not exist: nobody gets into them."""
    if "default" not in (databases or ()) or not settings.OIDC_ISSUER:
        return []
    if Organization._meta.db_table not in connections["default"].introspection.table_names():
        return []  # The tables do not exist yet.
    by_claim = set(settings.OIDC_ORGANIZATIONS.values())
    named = by_claim if settings.OIDC_ORGANIZATION_CLAIM else {settings.OIDC_ORGANIZATION}
    missing = sorted(named - set(Organization.objects.filter(slug__in=named).values_list("slug", flat=True)))
    hint = "Add them under Organizations; nobody is made an organization by signing in."
    message = f"The settings of single sign-on name organizations that do not exist: {', '.join(missing)}."
    return [checks.Warning(message, hint=hint, id="usage_dashboard.W002")] if missing else []


@register(Tags.files)
def check_export_folder(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    """Refuses a folder for scheduled exports that is not one, or that this process cannot write to."""
    folder = settings.EXPORT_FOLDER
    if not folder or (Path(folder).is_absolute() and Path(folder).is_dir() and os.access(folder, os.W_OK)):
        return []
    hint = "Make the directory, let the worker's user write to it, and set EXPORT_FOLDER to its absolute path."
    told = f"EXPORT_FOLDER is {folder!r}, which is no directory to write to."
    return [Error(told, hint=hint, id="usage_dashboard.E020")]


@register(Tags.database)
def check_room_for_pages(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    """Warns if exports may hold all connections of a process: its pages would wait until an export ends."""
    connections_held = settings.DATABASES["default"]["OPTIONS"]["pool"]["max_size"]
    if connections_held > settings.MAX_EXPORTS:
        return []
    hint = "Set DATABASE_POOL_SIZE to more than MAX_EXPORTS."
    message = f"{settings.MAX_EXPORTS} exports at once leave pages none of the {connections_held} connections."
    return [checks.Warning(message, hint=hint, id="usage_dashboard.W003")]


@register(Tags.database)
def check_default_organization(
    app_configs: object, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Warns if the organization for calls that name none is missing. The first such call would make it, in UTC."""
    if "default" not in (databases or ()):
        return []
    with connections["default"].cursor() as cursor:
        if "accounts_organization" not in connections["default"].introspection.table_names(cursor):
            return []  # The tables do not exist yet.
        cursor.execute("SELECT 1 FROM accounts_organization WHERE slug = %s", [settings.DEFAULT_ORGANIZATION])
        if cursor.fetchone():
            return []
    slug = settings.DEFAULT_ORGANIZATION
    hint = "Add one that calls name so under Organizations, or set DEFAULT_ORGANIZATION to an existing slug."
    return [checks.Warning(f"The default organization {slug!r} does not exist.", hint=hint, id="usage_dashboard.W001")]


@register(Tags.database)
def check_provider_keys(
    app_configs: object, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Refuses stored keys for Groq that cannot be decrypted: their organizations cannot call Groq."""
    if "default" not in (databases or ()):
        return []
    if ProviderKey._meta.db_table not in connections["default"].introspection.table_names():
        return []  # The tables do not exist yet.
    names = ", ".join(unreadable_provider_keys())
    if not names:
        return []
    hint = "Set PROVIDER_KEY_SECRET to the value that it had when the keys were entered, or remove them under Keys."
    message = f"PROVIDER_KEY_SECRET does not decrypt the keys for Groq of: {names}."
    return [Error(message, hint=hint, id="usage_dashboard.E003")]


REFUSED = (check_debug, check_hosts, check_secret_key, check_https, check_second_factor, check_single_sign_on)


def refuse_unsafe_start() -> None:
    """Stop a server whose settings are not safe, because servers do not run the system checks."""
    for check in REFUSED:
        for message in check(None):
            raise ImproperlyConfigured(f"{message.msg} {message.hint}")
