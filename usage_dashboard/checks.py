"""System checks for misconfigurations, each with an id and a hint: ``manage.py check --deploy --database default``."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from accounts.models import ProviderKey
from accounts.provider_keys import unreadable_provider_keys

LOCAL_HOSTS = {"localhost", "127.0.0.1", "[::1]", ".localhost", "testserver"}


@register(Tags.security)
def check_debug(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    """Refuses DEBUG on public hosts: debug pages show settings and local variables to anybody who causes an error."""
    public = sorted(set(settings.ALLOWED_HOSTS) - LOCAL_HOSTS)
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


def refuse_unsafe_start() -> None:
    """Stop a server that would show debug pages to everybody, because servers do not run the system checks."""
    for message in check_debug(None):
        raise ImproperlyConfigured(f"{message.msg} {message.hint}")
