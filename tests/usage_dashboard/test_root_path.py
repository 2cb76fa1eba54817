"""The ledger under a part of a host's addresses (ROOT_PATH), as production serves it to people and proxies."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMessage
from django.test import Client
from django.test.utils import override_script_prefix
from pytest_django.plugin import DjangoDbBlocker

from accounts import passwords
from accounts.models import Organization, User
from tests.cast import PASSWORD, signed_in
from tests.running_demo import ROOT
from tests.served import served
from usage_dashboard.settings import _root_path

pytestmark = pytest.mark.django_db(transaction=True)

UNDER = "/tools/usage"
NO_DATABASE = "postgresql://127.0.0.1:1/none"
"""For processes that need none, so that they do not prepare an embedded one."""
PARTIAL = {"HX-Request": "true", "HX-Request-Type": "partial", "HX-Target": "div#view"}
ADDRESS = re.compile(r'\b(?:href|src|action|hx-get|hx-post|data-from|data-answers|data-follow)="([^"#?][^"]*)"')


@pytest.fixture(scope="module")
def address(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    environment = {"ROOT_PATH": UNDER, "VAR_DIR": str(tmp_path_factory.mktemp("under")), "COMPRESS_STATIC": "0"}
    environment |= {"GROQ_API_KEY": "gsk_test", "GROQ_BASE_URL": "http://127.0.0.1:1"}
    environment |= {"SECRET_KEY": settings.SECRET_KEY}  # so that a session made by a test is one for the server
    command = [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity=0"]
    subprocess.run(command, cwd=ROOT, env=os.environ | environment | {"DATABASE_URL": NO_DATABASE}, check=True)
    with django_db_blocker.unblock(), served("tests.crashing:application", **environment) as address:
        yield address


class CuttingProxy(httpx.HTTPTransport):
    """A proxy that takes the root path off before it passes a request on."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path.decode()
        request.url = request.url.copy_with(raw_path=(path.removeprefix(UNDER) or "/").encode())
        return super().handle_request(request)


@pytest.fixture(params=["kept", "cut off"])
def browser(address: str, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """Behind a proxy that passes the whole path on, and behind one that cuts the root path off."""
    transport = CuttingProxy() if request.param == "cut off" else httpx.HTTPTransport()
    with httpx.Client(base_url=address, transport=transport, timeout=30) as client:
        yield client


def sign_in(browser: httpx.Client, person: User) -> None:
    browser.cookies.set("tools-usage-sessionid", signed_in(person).cookies["sessionid"].value)


def assert_all_lies_under_it(page: httpx.Response) -> None:
    found = ADDRESS.findall(page.text)
    assert found
    assert [address for address in found if not f"{address}/".startswith((f"{UNDER}/", "data:"))] == []


def test_a_visitor_is_led_to_the_sign_in_page_and_on(browser: httpx.Client, super_admin: User) -> None:
    first = browser.get(f"{UNDER}/")
    assert (first.status_code, first.headers["Location"]) == (302, f"{UNDER}/sign-in/?next={UNDER}/")
    assert_all_lies_under_it(browser.get(first.headers["Location"]))
    super_admin.password = PBKDF2PasswordHasher().encode(PASSWORD, "salt")  # the server takes none that the tests use
    super_admin.save()
    form = {"username": super_admin.username, "password": PASSWORD, "next": f"{UNDER}/requests/"}
    form["csrfmiddlewaretoken"] = browser.cookies["tools-usage-csrftoken"]
    after = browser.post(f"{UNDER}/sign-in/", data=form)
    assert (after.status_code, after.headers["Location"]) == (302, f"{UNDER}/requests/")
    cookies = {(cookie.name, cookie.path) for cookie in browser.cookies.jar}
    assert cookies == {("tools-usage-sessionid", UNDER), ("tools-usage-csrftoken", UNDER)}


def test_pages_and_their_parts_lead_to_addresses_under_it(
    browser: httpx.Client, super_admin: User, acme: Organization
) -> None:
    sign_in(browser, super_admin)
    for path in ("/", "/requests/", "/pricing/", "/playground/", "/organizations/", "/admin/", "/health/details/"):
        page = browser.get(f"{UNDER}{path}")
        assert page.status_code == 200, path
        assert_all_lies_under_it(page)
    part = browser.get(f"{UNDER}/requests/?range=all", headers=PARTIAL)
    assert_all_lies_under_it(part)
    assert part.headers["HX-Push-Url"] == f"{UNDER}/requests/?range=all"


def test_files_are_served_under_it(browser: httpx.Client) -> None:
    page = browser.get(f"{UNDER}/sign-in/")
    files = {address for address in ADDRESS.findall(page.text) if "/static/" in address}
    assert len(files) > 2
    assert {browser.get(file).status_code for file in files} == {200}


def test_pages_that_say_what_is_wrong_lead_back_under_it(browser: httpx.Client) -> None:
    for path, status in (("/nothing-here/", 404), ("/?q=%00", 400), (f"/?q={'x' * 20_000}", 414), ("/crash/", 500)):
        page = browser.get(f"{UNDER}{path}")
        assert page.status_code == status
        assert any(f'href="{UNDER}{start}"' in page.text for start in ("/", "/start/"))
        assert_all_lies_under_it(page)


def test_a_missing_slash_is_added_under_it(browser: httpx.Client) -> None:
    for path in ("/requests", ""):
        answer = browser.get(f"{UNDER}{path}")
        assert answer.is_redirect
        assert answer.headers["Location"] in {f"{UNDER}{path}/", f"{UNDER}/sign-in/?next={UNDER}/"}


@override_script_prefix(UNDER)  # which Django's handler does, and the tests' client does not
def test_a_link_in_a_mail_leads_under_it(client: Client, super_admin: User, mailoutbox: list[EmailMessage]) -> None:
    super_admin.email = "root@example.com"
    super_admin.save()
    client.post("/password/forgotten/", {"email": super_admin.email})
    passwords._post.submit(lambda: None).result(10)  # the mail before that is sent
    assert f"http://testserver{UNDER}/password/set/" in mailoutbox[0].body


def test_probes_need_no_root_path(address: str) -> None:
    for path in ("/health/live/", f"{UNDER}/health/live/"):
        assert httpx.get(f"{address}{path}", headers={"Host": "10.1.2.3"}).status_code == 200


PROBE = """
import django
django.setup()
from django.test import Client
print(Client().get("/health/live/", headers={"Host": "10.1.2.3"}).status_code)
"""


@pytest.mark.parametrize("root_path", ["", "/usage"])
def test_probes_need_no_tls(root_path: str, tmp_path: Path) -> None:
    """Nothing else is served without it."""
    environment = {"ROOT_PATH": root_path, "HTTPS": "1", "VAR_DIR": str(tmp_path)}
    environment |= {"DATABASE_URL": NO_DATABASE, "DJANGO_SETTINGS_MODULE": "usage_dashboard.settings"}
    command: dict[str, Any] = {"cwd": ROOT, "env": os.environ | environment, "text": True}
    assert subprocess.check_output([sys.executable, "-c", PROBE], **command) == "200\n"
    other = PROBE.replace("/health/live/", "/sign-in/").replace("10.1.2.3", "localhost")
    assert subprocess.check_output([sys.executable, "-c", other], **command) == "301\n"


@pytest.mark.parametrize(
    "root_path", ["usage", "/us age", "//usage", "/usage?", "/../usage", "https://example.com/usage"]
)
def test_a_root_path_that_is_none_stops_the_start(root_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOT_PATH", root_path)
    with pytest.raises(ImproperlyConfigured, match="ROOT_PATH must look like /usage"):
        _root_path()
