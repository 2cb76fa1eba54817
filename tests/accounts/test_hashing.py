"""Hashing passwords: a few at a time, without a database connection, and with an answer for who finds no place."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock
from typing import Any

import pytest
from django.contrib.auth.hashers import (
    Argon2PasswordHasher,
    PBKDF2PasswordHasher,
    check_password,
    identify_hasher,
    make_password,
)
from django.db import connection
from django.test import Client
from pytest_django.fixtures import Settings

from accounts import hashing
from accounts.links import Link
from accounts.models import AuditRecord, SignInAttempts, User
from tests.cast import PASSWORD, signed_in
from tests.running_demo import wait_until

NEW = {"new_password1": "a whole new battery", "new_password2": "a whole new battery"}


class Watch:
    """Sees every hash that is made, and lets each one end when it is told to."""

    def __init__(self) -> None:
        self.at_once = self.most_at_once = self.with_connection = self.hashes = 0
        self.may_end = Event()
        self.may_end.set()
        self.lock = Lock()

    def __enter__(self) -> None:
        with self.lock:
            self.hashes += 1
            self.at_once += 1
            self.most_at_once = max(self.at_once, self.most_at_once)
            self.with_connection += connection.connection is not None
        self.may_end.wait(60)

    def __exit__(self, *error: object) -> None:
        with self.lock:
            self.at_once -= 1


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Iterator[Watch]:
    """The real hashers, which do little work here."""
    watch = Watch()

    def watched(method: Any) -> Any:
        def hashed(hasher: Any, *arguments: Any) -> Any:
            with watch:
                return method(hasher, *arguments)

        return hashed

    settings.PASSWORD_HASHERS = ["accounts.hashing.Argon2", "accounts.hashing.Pbkdf2"]
    monkeypatch.setattr(hashing.Argon2, "memory_cost", 64)
    monkeypatch.setattr(PBKDF2PasswordHasher, "iterations", 10)
    for kind, name in (
        (Argon2PasswordHasher, "encode"),
        (Argon2PasswordHasher, "verify"),
        (PBKDF2PasswordHasher, "encode"),
    ):
        monkeypatch.setattr(kind, name, watched(getattr(kind, name)))
    yield watch
    watch.may_end.set()


def with_real_hash(user: User) -> User:
    User.objects.filter(pk=user.pk).update(password=make_password(PASSWORD))
    return User.objects.get(pk=user.pk)


def test_a_hash_is_one_that_django_knows(watch: Watch) -> None:
    hashed = make_password(PASSWORD)
    assert identify_hasher(hashed).algorithm == "argon2"
    assert check_password(PASSWORD, hashed)
    assert not check_password("wrong", hashed)


def test_some_are_hashed_at_once_and_the_others_wait(watch: Watch, settings: Settings) -> None:
    watch.may_end.clear()
    with ThreadPoolExecutor(20) as threads:
        waiting = [threads.submit(make_password, PASSWORD) for _ in range(20)]
        wait_until(lambda: watch.at_once == settings.PASSWORD_HASHES_AT_ONCE, 60)
        watch.may_end.set()
        assert all(future.result() for future in waiting)
    assert (watch.hashes, watch.most_at_once) == (20, settings.PASSWORD_HASHES_AT_ONCE)


@pytest.mark.django_db(transaction=True)
def test_no_connection_is_held_meanwhile(watch: Watch, user: User) -> None:
    """Wherever a password is looked at or set."""
    client, user = Client(), with_real_hash(user)
    watch.hashes = watch.with_connection = 0
    for name, password in (("ann", "wrong"), ("nobody", "wrong"), ("ann", PASSWORD)):
        client.post("/sign-in/", {"username": name, "password": password})
    assert client.post("/password/", {"old_password": PASSWORD} | NEW).status_code == 302
    user = User.objects.get(pk=user.pk)
    page = client.get(f"/password/set/{Link(user.pk).uid}/{Link(user.pk).tokens.make_token(user)}/", follow=True)
    assert client.post(page.request["PATH_INFO"], NEW).status_code == 302
    assert (watch.hashes, watch.with_connection) == (2 + 2 + 1 + 2 + 1, 0)  # two for who does not get in


def with_old_hash(user: User) -> User:
    User.objects.filter(pk=user.pk).update(password=make_password(PASSWORD, hasher="pbkdf2_sha256"))
    return User.objects.get(pk=user.pk)


def test_a_password_of_an_older_release_is_hashed_anew_at_sign_in(watch: Watch, user: User, client: Client) -> None:
    with_old_hash(user)
    for _ in range(2):
        assert client.post("/sign-in/", {"username": "ann", "password": PASSWORD}).status_code == 302
        assert User.objects.get(pk=user.pk).password.startswith("argon2$argon2id$")
        client.post("/sign-out/")


def test_who_does_not_get_in_learns_nothing_from_the_time(watch: Watch, user: User, client: Client) -> None:
    """The same hashes are computed for a name that nobody has, for a new hash and for an old one."""
    hashes = []
    for prepare in (with_real_hash, with_old_hash):
        prepare(user)
        for name in ("ann", "nobody"):
            watch.hashes = 0
            client.post("/sign-in/", {"username": name, "password": "wrong"})
            hashes.append(watch.hashes)
    assert hashes == [2, 2, 2, 2]


@pytest.fixture
def no_place(user: User, watch: Watch, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Iterator[None]:
    """Others hash, and nobody waits long. The user was there before."""
    monkeypatch.setattr(hashing, "PATIENCE_SECONDS", 0.01)
    watch.may_end.clear()
    with ThreadPoolExecutor(settings.PASSWORD_HASHES_AT_ONCE) as threads:
        for _ in range(settings.PASSWORD_HASHES_AT_ONCE):
            threads.submit(make_password, PASSWORD)
        wait_until(lambda: watch.at_once == settings.PASSWORD_HASHES_AT_ONCE, 60)
        yield
        watch.may_end.set()


def test_who_finds_no_place_is_told_to_try_again(no_place: None, client: Client, user: User) -> None:
    data = {"username": "ann", "password": PASSWORD}
    for _ in range(20):  # none of them counts, since no password was looked at
        response = client.post("/sign-in/", data)
        assert response.status_code == 503
        assert b"Please try again" in response.content
    assert SignInAttempts.objects.get().count == 0
    assert signed_in(user).post("/password/", {"old_password": PASSWORD} | NEW).status_code == 503
    assert not AuditRecord.objects.exists()
