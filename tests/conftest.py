"""The cast that all tests share, and what a test run needs."""

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import certifi
import psycopg
import pytest
from django.conf import settings
from django.test import TransactionTestCase
from pytest_django.plugin import DjangoDbBlocker

import groq_client
from accounts.models import Organization, Role, User
from analytics import settling
from analytics.writer import LedgerRecorder
from tests import emptying
from tests.cast import connect, make_user


def pytest_configure() -> None:
    # A journal belongs to a database, and every worker of the run has its own.
    os.environ["JOURNAL_DIR"] = str(settings.VAR_DIR / "journal" / os.environ.get("PYTEST_XDIST_WORKER", "main"))
    settings.JOURNAL_DIR = Path(os.environ["JOURNAL_DIR"])
    groq_client.configure(LedgerRecorder())
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # slow ones are for attackers
    TransactionTestCase._fixture_teardown = emptying.empty_quickly  # type: ignore[attr-defined]
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # WhiteNoise misses it otherwise
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}  # needs no collectstatic
    }


LONG = (
    "test_every_screen.py", "test_every_address.py", "test_dashboard.py", "test_database_stopped.py", "test_demo.py",
    "test_database_faults.py", "test_filters.py", "test_charts.py", "test_organization.py", "test_any_line_may_fail.py",
)  # fmt: skip
"""Files that take half a minute or more. They come first, so that no core is idle at the end while another has one."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONG)


@pytest.fixture(scope="module", autouse=True)
def garbage_is_sought_among_what_tests_make() -> None:
    """A collection walks every object there is, and Django, pytest and all tests are a million that nobody throws away.

    Tests collect to see what becomes of something that was dropped; that walk took more than the tests themselves.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def one_certificate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Every new client reads all the certificates there are. Nothing here speaks TLS, so that one will do."""
    end = "-----END CERTIFICATE-----\n"
    first = Path(certifi.where()).read_text().partition(end)[0] + end
    path = tmp_path_factory.mktemp("tls") / "one.pem"
    path.write_text(first)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(path))
        yield


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The recorder's own connections are closed before the test database is dropped."""
    with django_db_blocker.unblock():
        emptying.remember_what_migrations_made()
    yield
    from analytics import ledger_pool

    ledger_pool.close()


@pytest.fixture(autouse=True)
def calls_are_written(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a test's calls left to other threads is in the database before that is emptied, and not in the next test."""
    if {"db", "transactional_db"} & set(request.fixturenames) or request.node.get_closest_marker("django_db"):
        request.getfixturevalue("_django_db_helper")  # set up before, so that it is torn down after
    yield
    groq_client.flush(10)
    settling.lost_calls = 0
    (settings.JOURNAL_DIR / settling.REFUSED).unlink(missing_ok=True)


@pytest.fixture
def ctrl_c_interrupts() -> Iterator[None]:
    """A shell that starts the tests in its background has them ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def default_organization(db: None) -> Organization:
    return Organization.objects.get_or_create(slug=settings.DEFAULT_ORGANIZATION, defaults={"name": "Default"})[0]


@pytest.fixture
def acme(db: None) -> Organization:
    return Organization.objects.create(name="Acme", slug="acme", time_zone="America/Los_Angeles")


@pytest.fixture
def globex(db: None) -> Organization:
    return Organization.objects.create(name="Globex", slug="globex", time_zone="Asia/Kolkata")


@pytest.fixture
def super_admin(db: None) -> User:
    return make_user("root", Role.SUPER_ADMIN)


@pytest.fixture
def admin(acme: Organization) -> User:
    return make_user("boss", Role.ADMIN, acme)


@pytest.fixture
def user(acme: Organization) -> User:
    return make_user("ann", Role.USER, acme)


@pytest.fixture
def colleague(acme: Organization) -> User:
    return make_user("ben", Role.USER, acme)


@pytest.fixture
def outsider(globex: Organization) -> User:
    return make_user("eve", Role.USER, globex)


@pytest.fixture
def stranger(db: None) -> User:
    """Somebody without organization or role."""
    return make_user("sam")


@pytest.fixture
def connection(transactional_db: None) -> "Iterator[psycopg.Connection[tuple[object, ...]]]":
    with connect() as connection:
        yield connection
