"""What answers say to browsers about themselves, and cookies."""

import os
import subprocess
import sys

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.models import User
from tests.cast import signed_in
from usage_dashboard.settings import BASE_DIR

PAGES = ("/", "/sign-in/", "/requests/", "/security/", "/nothing/", "/api/v1/me", "/api/v1/openapi.json")


@pytest.mark.parametrize("page", PAGES)
def test_every_page_says_how_it_may_be_used(user: User, page: str) -> None:
    response = signed_in(user).get(page)
    policy = dict(part.strip().partition(" ")[::2] for part in response.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'self'"
    assert {policy[name] for name in ("object-src", "base-uri", "frame-ancestors")} == {"'none'"}
    assert "script-src" not in policy, "scripts come from this host alone, and none is inline"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "same-origin"
    assert response.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "Access-Control-Allow-Origin" not in response.headers
    kind = response.headers.get("Content-Type", "")
    assert not kind.startswith("text/") or "charset=utf-8" in kind


@pytest.mark.parametrize(
    "page", ["/", "/requests/", "/sessions/", "/security/", "/tokens/", "/my-usage/", "/api/v1/me"]
)
def test_what_only_some_may_see_is_kept_by_no_cache(user: User, page: str) -> None:
    told = signed_in(user).get(page).headers["Cache-Control"]
    assert "private" in told
    assert "no-store" in told or page.startswith("/api/"), told


def test_signing_out_clears_what_the_browser_keeps(user: User) -> None:
    assert signed_in(user).post("/sign-out/").headers["Clear-Site-Data"] == '"cache"'


def test_trace_is_not_answered(user: User) -> None:
    for client in (Client(), signed_in(user)):
        assert client.trace("/").status_code in (302, 405)
        assert client.trace("/sign-in/").status_code in (302, 405)


@pytest.mark.parametrize("path", ["/static/", "/static/css/", "/.git/config", "/manage.py", "/static/../manage.py"])
def test_nothing_but_static_files_is_served(db: None, path: str, settings: Settings) -> None:
    settings.WHITENOISE_AUTOREFRESH = False  # as in production
    assert Client().get(path).status_code == 404


@pytest.mark.parametrize(
    ("given", "session"),
    [
        ({"HTTPS": "1"}, "__Host-sessionid"),
        ({"HTTPS": "1", "ROOT_PATH": "/usage"}, "__Secure-usage-sessionid"),
        ({"HTTPS": "0"}, "sessionid"),
    ],
)
def test_cookies_are_bound_to_this_host_over_https(given: dict[str, str], session: str) -> None:
    names = ("SESSION_COOKIE_NAME", "SESSION_COOKIE_SECURE", "SESSION_COOKIE_HTTPONLY", "SESSION_COOKIE_SAMESITE")
    program = f"from django.conf import settings; print([getattr(settings, name) for name in {names}])"
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "usage_dashboard.settings"} | given
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=BASE_DIR, env=environment, capture_output=True, text=True
    )
    assert done.stdout.strip() == str([session, given["HTTPS"] == "1", True, "Lax"]), done.stderr
