"""The program of the page Connect for OpenTelemetry works as it is shown."""

import subprocess

import pytest

from accounts.models import Organization
from ledger.models import UsageEvent
from tests.gateway.ingestion.sending import new_secret
from tests.gateway.snippets import snippet
from tests.served import served


@pytest.mark.django_db(transaction=True)
def test_each_run_sends_one_event(acme: Organization) -> None:
    secret = new_secret(acme)
    with served() as address:
        program = snippet("otlp.sh", address, secret)
        for number in (1, 2):
            done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, timeout=60, check=True)
            assert done.stdout.startswith("{")
            assert UsageEvent.objects.filter(organization=acme).count() == number
    event = UsageEvent.objects.order_by("pk")[0]
    assert (event.model, event.input_tokens, event.output_tokens) == ("llama-3.1-8b-instant", 100, 20)
    assert event.latency_ms == 250
