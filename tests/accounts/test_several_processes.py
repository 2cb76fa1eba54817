"""Signing in at the server that runs in production, whose processes share nothing but the database."""

import re

import pytest
import requests

from accounts.models import SignIn, User
from tests.accounts.apps import code, give_app
from tests.cast import PASSWORD
from tests.served import served

pytestmark = pytest.mark.django_db(transaction=True)


def post(browser: requests.Session, address: str, **data: str) -> requests.Response:
    """Send a form of the page at the address, with its token."""
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', browser.get(address, timeout=60).text)
    assert token
    return browser.post(address, data={"csrfmiddlewaretoken": token[1], **data}, timeout=60)


def test_the_second_step_is_one_whichever_process_answers(user: User) -> None:
    with served() as server:
        User.objects.filter(pk=user.pk).update(password=_hashed())
        give_app(user)
        shown, ends = code(), []
        for _ in range(4):
            browser = requests.Session()
            assert browser.get(f"{server}/sign-in/passkey/", timeout=60).json()["publicKey"]["challenge"]
            second = post(browser, f"{server}/sign-in/", username="ann", password=PASSWORD)
            assert second.url == f"{server}/sign-in/second/"
            ends.append(post(browser, second.url, code=shown).url)
        assert ends[0] != f"{server}/sign-in/second/"
        assert set(ends[1:]) == {f"{server}/sign-in/second/"}, "the code was used, in whatever process"
        assert SignIn.objects.get().user == user


def _hashed() -> str:
    """By the hasher that the server has; tests hash otherwise."""
    from accounts.hashing import Argon2

    return Argon2().encode(PASSWORD, "some salt or other")
