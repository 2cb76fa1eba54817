from collections.abc import Callable, Iterator
from typing import Any

import pytest

from accounts.models import Organization
from tests.gateway.ingestion.sending import Sender, new_secret
from tests.keyrings import own_keyring

PATIENCE = 20.0
NewSender = Callable[..., Sender]


@pytest.fixture
def new_sender(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[NewSender]:
    """Makes programs with keys. Keys are read when the test sends for the first time."""
    for _ in own_keyring(monkeypatch):
        yield lambda organization, **fields: Sender(new_secret(organization, **fields))


@pytest.fixture
def sender(acme: Organization, new_sender: Callable[..., Any]) -> Sender:
    """A program with a key of Acme."""
    sender: Sender = new_sender(acme)
    return sender
