"""System checks: misconfigurations, each with an id and a hint. ``manage.py check --deploy --database default``."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

LOCAL_HOSTS = {"localhost", "127.0.0.1", "[::1]", ".localhost", "testserver"}


@register(Tags.security)
def check_debug(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    """Debug pages show settings and local variables to whoever causes an error."""
    public = sorted(set(settings.ALLOWED_HOSTS) - LOCAL_HOSTS)
    if not (settings.DEBUG and public):
        return []
    hint = "Unset DEBUG, or let ALLOWED_HOSTS name this machine only."
    return [Error(f"DEBUG is on and the hosts {', '.join(public)} are served.", hint=hint, id="usage_dashboard.E001")]


@register(Tags.security, deploy=True)
def check_hosts(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    """A request's Host header ends up in links and redirects."""
    if settings.ALLOWED_HOSTS and "*" not in settings.ALLOWED_HOSTS:
        return []
    hint = "Set ALLOWED_HOSTS to the names that this service is reached by, such as usage.example.com."
    return [Error("ALLOWED_HOSTS is empty or admits every host.", hint=hint, id="usage_dashboard.E002")]


@register(Tags.database)
def check_default_organization(
    app_configs: object, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Calls that name no organization are booked on this one. The first of them would make it, in the zone UTC."""
    if "default" not in (databases or ()):
        return []
    with connections["default"].cursor() as cursor:
        if "accounts_organization" not in connections["default"].introspection.table_names(cursor):
            return []  # not migrated yet
        cursor.execute("SELECT 1 FROM accounts_organization WHERE slug = %s", [settings.DEFAULT_ORGANIZATION])
        if cursor.fetchone():
            return []
    slug = settings.DEFAULT_ORGANIZATION
    hint = "Add one that calls name so under Organizations, or set DEFAULT_ORGANIZATION to an existing slug."
    return [checks.Warning(f"The default organization {slug!r} does not exist.", hint=hint, id="usage_dashboard.W001")]


def refuse_unsafe_start() -> None:
    """Stop a server that would show debug pages to the world. Servers do not run system checks by themselves."""
    for message in check_debug(None):
        raise ImproperlyConfigured(f"{message.msg} {message.hint}")
