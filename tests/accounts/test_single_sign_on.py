"""Single sign-on with a real server of OpenID Connect: who comes in, as whom, and who does not."""

import html
import re
import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from allauth.socialaccount.models import SocialAccount
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from django.http import HttpResponse
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.models import AuditRecord, Organization, Role, Standing, User
from accounts.roles import set_role
from accounts.second_factor.sign_in import VISITS
from accounts.single_sign_on import provider as of_provider
from accounts.single_sign_on.claims import newcomer
from tests.accounts.apps import code, confirmed_long_ago, give_app
from tests.accounts.identity_provider import KID, IdentityProvider, identity_provider
from tests.cast import make_user, signed_in

DORA = {"email": "Dora@acme.example", "email_verified": True, "given_name": "Dora", "family_name": "Day"}


@pytest.fixture(scope="module")
def server() -> Iterator[IdentityProvider]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
        with identity_provider() as running:
            yield running


@pytest.fixture
def company(server: IdentityProvider, settings: Settings, acme: Organization) -> IdentityProvider:
    """The identity provider of Acme, whose groups say who is what."""
    use(server, settings)
    settings.OIDC_ORGANIZATION_CLAIM, settings.OIDC_ORGANIZATIONS = "company", {"Acme Inc.": "acme", "Globex": "globex"}
    settings.OIDC_ROLE_CLAIM = "realm.groups"
    settings.OIDC_ROLES = {"groq-admins": "Admin", "groq-root": "Super Admin"}
    return server


def use(server: IdentityProvider, settings: Settings) -> None:
    of_provider._known.clear()
    settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = server.url, "ledger", "a secret"
    settings.OIDC_NAME = "Acme SSO"


def way_of(client: Client, **data: str) -> str:
    page = client.post("/sign-in/sso/", data).content.decode()
    match = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', page)
    assert match, page
    return html.unescape(match[1])


def come(client: Client, server: IdentityProvider, subject: str | None, **data: str) -> HttpResponse:
    back = server.sign_in(way_of(client, **data), subject)
    assert back.startswith("http://testserver/sign-in/sso/callback/?")
    response: HttpResponse = client.get(back)  # type: ignore[assignment]
    return response


def is_signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def told(server: IdentityProvider, subject: str, /, *groups: str, **claims: Any) -> None:
    server.knows(subject, **{"company": "Acme Inc.", "realm": {"groups": list(groups)}, **claims})


def test_a_newcomer_gets_an_account_in_the_organization_and_role_of_the_claims(
    company: IdentityProvider, client: Client, acme: Organization
) -> None:
    told(company, "d-1", "groq-admins", "tennis", **DORA)
    assert come(client, company, "d-1", next="/tokens/")["Location"] == "/tokens/"
    dora = User.objects.get(email="dora@acme.example")
    assert (dora.organization, dora.role, dora.username, dora.get_full_name()) == (
        acme, Role.ADMIN, "dora@acme.example", "Dora Day",
    )  # fmt: skip
    assert dora.standing is Standing.ACTIVE
    assert not dora.has_usable_password()
    assert client.get("/organization/", follow=True).status_code == 200
    record = AuditRecord.objects.get()
    assert (record.action, record.actor, record.organization) == ("member.join", None, acme)
    assert SocialAccount.objects.get().extra_data == {}, "nothing of the claims is kept but the id"


def test_the_sign_in_page_offers_it_only_where_it_is_set_up(company: IdentityProvider, settings: Settings) -> None:
    assert b"Sign in with Acme SSO" in Client().get("/sign-in/").content
    settings.OIDC_ISSUER = ""
    assert b"/sso/" not in Client().get("/sign-in/").content
    assert Client().post("/sign-in/sso/").status_code == 404
    assert Client().get("/sign-in/sso/callback/?code=x&state=y").status_code == 404


def test_who_comes_again_is_the_same_person(company: IdentityProvider) -> None:
    told(company, "d-2", **DORA)
    for email in ("dora@acme.example", "other@acme.example"):
        told(company, "d-2", **DORA | {"email": email})
        assert come(Client(), company, "d-2").status_code == 302
    assert User.objects.count() == SocialAccount.objects.count() == 1


def test_calls_recorded_so_far_become_the_newcomers(
    company: IdentityProvider, client: Client, acme: Organization
) -> None:
    known = User.objects.create(organization=acme, username="x", handle="dora", is_active=False, password="!")
    told(company, "d-3", **DORA)
    come(client, company, "d-3")
    assert User.objects.get(email="dora@acme.example") == known


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example/", "javascript:alert(1)"])
def test_it_never_leads_elsewhere(company: IdentityProvider, client: Client, elsewhere: str) -> None:
    told(company, "d-4", **DORA)
    assert come(client, company, "d-4", next=elsewhere)["Location"] == "/start/"


# Who is who already


def member(acme: Organization, **more: Any) -> User:
    person = make_user("dora@acme.example", Role.USER, acme)
    User.objects.filter(pk=person.pk).update(email="dora@acme.example", **more)
    return User.objects.get(pk=person.pk)


def test_a_verified_address_is_the_members(company: IdentityProvider, client: Client, acme: Organization) -> None:
    person = member(acme)
    told(company, "d-5", **DORA)
    assert come(client, company, "d-5").status_code == 302
    assert client.session["_auth_user_id"] == str(person.pk)
    assert [record.action for record in AuditRecord.objects.all()] == ["member.link"]


@pytest.mark.parametrize(
    "verified",
    [{"email_verified": False}, {"email_verified": "false"}, {"email_verified": None}, {"email_verified": 1.5}],
)
def test_an_unverified_address_takes_over_no_account_and_makes_none(
    company: IdentityProvider, client: Client, acme: Organization, verified: dict[str, Any]
) -> None:
    member(acme)
    told(company, "d-6", **DORA | verified)
    response = come(client, company, "d-6")
    assert response.status_code == 403
    assert b"does not vouch for your e-mail address" in response.content
    assert not is_signed_in(client)
    assert not SocialAccount.objects.exists()
    assert User.objects.count() == 1


def test_an_operator_may_trust_all_addresses(company: IdentityProvider, client: Client, settings: Settings) -> None:
    settings.OIDC_TRUST_EMAIL = True
    company.knows("d-7", company="Acme Inc.", email="dora@acme.example")
    assert come(client, company, "d-7").status_code == 302


def test_a_second_identity_does_not_take_over_the_first_ones_account(company: IdentityProvider) -> None:
    told(company, "d-8", **DORA)
    told(company, "mallory", **DORA)
    come(Client(), company, "d-8")
    client = Client()
    assert come(client, company, "mallory").status_code == 403
    assert not is_signed_in(client)


def test_another_organizations_member_stays_who_they_are(
    company: IdentityProvider, client: Client, globex: Organization
) -> None:
    person = member(globex)
    told(company, "d-9", **DORA)
    come(client, company, "d-9")
    assert client.session["_auth_user_id"] != str(person.pk)


def test_who_was_deactivated_stays_out(company: IdentityProvider, acme: Organization) -> None:
    told(company, "d-10", **DORA)
    come(Client(), company, "d-10")
    User.objects.update(is_active=False)
    client = Client()
    assert b"not active" in come(client, company, "d-10").content
    SocialAccount.objects.all().delete()
    assert b"not active" in come(client, company, "d-10").content, "by the address neither"
    assert not is_signed_in(client)


# Roles and organizations


def test_nobody_is_super_admin_unless_the_settings_say_so(company: IdentityProvider, acme: Organization) -> None:
    told(company, "d-11", "Super Admin", **DORA)
    come(Client(), company, "d-11")
    assert User.objects.get().role is Role.USER
    told(company, "d-11", "groq-root", "groq-admins", **DORA)
    come(Client(), company, "d-11")
    assert User.objects.get().role is Role.SUPER_ADMIN


def test_an_address_does_not_give_a_super_admins_account(company: IdentityProvider, acme: Organization) -> None:
    set_role(member(acme), Role.SUPER_ADMIN)
    told(company, "d-12", "groq-admins", **DORA)
    client = Client()
    assert come(client, company, "d-12").status_code == 403
    told(company, "d-12", "groq-root", **DORA)
    assert come(client, company, "d-12").status_code == 302


def test_role_and_organization_follow_the_claims(
    company: IdentityProvider, acme: Organization, globex: Organization
) -> None:
    told(company, "d-13", **DORA)
    come(Client(), company, "d-13")
    told(company, "d-13", "groq-admins", **DORA | {"company": "Globex"})
    come(Client(), company, "d-13")
    dora = User.objects.get()
    assert (dora.organization, dora.role) == (globex, Role.ADMIN)
    actions = [(record.action, record.organization) for record in AuditRecord.objects.order_by("pk")]
    assert actions == [
        ("member.join", acme), ("member.leave", acme), ("member.join", globex), ("role.change", globex),
    ]  # fmt: skip
    told(company, "d-13", **DORA | {"company": "nobody's"})
    assert come(Client(), company, "d-13").status_code == 403, "whom the claims put nowhere stays out"


def test_they_stay_as_an_admin_has_set_them_if_the_settings_say_so(
    company: IdentityProvider, settings: Settings, acme: Organization
) -> None:
    settings.OIDC_UPDATES = False
    told(company, "d-14", **DORA)
    come(Client(), company, "d-14")
    told(company, "d-14", "groq-root", **DORA | {"company": "Globex"})
    assert come(Client(), company, "d-14").status_code == 302
    assert (User.objects.get().organization, User.objects.get().role) == (acme, Role.USER)


def test_the_last_super_admin_stays_one(company: IdentityProvider, acme: Organization) -> None:
    told(company, "d-15", "groq-root", **DORA)
    come(Client(), company, "d-15")
    told(company, "d-15", **DORA)
    assert come(Client(), company, "d-15").status_code == 302
    assert User.objects.get().role is Role.SUPER_ADMIN


def test_nobody_gets_in_without_an_organization_or_a_role(company: IdentityProvider, settings: Settings) -> None:
    told(company, "d-16", **DORA | {"company": "Initech"})
    assert b"which organization" in come(Client(), company, "d-16").content
    settings.OIDC_DEFAULT_ROLE = ""
    told(company, "d-16", "tennis", **DORA)
    assert b"no role" in come(Client(), company, "d-16").content
    assert not User.objects.exists()


@pytest.mark.parametrize(
    "odd", [["groups"], {"groups": 5}, {"groups": None}, "groq-root", {"groups": [["groq-root"]]}, {}]
)
def test_odd_claims_give_nothing(company: IdentityProvider, odd: Any) -> None:
    made = newcomer(
        {"sub": "x", "realm": odd, "email": ["a@b.example"], "email_verified": True, "name": 7, "company": 5}
    )
    assert (made.role, made.email, made.first_name, made.organization) == (Role.USER, "", "", None)


# The second factor


def test_the_own_second_factor_is_asked_for(company: IdentityProvider, client: Client, acme: Organization) -> None:
    give_app(member(acme))
    told(company, "d-17", **DORA)
    assert come(client, company, "d-17", next="/tokens/")["Location"] == "/sign-in/second/"
    assert not is_signed_in(client)
    assert client.post("/sign-in/second/", {"code": code()})["Location"] == "/tokens/"


def test_one_that_was_shown_to_the_provider_counts(
    company: IdentityProvider, settings: Settings, acme: Organization
) -> None:
    settings.SECOND_FACTOR_FOR = "everybody"
    for methods, location in ((["pwd"], "/security/"), (["pwd", "mfa"], None)):
        told(company, "d-18", **DORA, amr=methods)
        client = Client()
        come(client, company, "d-18")
        assert client.get("/").headers.get("Location") == location


def test_who_has_no_password_confirms_at_the_provider(company: IdentityProvider, client: Client) -> None:
    told(company, "d-19", **DORA)
    come(client, company, "d-19")
    confirmed_long_ago(client)
    page = client.get("/security/app/", follow=True)
    assert b"sign in again" in page.content
    assert "prompt=login" in way_of(client, next="/security/app/")
    assert come(client, company, "d-19", next="/security/app/")["Location"] == "/security/app/"
    assert client.get("/security/app/").status_code == 200


@pytest.mark.parametrize(("ago", "is_confirmed"), [(5, True), (3_600, False)])
def test_who_was_not_asked_by_the_provider_has_confirmed_nothing(
    ago: int, is_confirmed: bool, settings: Settings, acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider lets whoever is signed in there through, also somebody else at a computer that was left alone."""
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    claims = {"auth_time": int(time.time()) - ago}
    with identity_provider(lambda told, key: jwt.encode(told | claims, key, "RS256", {"kid": KID})) as server:
        use(server, settings)
        settings.OIDC_ORGANIZATION = "acme"
        server.knows("d-30", **DORA)
        client = Client()
        come(client, server, "d-30")
    assert is_signed_in(client)
    assert (client.get("/security/app/").status_code == 200) == is_confirmed


# Who does not come from there


def test_one_address_does_not_begin_without_end(
    company: IdentityProvider, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(VISITS, "most", 3)
    VISITS._counted.clear()
    assert client.post("/sign-in/sso/").status_code == 200
    assert 503 in [client.post("/sign-in/sso/").status_code for _ in range(6)]
    assert 429 in [client.get("/sign-in/passkey/").status_code for _ in range(6)]


def test_who_cancels_is_not_signed_in(company: IdentityProvider, client: Client) -> None:
    assert come(client, company, None).status_code == 403
    assert not is_signed_in(client)


def test_what_another_browser_has_begun_is_not_taken(company: IdentityProvider, client: Client) -> None:
    told(company, "d-20", **DORA)
    back = company.sign_in(way_of(Client()), "d-20")
    for address in (back, "/sign-in/sso/callback/", "/sign-in/sso/callback/?code=x&state=y"):
        assert client.get(address).status_code == 403
    assert not is_signed_in(client)


def test_what_comes_back_is_taken_once(company: IdentityProvider, client: Client) -> None:
    told(company, "d-21", **DORA)
    back = company.sign_in(way_of(client), "d-21")
    assert [client.get(back).status_code, client.get(back).status_code] == [302, 403]


def test_the_provider_is_asked_with_pkce_state_and_nonce(company: IdentityProvider, client: Client) -> None:
    way = way_of(client)
    assert "code_challenge_method=S256" in way
    assert all(f"{name}=" in way for name in ("state", "nonce", "code_challenge"))
    assert "a+secret" not in way
    assert client.get("/sign-in/sso/").status_code == 405, "no other page starts it by a link"


def other_key() -> RSAPrivateKey:
    return generate_private_key(65_537, 2_048)


HEADERS = {"kid": KID}
LIES = {
    "unsigned": lambda claims, key: jwt.encode(claims, None, "none", HEADERS),
    "signed by another": lambda claims, key: jwt.encode(claims, other_key(), "RS256", HEADERS),
    "signed with the public key": lambda claims, key: jwt.encode(claims, "x" * 32, "HS256", HEADERS),
    "by an unknown key": lambda claims, key: jwt.encode(claims, key, "RS256", {"kid": "?"}),
    "for another audience": lambda claims, key: jwt.encode(claims | {"aud": "other"}, key, "RS256", HEADERS),
    "by another issuer": lambda claims, key: jwt.encode(
        claims | {"iss": "https://evil.example"}, key, "RS256", HEADERS
    ),
    "expired": lambda claims, key: jwt.encode(claims | {"exp": int(time.time()) - 90}, key, "RS256", HEADERS),
    "of an earlier sign-in": lambda claims, key: jwt.encode(claims | {"nonce": "old"}, key, "RS256", HEADERS),
    "about another person": lambda claims, key: jwt.encode(claims | {"sub": "root"}, key, "RS256", HEADERS),
    "without a person": lambda claims, key: jwt.encode(claims | {"sub": ""}, key, "RS256", HEADERS),
    "no token": lambda claims, key: "x.y.z",
}


@pytest.mark.parametrize("lie", ["none at all", *LIES])
def test_an_id_token_that_does_not_hold_is_not_believed(
    lie: str, settings: Settings, acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    truth = lambda claims, key: jwt.encode(claims, key, "RS256", HEADERS)  # noqa: E731
    with identity_provider(LIES.get(lie, truth)) as server:
        use(server, settings)
        settings.OIDC_ORGANIZATION = "acme"
        server.knows("d-1", **DORA)
        client = Client()
        assert come(client, server, "d-1").status_code == (302 if lie == "none at all" else 403)
        assert is_signed_in(client) == (lie == "none at all")


def test_a_provider_that_calls_itself_otherwise_is_not_asked(
    server: IdentityProvider, settings: Settings, db: None
) -> None:
    """Its description lies at an address of the settings, and says that it is somebody else's."""
    use(server, settings)
    settings.OIDC_ISSUER = f"{server.url}/.well-known/openid-configuration"
    assert Client().post("/sign-in/sso/").status_code == 403


def test_a_provider_that_is_away_is_no_error(settings: Settings, db: None) -> None:
    of_provider._known.clear()
    settings.OIDC_ISSUER = "http://localhost:9"
    response = Client().post("/sign-in/sso/")
    assert response.status_code == 403
    assert b"did not work" in response.content


@pytest.mark.django_db(transaction=True)
def test_no_connection_is_held_while_the_provider_answers(
    company: IdentityProvider, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import connection

    held = []
    send = of_provider.Session.send

    def watched(session: Any, *arguments: Any, **more: Any) -> Any:
        held.append(connection.connection is not None)
        return send(session, *arguments, **more)

    told(company, "d-30", **DORA)
    way = way_of(client)
    back = company.sign_in(way, "d-30")
    monkeypatch.setattr(of_provider.Session, "send", watched)
    assert client.get(back).status_code == 302
    assert held
    assert not any(held)


def test_an_admin_makes_no_password_link_past_the_provider(
    company: IdentityProvider, client: Client, super_admin: User
) -> None:
    told(company, "d-32", **DORA)
    come(client, company, "d-32")
    dora = User.objects.get(email="dora@acme.example")
    root = signed_in(super_admin)
    page = root.post(f"/organization/members/{dora.pk}/link/", follow=True).content
    assert b"has no password here" in page
    assert b"/password/set/" not in page


def test_a_password_link_is_not_mailed_to_who_has_none(
    company: IdentityProvider, client: Client, settings: Settings, mailoutbox: list[Any]
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    told(company, "d-31", **DORA)
    come(client, company, "d-31")
    client.post("/password/forgotten/", {"email": "dora@acme.example"})
    from accounts import passwords

    passwords._post.submit(int).result(30)
    assert mailoutbox == []
