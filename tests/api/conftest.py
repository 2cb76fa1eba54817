from collections.abc import Iterator

import pytest

from accounts.keyring import Keyring
from tests.analytics.test_reports import ledger, prices
from tests.keyrings import own_keyring

__all__ = ["ledger", "prices"]


@pytest.fixture(autouse=True)
def ring(monkeypatch: pytest.MonkeyPatch) -> Iterator[Keyring]:
    yield from own_keyring(monkeypatch)
