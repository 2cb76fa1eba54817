"""A keyring for one test, which reads the keys when it is first asked."""

from collections.abc import Iterator

import pytest
from django.db import connection

from accounts import bearer
from accounts.keyring import CHANNEL, Keyring


def own_keyring(monkeypatch: pytest.MonkeyPatch) -> Iterator[Keyring]:
    """For a fixture: the keyring that views ask until the test ends."""
    monkeypatch.setattr(bearer, "keyring", ring := Keyring())
    yield ring
    ring.close()
    while ring._thread is not None and ring._thread.is_alive():
        with connection.cursor() as cursor:
            cursor.execute(f"NOTIFY {CHANNEL}")
        ring._thread.join(0.05)
