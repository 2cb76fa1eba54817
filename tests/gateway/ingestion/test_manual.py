"""The commands of docs/ingestion.md work as they stand there."""

import os
import re
import subprocess

import pytest
from django.conf import settings

from accounts.models import Organization
from ledger.models import UsageEvent
from tests.gateway.ingestion.sending import new_secret
from tests.served import served

MANUAL = (settings.BASE_DIR / "docs" / "ingestion.md").read_text()
COMMANDS = re.findall(r"^```sh\n(.*?)^```$", MANUAL, re.MULTILINE | re.DOTALL)
SECONDS = 60


@pytest.mark.django_db(transaction=True)
def test_every_command_of_the_manual_works(acme: Organization) -> None:
    secret = new_secret(acme)
    with served() as url:
        script = "set -eo pipefail\n" + "\n".join(COMMANDS)
        environment = {"PATH": os.environ["PATH"], "LEDGER": url, "KEY": secret}
        done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"recorded":1' in done.stdout
    recorded = UsageEvent.objects.order_by("timestamp", "request_id").values_list("request_id", "provider")
    assert sorted(recorded) == [
        ("0af7651916cd43dd8448eb211c80319cb7ad6b7169203331", "groq"),
        ("a", "openai"),
        ("b", "openai"),
        ("order-4711", "groq"),
    ]
