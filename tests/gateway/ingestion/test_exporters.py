"""Real exporters of OpenTelemetry, each in an environment of its own, against the simulator and the server."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from django.conf import settings

from accounts.models import Organization
from groq_client.simulator.server import running_simulator
from ledger.models import UsageEvent
from tests.gateway.ingestion.sending import new_secret
from tests.served import served

MODEL, PROMPT = "openai/gpt-oss-120b", "canary-prompt: the vault opens with 7431"
HERE = Path(__file__).parent
INSTALLED = settings.BASE_DIR / "var" / "exporters"
NAMES = sorted(path.stem for path in (HERE / "exporters").glob("*.txt"))
SECONDS = 300
OF_ALL = {"whole", "streamed", "async", "failed"}
TOLD = {"openllmetry": OF_ALL, "openlit": OF_ALL - {"failed"}, "openinference": OF_ALL - {"streamed"}}
"""The calls that each one tells with what an event needs: OpenLIT's spans of failed calls have no attributes, and
OpenInference's spans of streams have no usage."""
pytestmark = pytest.mark.django_db(transaction=True)


def started(name: str, secret: str, ledger: str, groq: str) -> "subprocess.Popen[str]":
    environment = {
        "PATH": os.environ["PATH"],
        "GROQ_API_KEY": "gsk_canary0123456789",
        "GROQ_BASE_URL": groq,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"{ledger}/otlp",
        "OTEL_EXPORTER_OTLP_HEADERS": f"Authorization=Bearer%20{secret}",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
    }
    assert (INSTALLED / name).is_dir(), f"make pytest installs it, from {HERE / 'exporters'}"
    command = [str(INSTALLED / name / "bin" / "python"), str(HERE / "exporting.py"), name, MODEL, PROMPT]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def kind_of(event: UsageEvent) -> str:
    if event.status == "error":
        return "failed"
    return "streamed" if event.stream else "whole"


def test_calls_that_real_exporters_tell_are_events() -> None:
    organizations = {name: Organization.objects.create(name=name, slug=name) for name in NAMES}
    secrets = {name: new_secret(one) for name, one in organizations.items()}
    with running_simulator() as groq, served() as ledger:
        processes = {name: started(name, secrets[name], ledger, groq.base_url) for name in NAMES}
        printed = {name: process.communicate(timeout=SECONDS) for name, process in processes.items()}
    for name, (output, errors) in printed.items():
        assert processes[name].returncode == 0, errors
        answers = json.loads(output)
        events = list(UsageEvent.objects.filter(organization=organizations[name]).order_by("timestamp"))
        kinds = [kind_of(event) for event in events]
        told = TOLD[name]
        assert sorted(kinds) == sorted([{"async": "whole"}.get(kind, kind) for kind in told]), name
        for event in events:
            assert (event.provider, event.operation, event.project and event.project.slug) == ("groq", "chat", "shop")
            if event.status == "error":
                assert event.model_requested == "no-such-model"
                continue
            assert event.model == MODEL
            assert event.input_tokens > 0
            assert event.output_tokens > 0
            assert event.latency_ms > 0 or event.stream
        ids = {event.response_id for event in events}
        assert name == "openinference" or {answers["whole"], answers["async"]} <= ids
    assert PROMPT[:13] not in json.dumps(list(UsageEvent.objects.values()), default=str)
