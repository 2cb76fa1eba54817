"""A ledger that is reached over HTTP, and recorders that send to it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings

from accounts.models import Organization
from groq_client import HttpRecorder
from groq_client.journal import writer
from tests.gateway.doors import make_key
from tests.served import served

KEY = "gul_client"
NewRecorder = Callable[..., HttpRecorder]


@pytest.fixture(scope="package")
def ledger(django_db_setup: None, django_db_blocker: Any) -> Iterator[str]:
    """The address of a server as in production, on the test database. The server ends before tests of other folders
    begin, because it looks for journals in the same directory."""
    (django_settings.JOURNAL_DIR / "gateway.limits").unlink(missing_ok=True)  # An earlier run had keys of the same ids.
    with django_db_blocker.unblock(), served() as address:
        yield address


@pytest.fixture
def key(transactional_db: None, ledger: str, acme: Organization) -> str:
    """The secret of a key of Acme that all workers of the server know."""
    make_key(acme, KEY, may_ingest=True)
    return KEY


@pytest.fixture
def new_recorder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NewRecorder]:
    """Makes recorders with a journal of the test. They try again soon, and are closed at its end."""
    monkeypatch.setattr(writer, "RETRY_SECONDS", 0.02)
    made: list[HttpRecorder] = []

    def make(url: str, key: str = KEY, **more: Any) -> HttpRecorder:
        made.append(HttpRecorder(url, key, **{"directory": tmp_path / "journal", **more}))
        return made[-1]

    yield make
    monkeypatch.setattr(writer, "DRAIN_SECONDS", 0.1)
    for recorder in made:
        recorder._writer.close()
