"""The gateway as its clients see it, and the events that they leave."""

from typing import Any

import httpx
from django.db import connection
from django.utils import timezone

from accounts.api_keys import digest_of
from accounts.models import ApiKey, Organization
from groq_client.simulator.server import SimulatorHandle
from ledger.models import UsageEvent
from tests.groq_client.memory import MESSAGES, MODEL
from tests.running_demo import wait_until

CALL = "gul_call"
"""The secret of the key in most tests."""
PROVIDER_KEY_SECRET = "kNAV-E4EuYZZ7Bd6tTHfE4eEcvAx8KxzAWmM8rlhWlU="
SECONDS = 60
"""A busy machine is slow and may not fail a test."""


class Door:
    """A running gateway. ``request_ids`` are the calls of this test, whose events :meth:`settle` waits for."""

    def __init__(self, address: str, groq: SimulatorHandle) -> None:
        self.address, self.groq = address, groq
        self.request_ids: list[str] = []

    def post(self, path: str = "/openai/v1/chat/completions", key: str = CALL, **options: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {key}", **options.pop("headers", {})}
        with httpx.Client(base_url=self.address, timeout=SECONDS) as client:
            response = client.post(path, headers=headers, **options)
        self.note(response)
        return response

    def ask(self, *, stream: bool = False, model: str = MODEL, **options: Any) -> httpx.Response:
        return self.post(json=question(stream=stream, model=model), **options)

    def note(self, response: httpx.Response) -> None:
        if (request_id := response.headers.get("x-usage-request-id")) is not None:
            self.request_ids.append(request_id)

    def event(self, request_id: str = "") -> UsageEvent:
        """The event of this call, or of the last one; there is no second one."""
        name = request_id or self.request_ids[-1]
        wait_until(lambda: UsageEvent.objects.filter(request_id=name).exists(), SECONDS)
        return UsageEvent.objects.get(request_id=name)

    def only(self) -> UsageEvent:
        """The one event that there is."""
        wait_until(lambda: UsageEvent.objects.exists(), SECONDS)
        return UsageEvent.objects.get()

    def all(self, number: int) -> list[UsageEvent]:
        """The events of all calls, which are this many, in the order of their starts."""
        wait_until(lambda: UsageEvent.objects.count() >= number, SECONDS)
        events = list(UsageEvent.objects.order_by("timestamp", "id"))
        assert len(events) == number
        return events

    def settle(self) -> None:
        for request_id in self.request_ids:
            self.event(request_id)


def question(*, stream: bool = False, model: str = MODEL, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": MESSAGES, **({"stream": True} if stream else {}), **more}


KNOWN = """
SELECT count(*) > 0 AND bool_and(state = 'idle' AND query_start > %s) FROM pg_stat_activity
WHERE application_name = 'usage-keys' AND datname = current_database()
"""
"""Whether all processes have read the keys since a moment."""


def make_key(organization: Organization, secret: str = CALL, **more: Any) -> ApiKey:
    """A key that all running gateways know."""
    digest = digest_of(secret)
    key = ApiKey.objects.create(organization=organization, name=digest.hex(), digest=digest, **more)
    wait_until_known()
    return key


def wait_until_known() -> None:
    """Wait until the last change of the keys has reached all running gateways. A process that reads the keys for the
    second time has taken in what it read the first time."""
    for _ in range(2):
        _wait_until_read()


def _wait_until_read() -> None:
    changed = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("NOTIFY accounts_keys")

        def is_read() -> bool:
            cursor.execute(KNOWN, [changed])
            return bool(cursor.fetchone()[0])

        wait_until(is_read, SECONDS)
