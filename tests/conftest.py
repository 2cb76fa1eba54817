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
from ledger.journal import dead_letters
from ledger.journal.recorder import LedgerRecorder
from ledger.recording import folder as of_folder
from ledger.recording import record
from tests import database_template, emptying, rendered
from tests.cast import connect, make_user
from tests.ledger.folding import IdleFolder, WatchedFolder
from tests.running_demo import wait_until


def pytest_configure() -> None:
    # A journal belongs to a database, and every worker of the run has its own.
    os.environ["JOURNAL_DIR"] = str(settings.VAR_DIR / "journal" / os.environ.get("PYTEST_XDIST_WORKER", "main"))
    settings.JOURNAL_DIR = Path(os.environ["JOURNAL_DIR"])
    settings.API_REQUESTS_PER_MINUTE = settings.SIGN_IN_STARTS_PER_MINUTE = 1_000_000  # tests ask often
    groq_client.configure(LedgerRecorder())
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # slow hashers only hinder attackers
    TransactionTestCase._fixture_teardown = emptying.empty_quickly  # type: ignore[attr-defined]
    rendered.tell_the_context()
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # WhiteNoise warns if the directory is missing
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}  # needs no collectstatic
    }
    # WhiteNoise would look at all static files for every test client anew, a third of what a page takes.
    settings.WHITENOISE_AUTOREFRESH = True


collect_ignore = [] if os.geteuid() == 0 else ["test_embedded_place.py"]  # only root can run a server as another user

LONG = (
    "test_connect.py",
    "test_every_screen.py", "test_every_address.py", "test_dashboard.py", "test_database_stopped.py", "test_demo.py",
    "test_database_faults.py", "test_filters.py", "test_charts.py", "test_organization.py", "test_any_line_may_fail.py",
    "test_older_sdks.py", "test_writer.py", "test_import_events.py",
    "test_image.py", "test_proxies.py", "test_commands.py", "test_live.py",
    "test_reliability.py", "test_endings.py", "test_http_recorder.py", "test_every_case.py", "test_manual.py",
)  # fmt: skip
"""Files that take a quarter of a minute or more. They come first, so that no core is idle at the end."""


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
def django_db_modify_db_settings(django_db_modify_db_settings: None, django_db_blocker: DjangoDbBlocker) -> None:
    with django_db_blocker.unblock():
        database_template.use_a_template()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The recorder's own connections are closed before the test database is dropped."""
    with django_db_blocker.unblock():
        emptying.remember_what_migrations_made()
    yield
    from ledger.recording import pool

    pool.close()


@pytest.fixture(autouse=True)
def calls_are_written(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a test's calls left to other threads is in the database before that is emptied, and not in the next test."""
    if {"db", "transactional_db"} & set(request.fixturenames) or request.node.get_closest_marker("django_db"):
        request.getfixturevalue("_django_db_helper")  # set up before, so that it is torn down after
    yield
    groq_client.flush(10)
    dead_letters.number_kept = 0
    (settings.JOURNAL_DIR / dead_letters.DEAD_LETTERS).unlink(missing_ok=True)


IDLE = IdleFolder()


@pytest.fixture(autouse=True)
def nothing_is_folded_by_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test says itself when the tail is folded (``tests.ledger.folding``), or which folder does so (``folder``)."""
    monkeypatch.setattr(record, "folder", IDLE)


@pytest.fixture
def folder(nothing_is_folded_by_chance: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[WatchedFolder]:
    """A folder that folds what the test records, soon after."""
    monkeypatch.setattr(of_folder, "AGE_SECONDS", 0.05)
    ours = WatchedFolder()
    monkeypatch.setattr(record, "folder", ours)
    yield ours
    groq_client.flush(10)
    monkeypatch.setattr(record, "folder", IDLE)
    wait_until(lambda: ours.is_idle, 20)


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
