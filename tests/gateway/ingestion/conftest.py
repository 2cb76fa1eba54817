from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection

from accounts.keyring import CHANNEL, Keyring
from accounts.models import Organization
from gateway.ingestion import doors
from tests.gateway.ingestion.sending import Sender, new_secret

PATIENCE = 20.0
NewSender = Callable[..., Sender]


@pytest.fixture
def new_sender(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[NewSender]:
    """Makes programs with keys. Keys are read when the test sends for the first time."""
    monkeypatch.setattr(doors, "keyring", ring := Keyring())
    yield lambda organization, **fields: Sender(new_secret(organization, **fields))
    ring.close()
    while ring._thread is not None and ring._thread.is_alive():
        with connection.cursor() as cursor:
            cursor.execute(f"NOTIFY {CHANNEL}")
        ring._thread.join(0.05)


@pytest.fixture
def sender(acme: Organization, new_sender: Callable[..., Any]) -> Sender:
    """A program with a key of Acme."""
    sender: Sender = new_sender(acme)
    return sender
