"""Functions that make people and connections for tests. The shared people are fixtures in conftest.py."""

import importlib
from datetime import UTC, datetime

import psycopg
from django.contrib.auth.models import Group, Permission
from django.db import connections
from django.test import Client

from accounts.models import Organization, Role, User

PASSWORD = "correct horse battery"


def make_groups() -> None:
    """Make the groups of the migrations again, after Django's flush has deleted them."""
    if Group.objects.exists():
        return
    names = importlib.import_module("accounts.migrations.0002_groups").GROUPS
    permissions = {
        f"{p.content_type.app_label}.{p.codename}": p for p in Permission.objects.select_related("content_type")
    }
    for name, granted in names.items():
        Group.objects.create(name=name).permissions.set(permissions[permission] for permission in granted)


def make_user(username: str, role: Role | None = None, organization: Organization | None = None) -> User:
    """Somebody who can sign in with PASSWORD."""
    user = User.objects.create_user(username, password=PASSWORD, organization=organization)
    if role is not None:
        user.groups.add(Group.objects.get(name=role))
    return user


def zone_at_noon() -> str:
    """A time zone where it is about noon now, so that midnight does not fall into a test."""
    return f"Etc/GMT{datetime.now(UTC).hour - 12:+d}"  # whose signs are the other way round


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def connect() -> "psycopg.Connection[tuple[object, ...]]":
    """A connection like the recorder's, in autocommit mode and outside Django. It sees only committed rows."""
    parameters = connections["default"].get_connection_params()
    for of_django in ("cursor_factory", "context", "prepare_threshold", "client_encoding", "pool"):
        parameters.pop(of_django, None)
    return psycopg.connect(**parameters, autocommit=True)
