"""A server of OpenID Connect on a socket of its own, and one that lies about who comes from it."""

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import jwt
import requests
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from oidc_provider_mock import app
from werkzeug.serving import make_server

Claims = dict[str, Any]
Forge = Callable[[Claims, RSAPrivateKey], str]
KID = "of the liar"


class IdentityProvider:
    """Where people of a company sign in. ``forge`` makes the ID tokens, if they are not to be the right ones."""

    def __init__(self, forge: Forge | None = None) -> None:
        self._app = app(require_nonce=True)
        self._forge = forge
        self._key = generate_private_key(65_537, 2_048) if forge else None
        self._server = make_server("localhost", 0, self._answer, threaded=True)
        self.url = f"http://localhost:{self._server.server_port}"
        self.asked: list[str] = []

    def knows(self, subject: str, **claims: Any) -> None:
        answer = requests.put(f"{self.url}/users/{quote(subject)}", json=claims, timeout=30)
        answer.raise_for_status()

    def sign_in(self, way: str, subject: str | None) -> str:
        """Sign in there as the page asks, or (None) cancel. Returns where the browser is sent."""
        data = {"action": "deny"} if subject is None else {"sub": subject}
        return requests.post(way, data=data, allow_redirects=False, timeout=30).headers["Location"]

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.asked.append(environ["PATH_INFO"])
        if self._key and environ["PATH_INFO"] == "/jwks":
            return _json(start_response, {"keys": [_public(self._key)]})
        if self._forge and self._key and environ["PATH_INFO"] == "/oauth2/token":
            answer = json.loads(b"".join(self._app.wsgi_app(environ, lambda *_: None)))
            claims = jwt.decode(answer["id_token"], options={"verify_signature": False})
            return _json(start_response, answer | {"id_token": self._forge(claims, self._key)})
        return self._app(environ, start_response)

    def run(self) -> None:
        self._server.serve_forever(0.02)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def identity_provider(forge: Forge | None = None) -> Iterator[IdentityProvider]:
    provider = IdentityProvider(forge)
    thread = threading.Thread(target=provider.run)
    thread.start()
    try:
        yield provider
    finally:
        provider.stop()
        thread.join()


def _json(start_response: Any, told: object) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(told).encode()]


def _public(key: RSAPrivateKey) -> dict[str, Any]:
    return {**jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": KID, "alg": "RS256"}
