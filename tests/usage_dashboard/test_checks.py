"""System checks: each finds its misconfiguration and nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django.fixtures import Settings

from accounts.models import Organization
from usage_dashboard.checks import (
    check_debug,
    check_default_organization,
    check_hosts,
    check_https,
    check_organizations_of_single_sign_on,
    check_room_for_pages,
    check_secret_key,
    check_single_sign_on,
    refuse_unsafe_start,
)

ROOT = Path(__file__).parent.parent.parent


def test_debug_on_a_public_host_is_an_error_and_stops_the_server(settings: Settings) -> None:
    settings.DEBUG, settings.ALLOWED_HOSTS = True, ["localhost", "usage.example.com"]
    (error,) = check_debug(None)
    assert error.id == "usage_dashboard.E001"
    assert error.hint
    with pytest.raises(ImproperlyConfigured, match=r"usage\.example\.com"):
        refuse_unsafe_start()


@pytest.mark.parametrize(("debug", "hosts"), [(True, ["localhost", "[::1]"]), (False, ["usage.example.com"])])
def test_debug_at_home_and_public_hosts_without_it_are_well(settings: Settings, debug: bool, hosts: list[str]) -> None:
    settings.DEBUG, settings.ALLOWED_HOSTS, settings.HTTPS = debug, hosts, True
    assert check_debug(None) == []
    refuse_unsafe_start()


@pytest.mark.parametrize(("hosts", "found"), [([], 1), (["*"], 1), (["usage.example.com"], 0)])
def test_hosts_must_be_named(settings: Settings, hosts: list[str], found: int) -> None:
    settings.ALLOWED_HOSTS = hosts
    assert len(check_hosts(None)) == found


GOOD_KEY = "kQ3_x9" * 11


@pytest.mark.parametrize("key", ["short", "a" * 60, "django-insecure-" + GOOD_KEY])
def test_a_key_that_can_be_guessed_stops_the_server(settings: Settings, key: str) -> None:
    settings.SECRET_KEY = key
    (error,) = check_secret_key(None)
    assert error.id == "usage_dashboard.E004"
    with pytest.raises(ImproperlyConfigured, match="token_urlsafe"):
        refuse_unsafe_start()
    settings.SECRET_KEY = GOOD_KEY
    assert check_secret_key(None) == []


@pytest.mark.parametrize(
    ("https", "insecure", "hosts", "found"),
    [
        (False, False, ["usage.example.com", "localhost"], 1),
        (False, False, ["10.0.0.7"], 1),
        (False, False, ["localhost", "127.0.0.1", "[::1]"], 0),
        (True, False, ["usage.example.com"], 0),
        (False, True, ["usage.example.com"], 0),
    ],
)
def test_other_machines_are_not_served_in_the_clear(
    settings: Settings, https: bool, insecure: bool, hosts: list[str], found: int
) -> None:
    settings.HTTPS, settings.INSECURE_HTTP, settings.ALLOWED_HOSTS = https, insecure, hosts
    assert len(check_https(None)) == found


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"DEBUG": "1", "ALLOWED_HOSTS": "usage.example.com"}, "Unset DEBUG"),
        ({"ALLOWED_HOSTS": ""}, "Set ALLOWED_HOSTS"),
        ({"ALLOWED_HOSTS": "*"}, "Set ALLOWED_HOSTS"),
        ({"SECRET_KEY": "secret"}, "token_urlsafe"),
        ({"ALLOWED_HOSTS": "usage.example.com"}, "Set HTTPS=1"),
        ({"SECOND_FACTOR_FOR": "admin"}, "nobody, admins, everybody"),
        ({"OIDC_ISSUER": "https://id.example.com"}, "OIDC_CLIENT_ID is missing"),
        ({"OIDC_ROLES": "not JSON"}, "must be a JSON object"),
    ],
)
def test_an_unsafe_server_does_not_start_and_says_what_to_set(environment: dict[str, str], said: str) -> None:
    command = [sys.executable, "-c", "import usage_dashboard.asgi"]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode != 0
    assert said in done.stderr


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, []),
        ({"OIDC_CLIENT_SECRET": ""}, ["OIDC_CLIENT_SECRET is missing."]),
        ({"OIDC_ISSUER": "http://id.example.com"}, ["OIDC_ISSUER is no https address."]),
        ({"OIDC_ISSUER": "http://localhost:8080"}, []),
        ({"OIDC_ROLES": {"x": "Root"}}, ["There are no roles Root; they are Super Admin, Admin, User."]),
        ({"OIDC_DEFAULT_ROLE": ""}, []),
        ({"OIDC_SCOPES": ["email"]}, ["OIDC_SCOPES does not have openid."]),
    ],
)
def test_single_sign_on_is_whole_or_refused(settings: Settings, changes: dict[str, object], found: list[str]) -> None:
    settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = (
        "https://id.example.com",
        "id",
        "secret",
    )
    for name, value in changes.items():
        setattr(settings, name, value)
    assert [message.msg for message in check_single_sign_on(None)] == found


def test_single_sign_on_into_nowhere_is_warned_of(settings: Settings, acme: Organization) -> None:
    settings.OIDC_ISSUER, settings.OIDC_ORGANIZATION = "https://id.example.com", "acme"
    assert check_organizations_of_single_sign_on(None, databases=["default"]) == []
    settings.OIDC_ORGANIZATION = "nobody"
    assert [m.id for m in check_organizations_of_single_sign_on(None, databases=["default"])] == [
        "usage_dashboard.W002"
    ]


def test_the_default_organization_must_exist(settings: Settings, acme: Organization) -> None:
    settings.DEFAULT_ORGANIZATION = "acme"
    assert check_default_organization(None, databases=["default"]) == []
    settings.DEFAULT_ORGANIZATION = "nobody"
    assert [message.id for message in check_default_organization(None, databases=["default"])] == [
        "usage_dashboard.W001"
    ]
    assert check_default_organization(None, databases=None) == [], "only when the database is asked for"


def test_a_proper_deployment_has_no_warnings() -> None:
    environment = os.environ | {"HTTPS": "1", "SECRET_KEY": "kQ3_x9" * 11, "ALLOWED_HOSTS": "example.com", "DEBUG": "0"}
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("given", "for_all"), [({}, False), ({"HSTS_SUBDOMAINS": "1"}, True)])
def test_a_companys_other_hosts_are_bound_only_on_demand(given: dict[str, str], for_all: bool) -> None:
    environment = os.environ | {"HTTPS": "1", "DJANGO_SETTINGS_MODULE": "usage_dashboard.settings"} | given
    names = ("SECURE_HSTS_SECONDS", "SECURE_HSTS_INCLUDE_SUBDOMAINS", "SECURE_HSTS_PRELOAD", "SILENCED_SYSTEM_CHECKS")
    program = f"from django.conf import settings; print([getattr(settings, name) for name in {names}])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == str([31_536_000, for_all, for_all, ["security.W005", "security.W021"]]), done.stderr


def test_exports_leave_pages_a_connection(settings: Settings) -> None:
    held = settings.DATABASES["default"]["OPTIONS"]["pool"]["max_size"]
    settings.MAX_EXPORTS = held - 1
    assert check_room_for_pages(None) == []
    settings.MAX_EXPORTS = held
    (warning,) = check_room_for_pages(None)
    assert warning.id == "usage_dashboard.W003"
