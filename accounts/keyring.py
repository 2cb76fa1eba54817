"""The keys of programs in memory, so that a request finds its key without a query.

A thread of each process reads all keys, and again whenever the database tells that something about them has changed
(LISTEN/NOTIFY, migration 0007), and every few seconds, in case a notification was lost. So a revoked key works nowhere
after a second. While the database is away, the keys are those that were read last.
"""

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
from django.conf import settings
from django.db import connections
from psycopg.rows import tuple_row

from accounts.api_keys import digest_of
from accounts.provider_keys import UnreadableProviderKeyError, decrypted

logger = logging.getLogger("usage.keys")

CHANNEL = "accounts_keys"
POLL_SECONDS = 5.0
"""All keys are read after this time even without a notification, and last uses are written."""
PAUSE_SECONDS = 0.1
"""The shortest time between two readings, however many changes there are."""
RETRY_SECONDS = (0.5, 8.0)
"""The pause before the first attempt to connect again, which doubles with each attempt, and the longest pause."""
READY_SECONDS = 5.0

# A merged person or project stands for the one that has the calls now. A key of a deactivated member does not work;
# people who are only known from calls are not members.
READ = """
SELECT key.id, key.digest, key.next_digest, organization.id, organization.slug,
       coalesce(kept_project.slug, project.slug, ''), coalesce(kept_person.handle, person.handle, ''),
       key.may_call, key.may_ingest, key.may_read, key.expires_at, key.requests_per_minute, key.tokens_per_minute,
       provider_key.encrypted
FROM accounts_apikey AS key
JOIN accounts_organization AS organization ON organization.id = key.organization_id
LEFT JOIN accounts_project AS project ON project.id = key.project_id
LEFT JOIN accounts_project AS kept_project ON kept_project.id = project.merged_into_id
LEFT JOIN accounts_user AS person ON person.id = key.user_id
LEFT JOIN accounts_user AS kept_person ON kept_person.id = person.merged_into_id
LEFT JOIN accounts_providerkey AS provider_key ON provider_key.organization_id = organization.id
WHERE key.revoked_at IS NULL AND (key.expires_at IS NULL OR key.expires_at > now())
  AND (person.id IS NULL OR coalesce(kept_person.is_active, person.is_active)
       OR (coalesce(kept_person.email, person.email) = ''
           AND coalesce(kept_person.password, person.password) LIKE '!%'))
"""
# A key that somebody changes at this moment is passed over until the next time, since the thread must not wait for a
# lock while another key is revoked. The order keeps two processes from blocking each other.
USED = """
WITH used AS (
    SELECT key.id, greatest(key.last_used_at, used.at) AS at
    FROM accounts_apikey AS key JOIN unnest(%s::bigint[], %s::timestamptz[]) AS used (id, at) ON key.id = used.id
    ORDER BY key.id FOR NO KEY UPDATE OF key SKIP LOCKED
)
UPDATE accounts_apikey AS key SET last_used_at = used.at FROM used WHERE key.id = used.id RETURNING key.id
"""


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """A key that works, with what its calls are for. Texts are "" for what the key leaves open."""

    id: int
    organization_id: int
    organization: str
    project: str
    user: str
    scopes: frozenset[str]
    expires_at: datetime | None
    requests_per_minute: int | None
    tokens_per_minute: int | None
    provider_key: str | None
    """The organization's own key for Groq; None if it uses the server's."""

    def __repr__(self) -> str:
        return f"KeyEntry(id={self.id}, organization={self.organization!r})"  # without the provider key


class KeyringNotReadyError(Exception):
    """No keys have been read yet, because the database does not answer since this process began."""


class Keyring:
    """The keys of all organizations. Any thread may ask it, an event loop too."""

    def __init__(self) -> None:
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        self._entries: dict[bytes, KeyEntry] = {}
        self._read = threading.Event()
        self._provider_keys: dict[str, str | None] = {}
        self._used: dict[int, float] = {}
        self._written: dict[int, float] = {}
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._is_closed = False

    def start(self) -> None:
        """Start the thread that reads the keys, unless it runs. ``find`` does so too."""
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="usage-keys", daemon=True)
                self._thread.start()

    def wait_until_ready(self, timeout: float = READY_SECONDS) -> bool:
        """Start the thread and wait until the keys have been read once; False if they were not within the time."""
        self.start()
        return self._read.wait(timeout)

    def find(self, secret: str) -> KeyEntry | None:
        """The key that has this secret; None if no key that works has it. Never waits: KeyringNotReadyError if no keys
        have been read yet. A wrong secret costs as much as a right one: one hash and one look-up."""
        if not self._read.is_set():
            self.start()
            raise KeyringNotReadyError
        entry = self._entries.get(digest_of(secret))
        if entry is not None and entry.expires_at is not None and entry.expires_at <= datetime.now(UTC):
            return None
        return entry

    def close(self) -> None:
        """End the thread at its next notification, or after POLL_SECONDS. For tests: a process just ends."""
        self._is_closed = True

    def used(self, key_id: int) -> None:
        """Note that a key is used now. The thread writes this down, at most once a minute for each key."""
        self._used[key_id] = time.time()

    # The methods below run in the thread.

    def _run(self) -> None:
        first, longest = RETRY_SECONDS
        pause = first
        while not self._is_closed:
            try:
                with _connected() as link:
                    link.execute(f"LISTEN {CHANNEL}")
                    self._load(link)
                    pause = first
                    self._follow(link)
            except Exception as error:
                if pause == first:
                    logger.warning("Keys cannot be read now; those that are known go on working: %s", error)
                time.sleep(pause)
                pause = min(2 * pause, longest)

    def _follow(self, link: psycopg.Connection[Any]) -> None:
        while not self._is_closed:
            self._write_uses(link)
            for _ in link.notifies(timeout=POLL_SECONDS, stop_after=1):
                time.sleep(PAUSE_SECONDS)  # Further changes that come meanwhile are read together.
            list(link.notifies(timeout=0))
            self._load(link)

    def _load(self, link: psycopg.Connection[Any]) -> None:
        with link.cursor(row_factory=tuple_row) as cursor:
            rows = cursor.execute(READ).fetchall()
        entries = {}
        for row in rows:
            entry = _entry(row, self._in_clear(encrypted=row[-1], organization=row[4]))
            entries.update({bytes(digest): entry for digest in row[1:3] if digest is not None})
        self._entries = entries
        stored = {row[-1] for row in rows}
        self._provider_keys = {key: clear for key, clear in self._provider_keys.items() if key in stored}
        self._read.set()

    def _in_clear(self, encrypted: str | None, organization: str) -> str | None:
        """A provider key in clear. It is decrypted when it is read first, so that an error is logged only once."""
        if encrypted is not None and encrypted not in self._provider_keys:
            self._provider_keys[encrypted] = _decrypted(encrypted, organization)
        return self._provider_keys.get(encrypted) if encrypted else None

    def _write_uses(self, link: psycopg.Connection[Any]) -> None:
        minutes = {key_id: at - at % 60 for key_id, at in self._used.copy().items()}
        new = {key_id: at for key_id, at in minutes.items() if self._written.get(key_id) != at}
        if new:
            with link.cursor(row_factory=tuple_row) as cursor:
                cursor.execute(USED, [list(new), [datetime.fromtimestamp(at, UTC) for at in new.values()]])
                self._written |= {key_id: new[key_id] for (key_id,) in cursor}


def _entry(row: tuple[Any, ...], provider_key: str | None) -> KeyEntry:
    (key_id, _, _, organization_id, organization, project, user, may_call, may_ingest, may_read, expires_at, requests,
     tokens, encrypted) = row  # fmt: skip
    granted = {"call": may_call, "ingest": may_ingest, "read": may_read}
    scopes = frozenset(scope for scope, is_granted in granted.items() if is_granted)
    if encrypted is not None and provider_key is None:
        scopes -= {"call"}  # The server's key must not pay for an organization with its own.
    return KeyEntry(
        key_id, organization_id, organization, project, user, scopes, expires_at, requests, tokens, provider_key
    )


def _decrypted(encrypted: str, organization: str) -> str | None:
    """A provider key in clear; None, after an error in the log, if it cannot be decrypted."""
    try:
        return decrypted(encrypted)
    except UnreadableProviderKeyError:
        logger.error("The key for Groq of organization %s cannot be decrypted: it makes no calls.", organization)
        return None


@contextmanager
def _connected() -> Iterator[psycopg.Connection[Any]]:
    """A connection in autocommit mode, outside Django's pool, since it is kept as long as the process."""
    database = connections["default"]
    if database.settings_dict["ENGINE"] == "usage_dashboard.postgresql":
        settings.EMBEDDED_POSTGRES.ensure_running()
    parameters = database.get_connection_params()
    for of_django in ("cursor_factory", "context", "prepare_threshold", "client_encoding", "pool"):
        parameters.pop(of_django, None)
    options = {"autocommit": True, "application_name": "usage-keys", "connect_timeout": 5, "keepalives_idle": 10}
    options["tcp_user_timeout"] = 4_000  # limits the wait for a server that vanished without closing
    with psycopg.connect(**parameters | options) as link:
        yield link


keyring = Keyring()
