"""What people have beside a browser: an app that shows codes."""

import time

from allauth.mfa.totp.internal import auth
from django.test import Client

from accounts.models import User
from accounts.second_factor import codes

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


def code(secret: str = SECRET, *, halves: int = 0) -> str:
    """What the app shows now, or some half minutes later."""
    return auth.format_hotp_value(auth.hotp_value(secret, int(time.time()) // 30 + halves))


def give_app(person: User) -> None:
    """An app that is set up since some minutes."""
    codes.add_app(person, SECRET, int(time.time()) // 30 - 10)


def confirmed_long_ago(client: Client) -> None:
    session = client.session
    session["confirmed_at"] = time.time() - 601
    session.save()
