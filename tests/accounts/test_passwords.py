"""Which passwords are taken, how they are asked for, and what of signing in is logged."""

import logging

import pytest
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.test import Client

from accounts.models import Organization, User
from tests.cast import PASSWORD, signed_in


@pytest.mark.parametrize(
    ("password", "is_taken"),
    [
        ("ninechars", False),
        ("password123456", False),
        ("1qaz2wsx3edc", False),
        ("Groq-Usage-2026!", False),
        ("Acme_ledger_01", False),
        ("superadmin!!", False),
        ("0123456789", False),
        ("correct horse battery", True),
        ("groqs cousin plays chess", True),
        ("ä" * 9 + "🔑 passphrase of any letters", True),
        ("x1 " * 40, True),
    ],
)
def test_which_passwords_are_taken(user: User, acme: Organization, password: str, is_taken: bool) -> None:
    try:
        validate_password(password, user)
    except ValidationError:
        assert not is_taken
    else:
        assert is_taken


def test_a_password_is_taken_as_it_is_given(user: User) -> None:
    odd = "  Ünïcode 🔑 with blanks " + "x" * 80 + " "
    client = signed_in(user)
    data = {"old_password": PASSWORD, "new_password1": odd, "new_password2": odd}
    assert client.post("/password/", data).status_code == 302
    for given, expected in ((odd, 302), (odd.strip(), 200), (odd.lower(), 200), (odd[:72], 200)):
        assert Client().post("/sign-in/", {"username": "ann", "password": given}).status_code == expected


def test_fields_for_passwords_are_for_password_managers(user: User) -> None:
    page = Client().get("/sign-in/").content.decode()
    assert 'type="password"' in page
    assert 'autocomplete="current-password"' in page
    changed = signed_in(user).get("/password/").content.decode()
    assert changed.count('type="password"') == 3
    assert changed.count('autocomplete="new-password"') == 2
    assert "onpaste" not in page + changed


def test_sign_ins_are_logged_without_what_was_typed(user: User, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "usage.sign_in")
    client = Client(REMOTE_ADDR="198.51.100.7")
    client.post("/sign-in/", {"username": "my own secret", "password": "wrong"})
    client.post("/sign-in/", {"username": "ann", "password": PASSWORD})
    client.post("/sign-out/")
    assert [record.getMessage() for record in caplog.records if record.name == "usage.sign_in"] == [
        "A name or password from 198.51.100.7 was not right.",
        "ann signed in from 198.51.100.7.",
        "ann signed out from 198.51.100.7.",
    ]


def test_refusals_are_logged(user: User, caplog: pytest.LogCaptureFixture) -> None:
    client = signed_in(user)
    client.get("/organizations/?x=a%0Ab")
    client.get("/nothing/%0Aforged line")
    told = [record.getMessage() for record in caplog.records if record.name == "django.request"]
    assert told[0].startswith("Forbidden")
    assert not [line for line in told if "\n" in line]
