"""The conversation with the identity provider: authorization code flow with PKCE, state and nonce. allauth knows the
protocol; here are the checks that it leaves out, and the limits."""

import logging
import secrets
import time
from collections.abc import Mapping
from typing import Any

import jwt
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter, get_adapter
from allauth.socialaccount.internal import statekit
from allauth.socialaccount.models import SocialApp
from allauth.socialaccount.providers.base.constants import AuthProcess
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from requests import RequestException, Session

from accounts.database import let_go_of_the_database

logger = logging.getLogger("usage.sign_in")

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""The signatures of ID tokens that are believed. All have a public key; "none" is not one of them."""
REQUIRED = ["iss", "aud", "exp", "iat", "sub"]
LEEWAY_SECONDS = 60
"""How far the provider's clock may differ."""
KNOWN_SECONDS = 300
"""For this time the provider's description of itself is not read again."""
LONGEST_SUBJECT = 191

_known: dict[str, tuple[float, Mapping[str, Any]]] = {}


class NoIdentityError(Exception):
    """The provider does not vouch for anybody, or not in a way that can be believed. The message is for the log."""


def is_configured() -> bool:
    return bool(settings.OIDC_ISSUER)


class SocialAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """What allauth asks of us about other hosts. Applications come from the settings alone, never from the database."""

    def get_requests_session(self) -> Session:
        """A session without redirects. The request's connection to the database is given back before."""
        let_go_of_the_database()
        session: Session = super().get_requests_session()
        session.max_redirects = 0
        return session

    def list_apps(self, request: HttpRequest, provider: Any = None, client_id: Any = None) -> list[SocialApp]:
        return []

    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        return False


class _Endpoints(OpenIDConnectOAuth2Adapter):  # type: ignore[misc]
    """allauth's client of one provider."""

    def __init__(self, request: HttpRequest, provider: "Provider") -> None:
        super().__init__(request, provider.app.provider_id)
        self.provider = provider

    def get_provider(self) -> "Provider":
        return self.provider

    def get_callback_url(self, request: HttpRequest, app: SocialApp) -> str:
        return request.build_absolute_uri(reverse("sign-in-sso-callback"))

    @property
    def openid_config(self) -> Mapping[str, Any]:
        """The provider's description of itself, which must be about the issuer of the settings and no other."""
        at, known = _known.get(settings.OIDC_ISSUER, (0.0, {}))
        if known and time.monotonic() - at < KNOWN_SECONDS:
            return known
        described: Mapping[str, Any] = super().openid_config
        if str(described.get("issuer")).rstrip("/") != settings.OIDC_ISSUER:
            raise NoIdentityError(f"The provider calls itself {described.get('issuer')}, not OIDC_ISSUER.")
        _known[settings.OIDC_ISSUER] = (time.monotonic(), described)
        return described


class Provider(OpenIDConnectProvider):  # type: ignore[misc]
    """The identity provider of the settings. Accounts are kept under its issuer, so that another provider with the same
    ids is another one."""

    def __init__(self, request: HttpRequest) -> None:
        app = SocialApp(
            provider="openid_connect",
            provider_id=settings.OIDC_ISSUER,
            name=settings.OIDC_NAME,
            client_id=settings.OIDC_CLIENT_ID,
            secret=settings.OIDC_CLIENT_SECRET,
            settings={"server_url": settings.OIDC_ISSUER, "scope": settings.OIDC_SCOPES, "oauth_pkce_enabled": True},
        )
        super().__init__(request, app=app)

    def get_oauth2_adapter(self, request: HttpRequest) -> _Endpoints:
        return _Endpoints(request, self)


def way_to_provider(request: HttpRequest, then: str, *, anew: bool) -> str:
    """The address at which the provider asks who somebody is; with ``anew`` also if they are signed in there. What
    comes back is expected in this session alone. NoIdentityError if the provider does not answer."""
    nonce = secrets.token_urlsafe(32)
    asked = {"nonce": nonce} | ({"prompt": "login"} if anew else {})
    try:
        response = Provider(request).redirect(
            request, AuthProcess.LOGIN, next_url=then, data={"nonce": nonce}, auth_params=asked
        )
    except (RequestException, OAuth2Error, ValueError, KeyError) as error:
        raise NoIdentityError(f"The provider does not say where to sign in: {type(error).__name__}") from error
    return str(response["Location"])


def identity(request: HttpRequest) -> tuple[Mapping[str, Any], str]:
    """What the provider says of who has come back from it, and where they wanted to go. NoIdentityError if it vouches
    for nobody, or if nobody went there from this session."""
    provider = Provider(request)
    state = statekit.unstash_state(request, provider_id=provider.sub_id, state_id=request.GET.get("state", ""))
    if state is None:
        raise NoIdentityError("Nobody has gone to the provider from this session.")
    if "code" not in request.GET:
        raise NoIdentityError(f"The provider answers {request.GET.get('error', 'nothing')[:80]!r}.")
    try:
        claims = _claims(provider.get_oauth2_adapter(request), request, state)
    except (RequestException, OAuth2Error, jwt.PyJWTError, ValueError, KeyError, TypeError) as error:
        raise NoIdentityError(f"The provider's answer cannot be believed: {type(error).__name__}") from error
    return claims, str(state.get("next", ""))


def _claims(endpoints: _Endpoints, request: HttpRequest, state: Mapping[str, Any]) -> Mapping[str, Any]:
    """The claims of the ID token, and those of the user's own address at the provider where it has one."""
    client = endpoints.get_client(request, endpoints.provider.app)
    answer = client.get_access_token(request.GET["code"], pkce_code_verifier=state["pkce_code_verifier"])
    told = _verified(str(answer["id_token"]), endpoints.openid_config["jwks_uri"])
    if not secrets.compare_digest(str(told.get("nonce", "")), state["data"]["nonce"]):
        raise NoIdentityError("The ID token has another nonce, so that it may be an old one.")
    if not 0 < len(told["sub"]) <= LONGEST_SUBJECT:
        raise NoIdentityError("The provider's id of the person is too long.")
    more = endpoints._fetch_user_info(answer["access_token"]) if "userinfo_endpoint" in endpoints.openid_config else {}
    if more and more.get("sub") != told["sub"]:
        raise NoIdentityError("The ID token and the address for user information are about different people.")
    return {**more, **told}


def _verified(id_token: str, keys_url: str) -> dict[str, Any]:
    """The claims of an ID token that the provider has signed for us, and that has not expired."""
    with get_adapter().get_requests_session() as session:
        response = session.get(keys_url)
        response.raise_for_status()
    keys = jwt.PyJWKSet.from_dict(response.json()).keys
    kid = jwt.get_unverified_header(id_token).get("kid")
    fitting = [key for key in keys if kid is None or key.key_id == kid]
    if len(fitting) != 1:
        raise NoIdentityError("The ID token is signed with a key that the provider does not publish.")
    claims: dict[str, Any] = jwt.decode(
        id_token,
        key=fitting[0],
        algorithms=ALGORITHMS,
        audience=settings.OIDC_CLIENT_ID,
        issuer=[settings.OIDC_ISSUER, f"{settings.OIDC_ISSUER}/"],
        leeway=LEEWAY_SECONDS,
        options={"require": REQUIRED},
    )
    return claims
