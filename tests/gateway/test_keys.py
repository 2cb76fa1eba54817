"""Who may call: keys that are wrong, revoked, expired, without the scope, or over their limits; and for whom."""

import time
from collections import Counter
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.utils import timezone

from accounts import api_keys, provider_keys
from accounts.keyring import POLL_SECONDS
from accounts.models import ApiKey, Organization, Project, User
from tests.gateway.doors import CALL, PROVIDER_KEY_SECRET, Door, make_key, question, wait_until_known
from tests.gateway.workers import busy_workers_of
from tests.groq_client.memory import MODEL

PATIENCE = POLL_SECONDS - 1
"""Seconds within which a revoked key works nowhere any more. Usual are two tenths; a loaded machine may take longer,
but not so long as without a notification."""
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Basic Z3VsOg==", "Bearer gul_wrong", f"Bearer {'x' * 5_000}", "Bearer é", CALL],
)
def test_wrong_keys(door: Door, authorization: str) -> None:
    response = door.post(json=question(), headers={"authorization": authorization.encode("latin-1")})
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "invalid_api_key"
    assert response.headers["www-authenticate"] == "Bearer"
    assert "x-usage-request-id" not in response.headers
    assert not door.groq.requests


def test_a_key_may_lose_what_it_may(door: Door, key: ApiKey) -> None:
    assert door.ask().status_code == 200
    for change, status in (
        ({"may_call": False}, 403),
        ({"may_call": True, "expires_at": timezone.now() - timedelta(seconds=1)}, 401),
        ({"expires_at": None}, 200),
        ({"revoked_at": timezone.now()}, 401),
    ):
        ApiKey.objects.filter(pk=key.pk).update(**change)
        wait_until_known()
        assert door.ask().status_code == status, change


def test_a_revoked_key_is_refused_by_every_worker_at_once(door: Door, acme: Organization, admin: User) -> None:
    """At the gateway and at the door for events, on connections that were there before."""
    key = make_key(acme, "gul_leaked", may_ingest=True)
    links, of_workers = [], Counter[int]()
    while len(of_workers) < 2 or min(of_workers.values()) < 3:
        link = httpx.Client(base_url=door.address, timeout=30, headers={"authorization": "Bearer gul_leaked"})
        assert statuses_of(link) == [200, 422]
        links.append(link)
        of_workers = connections_of(door)
        assert len(links) < 100
    api_keys.revoke(key, by=admin)
    revoked = time.monotonic()
    answers = [statuses_of(link) for link in links]
    while answers != [[401, 401]] * len(links):
        assert time.monotonic() - revoked < PATIENCE
        answers = [statuses_of(link) for link in links]
    assert time.monotonic() - revoked < PATIENCE
    for link in links:
        link.close()


def statuses_of(link: httpx.Client) -> list[int]:
    """What the gateway and the door for events say to the key of a client."""
    return [link.get("/v1/models").status_code, link.post("/api/v1/events", json={}).status_code]


def connections_of(door: Door) -> Counter[int]:
    """The number of open connections of each worker."""
    port = int(door.address.rpartition(":")[2])
    found = Counter[int]()
    for worker in busy_workers_of(door):
        found[worker.pid] = sum(c.laddr.port == port and c.status == "ESTABLISHED" for c in worker.net_connections())
    return found


def test_a_key_with_a_limit_of_requests(door: Door, acme: Organization) -> None:
    make_key(acme, "gul_slow", requests_per_minute=2)
    answers = [door.ask(key="gul_slow") for _ in range(8)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(answers) - len(refused) == 2  # by both workers together
    for answer in refused:
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert answer.json()["error"]["type"] == "rate_limit_error"
    assert door.ask().status_code == 200


def test_a_key_with_a_limit_of_tokens(door: Door, acme: Organization) -> None:
    make_key(acme, "gul_small", tokens_per_minute=10)
    statuses = [door.ask(key="gul_small", stream=True).status_code for _ in range(8)]
    assert statuses == [200] + [429] * 7


def test_a_bound_key_books_on_nobody_else(door: Door, acme: Organization, user: User) -> None:
    project = Project.objects.create(organization=acme, slug="atlas", name="Atlas")
    make_key(acme, "gul_bound", project=project, user=user)
    headers = {"x-usage-user": "eve", "x-usage-project": "other", "x-usage-organization": "globex"}
    door.ask(key="gul_bound", headers={**headers, "x-usage-feature": "rag"})
    event = door.event()
    assert (event.organization, event.project, event.user, event.feature) == (acme, project, user, "rag")


def test_an_organizations_own_key_for_groq(door: Door, acme: Organization, super_admin: User, settings: Any) -> None:
    settings.PROVIDER_KEY_SECRETS = [PROVIDER_KEY_SECRET]
    provider_keys.set_provider_key(acme, "gsk_of_acme", by=super_admin)
    wait_until_known()
    door.ask(model=f"sim/error-400/{MODEL}")
    assert door.groq.requests[-1].headers["authorization"] == "Bearer gsk_of_acme"


def test_pages_are_served_beside_the_gateway(door: Door) -> None:
    assert httpx.get(f"{door.address}/health/live/").status_code == 200
    with httpx.Client(base_url=door.address, headers={"authorization": f"Bearer {CALL}"}) as client:
        assert client.get("/v1/nothing").status_code == 404
        assert client.get("/v1/chat/completions").headers["allow"] == "POST"
