"""The Dockerfile and docker-compose.yml: what they say, and what comes of it, without an engine."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.container import NOBODY, Root
from tests.deploy.dockerfile import compose, is_in_context
from tests.deploy.stack import Stack
from tests.running_demo import ROOT, wait_until
from usage_dashboard.settings import INSTALLED_APPS
from usage_dashboard.version import version

BIN = Path(sys.executable).parent
OURS = ("migrate", "web", "worker")


def test_the_linter_of_dockerfiles_finds_nothing() -> None:
    subprocess.run([BIN / "hadolint", "Dockerfile"], cwd=ROOT, check=True)


def test_the_compose_file_is_as_published() -> None:
    command = [BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml"]
    subprocess.run(command, cwd=ROOT, check=True)


def test_each_container_of_ours_has_no_right_that_it_does_not_need() -> None:
    for name in OURS:
        service = compose()["services"][name]
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["tmpfs"] == ["/tmp"]
        assert service["image"] == f"groq-usage-dashboard:{version()}"


def test_no_secret_is_in_the_file_and_each_that_is_used_is_made(secrets: Path) -> None:
    file = compose()
    declared = {name: entry["file"] for name, entry in file["secrets"].items()}
    assert declared == {name: f"./secrets/{name}" for name in os.listdir(secrets)}
    used = {name for service in file["services"].values() for name in service.get("secrets", ())}
    assert used == set(declared)
    for service in file["services"].values():
        for name, value in service.get("environment", {}).items():
            if any(word in name for word in ("PASSWORD", "SECRET", "KEY", "TOKEN")):
                assert name.endswith("_FILE")
                assert value.startswith("/run/secrets/")


def test_secrets_are_long_and_stay(secrets: Path) -> None:
    before = {path.name: path.read_text() for path in secrets.iterdir()}
    subprocess.run(["sh", "deploy/make-secrets.sh"], cwd=secrets.parent, check=True)
    assert {path.name: path.read_text() for path in secrets.iterdir()} == before
    assert before.pop("groq_api_key") == ""
    assert {len(text) for text in before.values()} == {64}
    assert len(set(before.values())) == len(before)
    assert secrets.stat().st_mode & 0o777 == 0o700
    environment = {**os.environ, "GROQ_API_KEY": "gsk_test"}
    subprocess.run(["sh", "deploy/make-secrets.sh"], cwd=secrets.parent, check=True, env=environment)
    assert (secrets / "groq_api_key").read_text() == "gsk_test"
    (secrets / "groq_api_key").write_text("")


def test_the_context_has_the_rooms_and_nothing_that_is_secret() -> None:
    rooms = {name.partition(".")[0] for name in INSTALLED_APPS if (ROOT / name.partition(".")[0]).is_dir()}
    for name in {*rooms, "gateway", "groq_client", "connect", "api", "templates", "static", "manage.py"}:
        assert is_in_context(name), f".dockerignore does not name {name}"
    for name in ("var", "secrets", ".env", ".git", ".venv", "docs", "tests"):
        assert not is_in_context(name), name


@pytest.fixture(scope="module")
def stack(image: Root, secrets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(image, tmp_path_factory.mktemp("stack"), secrets)
    try:
        stack.up()
        yield stack
    finally:
        stack.down()


def test_what_the_image_is_to_run(image: Root) -> None:
    assert image.user == NOBODY
    assert image.volumes == ["/var/lib/groq-usage"]
    assert image.labels["org.opencontainers.image.licenses"] == "Apache-2.0"


def test_alone_it_has_a_postgresql_of_its_own(image: Root, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    volume.chmod(0o777)
    command = ["sh", "-ec", "python manage.py migrate --verbosity 0 && python manage.py groq_chat Hello"]
    log = tmp_path / "log"
    mounts = {"/var/lib/groq-usage": volume}
    done = image.run(command, user=image.user, environment=image.environment, mounts=mounts, log=log)
    assert done.wait(180) == 0, log.read_text()
    assert re.search("status +success", log.read_text())
    wait_until(lambda: not (volume / "postgres" / "postmaster.pid").exists(), 60)


def test_what_compose_starts_becomes_healthy_and_serves(stack: Stack) -> None:
    stack.wait_until_healthy("web")
    stack.wait_until_healthy("worker")
    wait_until(lambda: json.loads(stack.get("http://web:8000/health/")) == {"status": "ok"}, 60)
    page = stack.get("http://localhost:8000/sign-in/")
    assert "<form" in page
    style = page.partition('rel="stylesheet" href="')[2].partition('"')[0]
    assert "--surface" in stack.get(f"http://localhost:8000{style}")


def test_commands_run_beside_it_and_reach_the_same_ledger(stack: Stack) -> None:
    for words in ("groq_chat Hello --project website", "backup /var/lib/groq-usage/ledger.dump"):
        assert stack.run("web", ["python", "manage.py", *words.split()]).wait(120) == 0, stack.log("web").read_text()
    assert re.search("status +success", stack.log("web").read_text())
    assert (stack.directory / "ledger" / "ledger.dump").stat().st_size > 10_000


def test_nothing_but_the_volume_and_tmp_can_be_written(stack: Stack) -> None:
    for place, status in (("/app", 1), ("/etc", 1), ("/var/lib", 1), ("/var/lib/groq-usage", 0), ("/tmp", 0)):
        assert stack.run("web", ["sh", "-c", f"touch {place}/try"]).wait(60) == status, place


def test_services_end_when_they_are_asked_to(stack: Stack) -> None:
    """The last test of the stack: web and worker leave with 0, and the calls that were recorded are written."""
    ended = stack.down()
    assert {name: ended[name] for name in ("web", "worker")} == {"web": 0, "worker": 0}
    assert not list((stack.directory / "ledger" / "journal").glob("*.journal"))
