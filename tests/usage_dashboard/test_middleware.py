"""What is answered before any view is asked: probes by address, addresses that are too long, text no database holds."""

import gzip
import re

import brotli
import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Organization, User
from tests.cast import signed_in
from usage_dashboard.middleware import LONGEST_ADDRESS

PARTIAL = {"HX-Request": "true", "HX-Request-Type": "partial"}


@pytest.mark.django_db
@pytest.mark.parametrize("host", ["10.1.2.3:8000", "[2001:db8::1]", "whatever.example", "no host at all", ""])
@pytest.mark.parametrize("path", ["/health/live/", "/health/"])
def test_a_probe_may_come_by_any_host(client: Client, path: str, host: str) -> None:
    assert client.get(path, headers={"Host": host}).json()["status"] in {"ok", "warning"}
    assert client.get(path, headers={"Host": host}, secure=True).status_code == 200


@pytest.mark.parametrize("path", ["/health/details/", "/sign-in/", "/health/live"])
def test_everything_else_is_served_under_its_own_names_only(client: Client, path: str) -> None:
    assert client.get(path, headers={"Host": "whatever.example"}).status_code == 400


@pytest.mark.parametrize(
    "path",
    [
        "/admin/accounts/user/?q=%00",
        "/admin/accounts/user/?username=%00",
        "/admin/accounts/user/?%00=1",
        "/admin/accounts/user/a%00b/change/",
        "/admin/ledger/usageevent/?q=a%00b",
        "/admin/pricing/price/?model=%00",
        "/organizations/?q=%00",
        "/organizations/audit/?q=%00",
        "/choices/model/?q=%00",
        "/requests/?page=%00",
        "/pricing/?at=%00",
        "/nothing-here/?q=%00",
    ],
)
def test_an_address_cannot_hold_what_no_database_can(super_admin: User, path: str) -> None:
    assert signed_in(super_admin).get(path).status_code == 400


@pytest.mark.parametrize(
    "path",
    [
        "/sign-in/",
        "/password/",
        "/password/forgotten/",
        "/organizations/add/",
        "/organization/{organization}/members/invite/",
        "/organization/{organization}/projects/add/",
        "/organization/{organization}/settings/",
        "/organization/members/{person}/",
        "/pricing/edit/",
        "/playground/",
        "/admin/accounts/user/add/",
        "/admin/accounts/user/{person}/change/",
        "/admin/accounts/organization/add/",
    ],
)
def test_in_a_form_it_is_for_the_form_to_explain(super_admin: User, user: User, acme: Organization, path: str) -> None:
    """Whatever the field: each that a page offers is sent with a NUL in it."""
    client = Client() if path == "/sign-in/" or "forgotten" in path else signed_in(super_admin)
    path = path.format(organization=acme.pk, person=user.pk)
    page = client.get(path).content.decode()
    names = set(re.findall(r'<(?:input|textarea|select)[^>]* name="([^"]+)"', page)) - {"csrfmiddlewaretoken"}
    assert names
    assert client.post(path, dict.fromkeys(names, "a\x00b")).status_code in {200, 302, 400}
    for name in names:
        assert client.post(path, {name: "a\x00b"}).status_code in {200, 302, 400}, name


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["sessionid", "csrftoken", "messages"])
def test_nor_can_a_cookie(client: Client, name: str) -> None:
    r"""Cookies in quotes are unquoted: ``\000`` is how a browser gets a NUL through."""
    for path in ("/", "/nothing-here/"):
        assert client.get(path, headers={"Cookie": rf'{name}="abcdefgh\000"'}).status_code == 400


def test_nor_can_a_header(admin: User) -> None:
    for header in ("User-Agent", "X-Forwarded-For", "X-Open-Menu", "HX-Target"):
        assert signed_in(admin).get("/", headers={header: "a\x00b"}).status_code == 400


@pytest.mark.parametrize("path", ["/", "/requests/", "/nothing-here/"])
def test_an_address_that_is_too_long_is_told_so(client: Client, path: str) -> None:
    response = client.get(f"{path}?model={'x' * LONGEST_ADDRESS}")
    assert response.status_code == 414
    assert "This address is too long" in response.content.decode()
    assert "choose fewer values in the filters" in response.content.decode()


def test_an_address_as_long_as_it_may_be_is_read(admin: User) -> None:
    query = "?range=all&model="
    address = f"/{query}{'x' * (LONGEST_ADDRESS - 1 - len(query))}"
    assert signed_in(admin).get(address).status_code == 200
    assert signed_in(admin).get(f"{address}x").status_code == 414


def test_a_part_of_a_page_that_asks_for_too_much_leads_to_the_page_that_says_so(admin: User) -> None:
    address = f"{reverse('analytics')}?model={'x' * LONGEST_ADDRESS}"
    response = signed_in(admin).get(address, headers=PARTIAL)
    assert (response.status_code, response.headers["HX-Redirect"]) == (414, address)


def test_that_page_is_always_ours(client: Client) -> None:
    response = client.get(f"http://testserver//elsewhere.example/?{'x' * LONGEST_ADDRESS}", headers=PARTIAL)
    assert response.headers["HX-Redirect"].startswith("/%2Felsewhere.example/?x")


# Compression


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("br;q=0.5, gzip;q=0.1", "br"),
        ("gzip, br;q=0", "gzip"),
        ("gzip, br; q=0.0", "gzip"),
        ("brotli, gzip", "gzip"),
        ("gzip", "gzip"),
        ("identity", None),
        ("", None),
    ],
)
def test_an_answer_is_compressed_as_the_browser_takes_it(client: Client, accepted: str, encoding: str | None) -> None:
    plain = client.get("/password/forgotten/").content
    response = client.get("/password/forgotten/", headers={"Accept-Encoding": accepted})
    assert response.get("Content-Encoding") == encoding
    assert "Accept-Encoding" in response["Vary"]
    assert int(response["Content-Length"]) == len(response.content)
    decoded = {"br": brotli.decompress, "gzip": gzip.decompress, None: bytes}[encoding](response.content)
    assert len(decoded) == len(plain)  # the token in the form is another one each time


@pytest.mark.django_db
def test_the_size_of_a_compressed_answer_tells_nothing_exactly(client: Client) -> None:
    """BREACH: who may put words into a page, and sees its size on the line, guesses the rest of it by many sizes."""
    paddings = {len(client.get("/sign-in/", headers={"Accept-Encoding": "br"})["X-Padding"]) for _ in range(20)}
    assert len(paddings) > 1


@pytest.mark.django_db
def test_a_compressed_answer_has_a_weak_etag(super_admin: User) -> None:
    client = signed_in(super_admin)
    response = client.get("/api/v1/models", headers={"Accept-Encoding": "br"})
    assert response["Content-Encoding"] == "br"
    assert response["ETag"].startswith('W/"')
    assert client.get("/api/v1/models", headers={"If-None-Match": response["ETag"]}).status_code == 304
