"""System checks: each finds its misconfiguration and nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django.fixtures import Settings

from accounts.models import Organization
from usage_dashboard.checks import check_debug, check_default_organization, check_hosts, refuse_unsafe_start

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
    settings.DEBUG, settings.ALLOWED_HOSTS = debug, hosts
    assert check_debug(None) == []
    refuse_unsafe_start()


@pytest.mark.parametrize(("hosts", "found"), [([], 1), (["*"], 1), (["usage.example.com"], 0)])
def test_hosts_must_be_named(settings: Settings, hosts: list[str], found: int) -> None:
    settings.ALLOWED_HOSTS = hosts
    assert len(check_hosts(None)) == found


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
