"""The examples for nginx and Caddy: both in front of the real server, with ports and certificates of this machine."""

import datetime
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from accounts.models import Organization
from groq_client.simulator.server import running_simulator
from tests import emptying
from tests.gateway.doors import CALL, make_key, question
from tests.running_demo import ROOT, free_port, wait_until
from tests.served import served

pytestmark = pytest.mark.django_db(transaction=True)

NGINX, CADDY = ROOT / "deploy" / "nginx", ROOT / "deploy" / "caddy"
HOSTS = {"": "usage.example.com", "/usage": "intranet.example.com"}
CHUNKS, DELAY = 6, 0.25


@dataclass
class Front:
    """A proxy that runs, by its name, and what it serves: the host and the root path."""

    proxy: str
    root: str
    port: int

    def client(self, source: str = "127.0.0.1") -> httpx.Client:
        """A client of the proxy whose address is ``source``."""
        return httpx.Client(
            base_url=f"https://127.0.0.1:{self.port}{self.root}",
            headers={"Host": f"{HOSTS[self.root]}:{self.port}"},
            transport=_WithName(HOSTS[self.root], verify=False, local_address=source),
            timeout=60,
        )


class _WithName(httpx.HTTPTransport):
    """Names the host in the handshake of TLS, as a client does that has found it by its name."""

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(**options)
        self.name = name

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.extensions["sni_hostname"] = self.name
        return super().handle_request(request)


def write_certificate(directory: Path) -> tuple[Path, Path]:
    """A certificate that nobody has signed, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "example.com")])
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in HOSTS.values()]), False)
    certificate, secret = directory / "of-the-test.pem", directory / "of-the-test.key"
    certificate.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    secret.write_bytes(key.private_bytes(*form))
    return certificate, secret


def nginx(directory: Path, port: int, upstream: dict[str, int]) -> list[str]:
    """The command that runs both examples for nginx."""
    certificate, secret = write_certificate(directory)
    for root, name in (("", "groq-usage"), ("/usage", "groq-usage-under-a-path")):
        text = (NGINX / f"{name}.conf").read_text()
        text = text.replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
        text = text.replace("listen 80;", f"listen 127.0.0.1:{free_port()};")
        text = re.sub(r"ssl_certificate \S+;", f"ssl_certificate {certificate};", text)
        text = re.sub(r"ssl_certificate_key \S+;", f"ssl_certificate_key {secret};", text)
        proxy = (NGINX / "groq-usage-proxy.conf").read_text().replace("127.0.0.1:8000", f"127.0.0.1:{upstream[root]}")
        (directory / f"{name}-proxy.conf").write_text(proxy)
        (directory / f"{name}.conf").write_text(text.replace("groq-usage-proxy.conf", f"{name}-proxy.conf"))
    temporary = "\n".join(
        f"{kind}_temp_path {directory}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    includes = f"include {directory}/groq-usage.conf; include {directory}/groq-usage-under-a-path.conf;"
    (directory / "nginx.conf").write_text(
        f"daemon off; pid {directory}/pid; error_log stderr; worker_processes 1; events {{}}\n"
        f"http {{ access_log off; {temporary} {includes} }}\n"
    )
    command = ["nginx", "-e", "stderr", "-p", str(directory), "-c", str(directory / "nginx.conf")]
    tried = subprocess.run([*command, "-t"], capture_output=True, text=True)
    assert tried.returncode == 0, tried.stderr
    return command


def caddy(directory: Path, port: int, upstream: dict[str, int]) -> list[str]:
    """The command that runs both examples for Caddy."""
    certificate, secret = write_certificate(directory)
    text = (CADDY / "Caddyfile").read_text()
    for root, host in HOSTS.items():
        before, name, after = text.partition(f"\n{host} {{")
        assert name
        site = f"\nhttps://{host}:{port} {{\n\ttls {certificate} {secret}"
        text = before + site + after.replace("127.0.0.1:8000", f"127.0.0.1:{upstream[root]}", 1)
    (directory / "Caddyfile").write_text("{\n\tadmin off\n\tauto_https disable_redirects\n}\n" + text)
    command = ["caddy", "run", "--adapter", "caddyfile", "--config", str(directory / "Caddyfile")]
    return ["env", f"HOME={directory}", f"XDG_DATA_HOME={directory}", f"XDG_CONFIG_HOME={directory}", *command]


PROXIES: dict[str, Callable[[Path, int, dict[str, int]], list[str]]] = {"nginx": nginx, "caddy": caddy}


@contextmanager
def running(name: str, directory: Path, upstream: dict[str, int]) -> Iterator[int]:
    """The port of a proxy in front of the servers at these ports."""
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed (Debian: apt install {name}).")
    port = free_port()
    command = PROXIES[name](directory, port, upstream)
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_until(lambda: _listens(port) or process.poll() is not None, 60)
        assert process.poll() is None, (directory / "log").read_text()
        yield port
    finally:
        process.terminate()
        process.wait(60)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def upstream(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, int]]:
    """The ports of two servers: one at the root of its host, one under /usage."""
    with django_db_blocker.unblock(), ExitStack() as stack:
        stack.callback(emptying.empty_after_servers)
        groq = stack.enter_context(running_simulator())
        settings = {"GROQ_API_KEY": "gsk_test", "GROQ_BASE_URL": groq.base_url, "GATEWAY_FORWARD_HEADERS": "x-sim-*"}
        settings |= {"HTTPS": "1", "PROXY_COUNT": "1", "JOURNAL_DIR": str(tmp_path_factory.mktemp("journal"))}
        ports = {}
        for root, host in HOSTS.items():
            of_host = {"ROOT_PATH": root, "ALLOWED_HOSTS": host}
            one = ("--workers", "1")
            server = served("tests.deploy.telling:application", arguments=one, **settings, **of_host)
            address = stack.enter_context(server)
            ports[root] = urlsplit(address).port or 0
        yield ports


@pytest.fixture(scope="module", params=list(PROXIES))
def proxy(
    request: pytest.FixtureRequest, upstream: dict[str, int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, int]]:
    with running(request.param, tmp_path_factory.mktemp(request.param), upstream) as port:
        yield request.param, port


@pytest.fixture(params=list(HOSTS), ids=["host", "path"])
def front(request: pytest.FixtureRequest, proxy: tuple[str, int]) -> Front:
    return Front(proxy[0], request.param, proxy[1])


def test_pages_and_their_files_are_there(front: Front) -> None:
    with front.client() as client:
        page = client.get("/sign-in/")
        assert page.status_code == 200
        assert client.cookies.jar
        assert all(cookie.secure for cookie in client.cookies.jar)
        (form,) = re.findall(r'<form[^>]* action="([^"]*)"', page.text)[:1] or [f"{front.root}/sign-in/"]
        assert form.startswith(f"{front.root}/")
        start = client.get("/")
        assert start.headers["Location"] == f"{front.root}/sign-in/?next={front.root}/"


def test_a_form_may_be_sent(front: Front) -> None:
    """Django compares the origin of a form with the host and the scheme that the proxy tells."""
    with front.client() as client:
        client.get("/sign-in/")
        token = next(cookie.value for cookie in client.cookies.jar if "csrftoken" in cookie.name)
        origin = f"https://{HOSTS[front.root]}:{front.port}"
        form = {"username": "nobody", "password": "wrong", "csrfmiddlewaretoken": token}
        headers = {"Origin": origin, "Referer": f"{origin}{front.root}/sign-in/"}
        assert client.post("/sign-in/", data=form, headers=headers).status_code == 200


def test_the_address_of_the_client_is_the_real_one(front: Front) -> None:
    """Whatever the client itself says."""
    with front.client(source="127.0.0.2") as client:
        told = client.get("/tell/", headers={"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "http"}).text
    assert told == f"127.0.0.2 https {HOSTS[front.root]}:{front.port}"


def test_nobody_asks_for_metrics_through_the_proxy(front: Front) -> None:
    with front.client() as client:
        answer = client.get("/metrics")
    assert answer.status_code == 404
    assert "Content-Security-Policy" not in answer.headers, "the proxy's own answer"


def test_a_stream_comes_chunk_by_chunk(front: Front, acme: Organization) -> None:
    make_key(acme)
    slow = {"Authorization": f"Bearer {CALL}", "x-sim-chunks": str(CHUNKS)}
    slow["x-sim-chunk-delay-ms"] = str(round(1000 * DELAY))
    with front.client() as client:
        address = "/openai/v1/chat/completions"
        with client.stream("POST", address, json=question(stream=True), headers=slow) as answer:
            assert answer.status_code == 200
            came = [time.monotonic() for line in answer.iter_lines() if line.startswith("data: ")]
    assert len(came) > CHUNKS
    assert came[-1] - came[0] > (CHUNKS - 1) * DELAY / 2, "all came at the end"
