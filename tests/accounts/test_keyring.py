"""The keys of programs: their secrets, and the ring that every process holds in memory."""

import re
import string
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from zlib import crc32

import pytest
from cryptography.fernet import Fernet
from django.conf import LazySettings
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone

from accounts import api_keys, provider_keys
from accounts.api_keys import add_secret, create, drop_first_secret, new_secret, revoke
from accounts.keyring import CHANNEL, KeyEntry, Keyring, KeyringNotReadyError
from accounts.models import ApiKey, AuditRecord, Organization, Project, ProviderKey, User
from tests.cast import connect

pytestmark = pytest.mark.django_db(transaction=True)
PATIENCE = 20.0


@pytest.fixture
def ring() -> Iterator[Keyring]:
    yield (ring := Keyring())
    ring.close()
    while ring._thread is not None and ring._thread.is_alive():
        with connection.cursor() as cursor:
            cursor.execute(f"NOTIFY {CHANNEL}")
        ring._thread.join(0.05)


def made(organization: Organization, by: User, **fields: object) -> tuple[ApiKey, str]:
    key = ApiKey(organization=organization, name=f"ci {ApiKey.objects.count()}", **fields)
    return key, create(key, by=by)


def soon(condition: Callable[[], bool]) -> bool:
    """Whether the condition comes true within PATIENCE."""
    until = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def found(ring: Keyring, secret: str) -> KeyEntry | None:
    assert ring.wait_until_ready(PATIENCE)
    return ring.find(secret)


def checksum(text: str) -> str:
    """The CRC32 in base 62, as docs/operations.md tells those who scan for leaked secrets."""
    value, digits = crc32(text.encode()), ""
    while len(digits) < 6:
        digits = (string.digits + string.ascii_uppercase + string.ascii_lowercase)[value % 62] + digits
        value //= 62
    return digits


def test_a_secret_can_be_recognised_and_checked() -> None:
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert all(re.fullmatch("gul_[0-9A-Za-z]{38}", secret) for secret in secrets)
    assert all(checksum(secret[:-6]) == secret[-6:] for secret in secrets)


def test_only_a_hash_of_a_secret_is_stored_and_the_audit_trail_has_its_ending(acme: Organization, admin: User) -> None:
    _, secret = made(acme, admin)
    with connection.cursor() as cursor:
        cursor.execute("SELECT key::text FROM accounts_apikey AS key")
        ((row,),) = cursor.fetchall()
    assert secret not in row
    assert api_keys.digest_of(secret).hex() in row
    record = AuditRecord.objects.get(action="key.create")
    assert record.changes["secret"] == [None, f"…{secret[-4:]}"]
    assert secret not in str(record.changes)


def test_a_new_key_is_found_with_what_it_is_for(ring: Keyring, acme: Organization, admin: User, user: User) -> None:
    project = Project.objects.create(organization=acme, slug="rag", name="RAG")
    _, secret = made(acme, admin, project=project, user=user, may_read=True, tokens_per_minute=7)
    assert soon(lambda: found(ring, secret) is not None)
    entry = found(ring, secret)
    assert entry is not None
    assert (entry.organization, entry.project, entry.user) == ("acme", "rag", "ann")
    assert (entry.scopes, entry.tokens_per_minute, entry.provider_key) == ({"call", "read"}, 7, None)
    assert found(ring, new_secret()) is None


def test_a_revoked_key_is_forgotten_by_notification(
    ring: Keyring, acme: Organization, admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accounts.keyring.POLL_SECONDS", 600)
    key, secret = made(acme, admin)
    assert soon(lambda: found(ring, secret) is not None)
    revoke(key, by=admin)
    assert soon(lambda: found(ring, secret) is None)
    with pytest.raises(ValidationError, match="revoked"):
        revoke(key, by=admin)


def test_a_lost_notification_is_made_up_for(
    ring: Keyring, acme: Organization, admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accounts.keyring.POLL_SECONDS", 0.05)
    _, secret = made(acme, admin)
    assert soon(lambda: found(ring, secret) is not None)
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")  # without triggers
        cursor.execute("UPDATE accounts_apikey SET revoked_at = now()")
        cursor.execute("RESET session_replication_role")
    assert soon(lambda: found(ring, secret) is None)


def test_both_secrets_of_a_rotation_work_until_the_first_is_dropped(
    ring: Keyring, acme: Organization, admin: User
) -> None:
    key, first = made(acme, admin)
    second = add_secret(key, by=admin)
    assert soon(lambda: found(ring, second) is not None)
    assert found(ring, first) == found(ring, second)
    with pytest.raises(ValidationError, match="second secret already"):
        add_secret(key, by=admin)
    drop_first_secret(key, by=admin)
    assert soon(lambda: found(ring, first) is None)
    assert found(ring, second) is not None
    with pytest.raises(ValidationError, match="only one secret"):
        drop_first_secret(key, by=admin)


def test_a_key_expires_without_being_read_again(ring: Keyring, acme: Organization, admin: User) -> None:
    _, secret = made(acme, admin, expires_at=timezone.now() + timedelta(hours=1))
    assert soon(lambda: found(ring, secret) is not None)
    entry = found(ring, secret)
    assert entry is not None
    ring._entries = {api_keys.digest_of(secret): KeyEntry(*_with_expiry(entry))}
    assert ring.find(secret) is None


def _with_expiry(entry: KeyEntry) -> list[object]:
    values = [getattr(entry, name) for name in KeyEntry.__slots__]
    values[list(KeyEntry.__slots__).index("expires_at")] = timezone.now() - timedelta(seconds=1)
    return values


def test_a_key_follows_a_renamed_or_merged_person_and_ends_with_a_deactivated_one(
    ring: Keyring, acme: Organization, admin: User, user: User, colleague: User
) -> None:
    _, secret = made(acme, admin, user=user)
    assert soon(lambda: found(ring, secret) is not None)
    user.handle = "anna"
    user.save()
    assert soon(lambda: (entry := found(ring, secret)) is not None and entry.user == "anna")
    User.objects.filter(pk=user.pk).update(merged_into=colleague, is_active=False)
    assert soon(lambda: (entry := found(ring, secret)) is not None and entry.user == "ben")
    User.objects.filter(pk=colleague.pk).update(is_active=False, email="ben@example.com")
    assert soon(lambda: found(ring, secret) is None)


def test_the_last_use_is_written_to_the_minute(
    ring: Keyring, acme: Organization, admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accounts.keyring.POLL_SECONDS", 0.05)
    key, secret = made(acme, admin)
    assert soon(lambda: found(ring, secret) is not None)
    before = timezone.now().replace(second=0, microsecond=0)
    ring.used(key.pk)
    assert soon(lambda: ApiKey.objects.get().last_used_at is not None)
    at = ApiKey.objects.get().last_used_at
    assert at is not None
    assert at >= before
    assert (at.second, at.microsecond) == (0, 0)


def test_a_key_that_somebody_changes_is_passed_over_and_keeps_no_other_from_being_revoked(
    ring: Keyring, acme: Organization, admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accounts.keyring.POLL_SECONDS", 0.05)
    changed, _ = made(acme, admin)
    revoked, secret = made(acme, admin)
    assert soon(lambda: found(ring, secret) is not None)
    with connect() as other, other.transaction():
        other.execute("SELECT 1 FROM accounts_apikey WHERE id = %s FOR UPDATE", [changed.pk])
        ring.used(changed.pk)
        ring.used(revoked.pk)
        assert soon(lambda: ApiKey.objects.get(pk=revoked.pk).last_used_at is not None)
        revoke(revoked, by=admin)
        assert soon(lambda: found(ring, secret) is None)
        assert ApiKey.objects.get(pk=changed.pk).last_used_at is None
    assert soon(lambda: ApiKey.objects.get(pk=changed.pk).last_used_at is not None)


def test_many_changes_at_once_are_read_together(
    ring: Keyring, acme: Organization, admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accounts.keyring.POLL_SECONDS", 600)
    monkeypatch.setattr("accounts.keyring.PAUSE_SECONDS", 1)
    assert ring.wait_until_ready(PATIENCE)
    readings: list[int] = []
    load = ring._load
    monkeypatch.setattr(ring, "_load", lambda link: (readings.append(1), load(link)))
    secrets = [made(acme, admin)[1] for _ in range(50)]
    assert soon(lambda: all(ring.find(secret) for secret in secrets))
    assert len(readings) < 10


def test_keys_go_on_working_while_the_database_is_away(ring: Keyring, acme: Organization, admin: User) -> None:
    key, secret = made(acme, admin)
    assert soon(lambda: found(ring, secret) is not None)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'usage-keys'")
    assert found(ring, secret) is not None
    revoke(key, by=admin)  # the thread connects again, and reads all keys then
    assert soon(lambda: found(ring, secret) is None)


def test_a_ring_that_begins_while_the_database_is_away_says_so_and_is_ready_once_it_is_back(
    ring: Keyring, acme: Organization, admin: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("accounts.keyring.RETRY_SECONDS", (0.01, 0.04))
    _, secret = made(acme, admin)
    name = connection.settings_dict["NAME"]
    monkeypatch.setitem(connection.settings_dict, "NAME", "nowhere")
    ring.start()
    assert soon(lambda: "Keys cannot be read now" in caplog.text)
    with pytest.raises(KeyringNotReadyError):
        ring.find(secret)
    monkeypatch.setitem(connection.settings_dict, "NAME", name)
    assert found(ring, secret) is not None
    assert caplog.text.count("Keys cannot be read now") == 1, "each attempt after the first is silent"


def test_a_forked_child_reads_for_itself(ring: Keyring, acme: Organization, admin: User) -> None:
    _, secret = made(acme, admin)
    assert soon(lambda: found(ring, secret) is not None)
    parents = ring._thread
    ring._begin()  # what a child does
    assert not ring._read.is_set()
    assert found(ring, secret) is not None
    assert ring._thread is not parents


OTHER_PROCESS = f"""
import os, sys
import django
django.setup()
from django.conf import settings
from django.db import connection
connection.settings_dict["NAME"] = sys.argv[1]
import accounts.keyring
accounts.keyring.POLL_SECONDS = 600  # so that only a notification can tell
keyring = accounts.keyring.keyring
keyring.wait_until_ready({PATIENCE})
import time
print("ready", flush=True)
for line in sys.stdin:
    until = time.monotonic() + {PATIENCE}
    while keyring.find(line.strip()) is not None and time.monotonic() < until:
        time.sleep(0.005)
    print(keyring.find(line.strip()), flush=True)
"""


def test_another_process_forgets_a_revoked_key(acme: Organization, admin: User) -> None:
    key, secret = made(acme, admin)
    command = [sys.executable, "-c", OTHER_PROCESS, str(connection.settings_dict["NAME"])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        revoke(key, by=admin)
        print(secret, file=other.stdin, flush=True)
        assert other.stdout.readline() == "None\n"
        other.stdin.close()


def test_no_key_is_looked_for_in_the_database(ring: Keyring, acme: Organization, admin: User) -> None:
    _, secret = made(acme, admin)
    assert soon(lambda: found(ring, secret) is not None)
    seen = threading.active_count()
    with connection.execute_wrapper(lambda *_: pytest.fail("a query")):
        for _ in range(1_000):
            assert ring.find(new_secret()) is None
        assert ring.find(secret) is not None
    assert threading.active_count() == seen


# The organizations' own keys for Groq.


@pytest.fixture
def secrets(settings: LazySettings) -> list[str]:
    settings.PROVIDER_KEY_SECRETS = [Fernet.generate_key().decode()]
    return settings.PROVIDER_KEY_SECRETS


def test_a_provider_key_is_encrypted_and_reaches_the_ring(
    ring: Keyring, acme: Organization, admin: User, secrets: list[str]
) -> None:
    _, secret = made(acme, admin)
    provider_keys.set_provider_key(acme, "gsk_canary123", by=admin)
    assert soon(lambda: (entry := found(ring, secret)) is not None and entry.provider_key == "gsk_canary123")
    assert "canary" not in repr(found(ring, secret))
    stored = ProviderKey.objects.get()
    assert "canary" not in stored.encrypted
    assert str(stored) == "…y123"
    assert all("canary" not in str(record.changes) for record in AuditRecord.objects.all())
    provider_keys.remove_provider_key(acme, by=admin)
    assert soon(lambda: (entry := found(ring, secret)) is not None and entry.provider_key is None)


def test_keys_of_the_encryption_are_changed_without_a_gap(
    acme: Organization, admin: User, secrets: list[str], settings: LazySettings
) -> None:
    provider_keys.set_provider_key(acme, "gsk_canary123", by=admin)
    new = Fernet.generate_key().decode()
    settings.PROVIDER_KEY_SECRETS = [new, *secrets]
    assert provider_keys.encrypt_again() == 1
    settings.PROVIDER_KEY_SECRETS = [new]
    assert provider_keys.decrypted(ProviderKey.objects.get().encrypted) == "gsk_canary123"
    settings.PROVIDER_KEY_SECRETS = secrets
    with pytest.raises(provider_keys.UnreadableProviderKeyError):
        provider_keys.encrypt_again()


def test_a_provider_key_that_cannot_be_decrypted_makes_no_calls_with_the_servers(
    ring: Keyring, acme: Organization, admin: User, secrets: list[str], settings: LazySettings
) -> None:
    _, secret = made(acme, admin, may_read=True)
    provider_keys.set_provider_key(acme, "gsk_canary123", by=admin)
    settings.PROVIDER_KEY_SECRETS = []
    entry = found(ring, secret)
    assert entry is not None
    assert (entry.scopes, entry.provider_key) == ({"read"}, None)
    with pytest.raises(ValidationError, match="PROVIDER_KEY_SECRET"):
        provider_keys.set_provider_key(acme, "gsk_other", by=admin)
