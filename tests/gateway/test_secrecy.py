"""Nothing that a key, a prompt or an answer contains is in a table, in the journal, in a log or in an error of ours.

Each secret names the place where it is sent, and all that the server keeps or prints is searched for all of them.
"""

import json
import logging
import random
import socket
import string
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings as django_settings
from django.db import connection

from accounts import api_keys, provider_keys
from accounts.models import ApiKey, Organization, User
from gateway import errors
from groq_client.simulator.server import SimulatorHandle
from tests.gateway.doors import CALL, PROVIDER_KEY_SECRET, Door, make_key, question, wait_until_known
from tests.gateway.ingestion.sending import EVENTS, LOGS, TRACES, event
from tests.gateway.ingestion.test_otlp import CHAT, PROTOBUF, in_protobuf, log, logs, span, traces
from tests.groq_client.memory import MODEL
from tests.served import served

pytestmark = pytest.mark.django_db(transaction=True)

SERVERS_KEY = "gsk_of_the_server_" + "s" * 20
JSON, LINES = "application/json", "application/x-ndjson"


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "server.log"


@pytest.fixture(scope="module")
def address(
    django_db_setup: None, django_db_blocker: Any, groq_server: SimulatorHandle, printed: Path
) -> Iterator[str]:
    """A server that prints as much as it can be asked for."""
    environment = {"GROQ_API_KEY": SERVERS_KEY, "GROQ_BASE_URL": groq_server.base_url, "LOG_LEVEL": "DEBUG"}
    environment |= {"PROVIDER_KEY_SECRET": PROVIDER_KEY_SECRET, "USAGE_DEBUG": "1", "PYTHONASYNCIODEBUG": "1"}
    arguments = ["--access-logfile", "-", "--log-level", "debug"]
    with django_db_blocker.unblock(), served(log=printed, arguments=arguments, **environment) as address:
        yield address


class Secrets:
    """What may be nowhere. ``errors`` are the answers of errors, which may not quote a secret either."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.errors: list[str] = []

    def prompt(self, place: str) -> str:
        return self._note(f"canary {place} {_letters(12)}")

    def key(self, place: str, prefix: str = "gsk") -> str:
        return self._note(f"{prefix}_{place.replace(' ', '')}{_letters(40)}")

    def _note(self, secret: str) -> str:
        self.made.append(secret)
        return secret

    def found_in(self, kept: str) -> list[str]:
        return [secret for secret in self.made if secret in kept or secret.encode().hex() in kept]


def _letters(number: int) -> str:
    return "".join(random.choices(string.ascii_letters, k=number))


@pytest.fixture
def secrets() -> Secrets:
    secrets = Secrets()
    secrets.made += [CALL, SERVERS_KEY, PROVIDER_KEY_SECRET]
    return secrets


class Sending:
    """Sends to any address with any key, and keeps what errors say."""

    def __init__(self, door: Door, secrets: Secrets, key: str) -> None:
        self._door, self._secrets, self._key = door, secrets, key

    def __call__(self, path: str, **options: Any) -> httpx.Response | None:
        headers = {"authorization": f"Bearer {self._key}", **options.pop("headers", {})}
        try:
            response = httpx.post(self._door.address + path, headers=headers, timeout=30, **options)
        except httpx.RemoteProtocolError:
            return None
        self._door.note(response)
        if response.status_code >= 400:
            self._secrets.errors.append(response.text + str(response.headers))
        return response


def test_calls(door: Door, key: ApiKey, secrets: Secrets, printed: Path) -> None:
    send = Sending(door, secrets, CALL)
    for model in (
        MODEL,
        f"sim/error-400/{MODEL}",
        f"sim/no-usage/{MODEL}",
        f"sim/cut/{MODEL}",
        f"sim/bad-json/{MODEL}",
    ):
        for stream in (False, True):
            send("/v1/chat/completions", json=chat(secrets, model, stream))
    answer = send("/v1/chat/completions", json=question())
    assert answer is not None
    secrets.made.append(answer.json()["choices"][0]["message"]["content"][:40])
    send("/v1/chat/completions", json=chat(secrets, "sim/error-400-tool_use_failed", stream=False))
    secrets.made.append('<function=get_weather{"city": "Oslo"')  # what the model has written
    send("/v1/chat/completions", content=f'{{"model": "{MODEL}", "messages": [{{"content": "{secrets.prompt("cut")}')
    asked = {"model": MODEL, "input": secrets.prompt("input"), "instructions": secrets.prompt("instructions")}
    send("/v1/responses", json=asked)
    send("/v1/embeddings", json={"model": "nomic-embed-text-v1.5", "input": [secrets.prompt("embedded")]})
    speech = {"model": "canopylabs/orpheus-v1-english", "voice": "autumn", "input": secrets.prompt("spoken")}
    send("/v1/audio/speech", json={**speech, "response_format": "wav"})
    for kind in ("transcriptions", "translations"):
        form = {"model": "whisper-large-v3", "prompt": secrets.prompt("before the audio")}
        file = (secrets.prompt("audio name") + ".wav", secrets.prompt("audio").encode())
        send(f"/v1/audio/{kind}", data=form, files={"file": file})
    asked = question(seed=7, response_format={"type": secrets.prompt("in a batch")})
    line = {"custom_id": "c", "method": "POST", "url": "/v1/chat/completions", "body": asked}
    file = (secrets.prompt("batch name"), json.dumps(line).encode())
    uploaded = send("/v1/files", data={"purpose": "batch"}, files={"file": file})
    assert uploaded is not None
    job = {"completion_window": "24h", "endpoint": "/v1/chat/completions", "input_file_id": uploaded.json()["id"]}
    batch = send("/v1/batches", json=job)
    assert batch is not None
    authorized = {"authorization": f"Bearer {CALL}"}
    results = httpx.get(f"{door.address}/v1/files/{batch.json()['output_file_id']}/content", headers=authorized)
    secrets.made.append(json.loads(results.text)["response"]["body"]["choices"][0]["message"]["content"][:40])
    door.all(19)
    assert_nowhere(secrets, printed)


def chat(secrets: Secrets, model: str, stream: bool) -> dict[str, Any]:
    said = [
        {"role": "system", "content": secrets.prompt("system")},
        {"role": "user", "content": secrets.prompt("user")},
    ]
    tool = {"name": "look_up", "description": secrets.prompt("tool"), "parameters": {"type": "object"}}
    return {"model": model, "stream": stream, "messages": said, "tools": [{"type": "function", "function": tool}]}


def test_headers_and_addresses(door: Door, key: ApiKey, secrets: Secrets, printed: Path) -> None:
    send = Sending(door, secrets, CALL)
    of_others = ("helicone-auth", "x-portkey-api-key", "x-portkey-virtual-key", "x-portkey-config", "x-litellm-api-key")
    usual = ("cookie", "proxy-authorization", "x-api-key", "x-goog-api-key", "api-key", "referer")
    told = {name: f"Bearer {secrets.key(name)}" for name in of_others + usual}
    send("/v1/chat/completions", json=question(), headers=told)
    for path in ("/v1/chat/completions", "/v1/nothing", EVENTS, "/nowhere/", "/accounts/login/"):
        send(f"{path}?api_key={secrets.key('query', 'gul')}&key={secrets.key('query')}", json=question(), headers=told)
    for wrong in ("Bearer {}", "Basic {}", "{}", "bearer  {}"):
        for path in ("/v1/chat/completions", EVENTS, TRACES, LOGS):
            secret = secrets.key("wrong", "gul")
            send(path, content=b"{}", headers={"authorization": wrong.format(secret)})
    for broken in (
        "Authorization: Bearer {}\0",
        " Authorization: {}",
        "Authorization : Bearer {}",
        "Bearer {}",
        "X: {}\r",
    ):
        answer = raw(
            door, f"POST {EVENTS} HTTP/1.1\r\nHost: x\r\n{broken.format(secrets.key('broken', 'gul'))}\r\n\r\n"
        )
        assert answer.startswith(b"HTTP/1.1 4")
    door.all(2)
    assert "/v1/nothing" in printed.read_text(), "the access log is on"
    assert_nowhere(secrets, printed)


def raw(door: Door, request: str) -> bytes:
    host, port = door.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as link, suppress(ConnectionError):
        link.sendall(request.encode())
        return link.recv(4096)
    return b""


def test_events_and_telemetry(door: Door, acme: Organization, secrets: Secrets, printed: Path) -> None:
    key = secrets.key("ingest", "gul")
    make_key(acme, key, may_ingest=True)
    send = Sending(door, secrets, key)
    prompts = {"prompt": "prompt", "messages": "messages", "response": "response", "gen_ai.prompt": "dotted"}
    told = {name: secrets.prompt(place) for name, place in prompts.items()}
    failed = {"status": "error", "error_message": f"Invalid key {secrets.key('error')}, Bearer {key}"}
    lines = [
        event(request_id="a", **told),
        event(**told | {"input_tokens": secrets.prompt("column"), "timestamp": secrets.prompt("time")}),
        event(request_id="b", **failed),
        secrets.prompt("item"),
    ]
    send(EVENTS, json=lines)
    send(EVENTS, content="\n".join(map(json.dumps, lines)).encode(), headers={"content-type": LINES})
    send(EVENTS, content=b'{"prompt": "' + secrets.prompt("cut event").encode())
    send(EVENTS, content=secrets.prompt("no json").encode(), headers={"content-encoding": "gzip"})
    names = ["gen_ai.input.messages", "gen_ai.prompt.0.content", "gen_ai.completion.0.content", "input.value"]
    names += ["llm.input_messages.0.message.content", "gen_ai.system_instructions", "gen_ai.tool.call.arguments"]
    attributes = CHAT | {name: secrets.prompt(name) for name in names}
    status = {"code": 2, "message": f"{secrets.prompt('status')} {secrets.key('status')}"}
    exception = {"name": "exception", "attributes": pairs_of({"exception.message": secrets.prompt("exception")})}
    wrong = attributes | {"gen_ai.usage.input_tokens": secrets.prompt("tokens")}
    spans = traces(
        span(attributes, 1, status=status, events=[exception]), span(wrong, 2), api_key=secrets.key("resource")
    )
    record = log(attributes, body={"stringValue": secrets.prompt("body")})
    for path, message in ((TRACES, spans), (LOGS, logs(record))):
        send(path, json=message)
        send(path, content=in_protobuf(message), headers={"content-type": PROTOBUF})
        send(path, content=json.dumps(message)[:-9].encode(), headers={"content-type": JSON})
        send(path, content=in_protobuf(message)[:-9], headers={"content-type": PROTOBUF})
    assert door.event("b").error_message.startswith("Invalid key")
    assert_nowhere(secrets, printed)


def pairs_of(attributes: dict[str, str]) -> list[dict[str, Any]]:
    return [{"key": name, "value": {"stringValue": value}} for name, value in attributes.items()]


def test_keys_and_their_audit_trail(
    door: Door, acme: Organization, admin: User, secrets: Secrets, settings: Any, printed: Path
) -> None:
    settings.PROVIDER_KEY_SECRETS = [PROVIDER_KEY_SECRET]
    own = secrets.key("of acme")
    provider_keys.set_provider_key(acme, own, by=admin)
    key = ApiKey(organization=acme, name="ci")
    secrets.made.append(first := api_keys.create(key, by=admin))
    secrets.made.append(api_keys.add_secret(key, by=admin))
    api_keys.drop_first_secret(key, by=admin)
    wait_until_known()
    answer = door.ask(model=f"sim/error-401/{MODEL}")
    assert answer.status_code == 401
    door.ask(key=first)
    api_keys.revoke(key, by=admin)
    provider_keys.remove_provider_key(acme, by=admin)
    door.settle()
    assert "key.create" in tables()
    assert_nowhere(secrets, printed)


def assert_nowhere(secrets: Secrets, printed: Path) -> None:
    kept = {"tables": tables(), "journals": journals(), "log": printed.read_text(errors="replace")}
    kept["errors"] = "\n".join(secrets.errors)
    assert {place: found for place, text in kept.items() if (found := secrets.found_in(text))} == {}


def journals() -> str:
    paths = [path for path in django_settings.JOURNAL_DIR.rglob("*") if path.is_file()]
    return "\n".join(path.read_bytes().decode(errors="replace") for path in paths)


def tables() -> str:
    """All tables, whole."""
    texts = []
    with connection.cursor() as cursor:
        for name in connection.introspection.table_names():
            cursor.execute(f'SELECT coalesce(string_agg(t::text, chr(10)), %s) FROM "{name}" t', [""])
            texts.append(cursor.fetchone()[0])
    return "\n".join(texts)


def test_an_error_of_ours_is_logged_by_its_place_alone(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> Any:
        raise ValueError("canary")

    with pytest.raises(ValueError, match="canary") as raised:
        fail()
    with caplog.at_level(logging.ERROR, "usage.gateway"):
        assert errors.our_fault(raised.value).status == 500
    assert "canary" not in caplog.text
    assert "ValueError in " in caplog.text
