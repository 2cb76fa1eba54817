"""``make release-check``: both distributions are built, installed in fresh environments, and run there.

The sdists are built of the checkout and the wheels of the sdists. Nothing of the checkout is in the way: commands run
in an empty directory.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests.running_demo import ROOT, free_port
from usage_dashboard.version import version

PLACE = ROOT / "var" / "release"
UV = (sys.executable, "-m", "uv")
SECONDS = 180
CLIENT = f"""
import importlib.metadata, importlib.util
import groq_client
assert importlib.metadata.version("groq-usage-client") == "{version()}"
assert importlib.util.find_spec("django") is None
"""


def main() -> None:
    shutil.rmtree(PLACE, ignore_errors=True)
    (PLACE / "empty").mkdir(parents=True)
    for project in (".", "groq_client"):
        run(*UV, "build", "--quiet", "--out-dir", str(PLACE / "dist"), str(ROOT / project), directory=ROOT)
    try_the_ledger()
    try_the_client()
    say(f"Both distributions of {version()} are under {PLACE / 'dist'}, install and run.")


def wheel(name: str) -> str:
    (found,) = (PLACE / "dist").glob(f"{name}-{version()}-py3-none-any.whl")
    assert (PLACE / "dist" / f"{name}-{version()}.tar.gz").exists()
    return str(found)


def environment(name: str, *packages: str) -> Path:
    """The programs of a fresh environment with these packages, at the versions of the lock."""
    directory = PLACE / name
    run(*UV, "venv", "--quiet", str(directory))
    python = ("--python", str(directory / "bin" / "python"))
    run(*UV, "pip", "install", "--quiet", *python, "--constraint", str(ROOT / "requirements.lock"), *packages)
    return directory / "bin"


def try_the_ledger() -> None:
    programs = environment("ledger", wheel("groq_usage_dashboard"))
    ledger = str(programs / "groq-usage-dashboard")
    settings = {"VAR_DIR": str(PLACE / "var"), "COMPRESS_STATIC": "0", "EMBEDDED_POSTGRES_SETTINGS": "fsync=off"}
    assert version() in run(ledger, "--version", **settings)
    for words in ("migrate --verbosity 0", "collectstatic --no-input --verbosity 0", "check --database default"):
        run(ledger, *words.split(), **settings)
    assert "success" in run(ledger, "groq_chat", "What is a ledger?", **settings)
    port = free_port()
    serve = [str(programs / "gunicorn"), "usage_dashboard.asgi:application", "--worker-class", "asgi"]
    serve += ["--config", "python:usage_dashboard.gunicorn_conf", "--bind", f"127.0.0.1:{port}", "--no-control-socket"]
    with running(serve, **settings):
        page = text_of(f"http://127.0.0.1:{port}/sign-in/")
        style = page.partition('rel="stylesheet" href="')[2].partition('"')[0]
        assert "--surface" in text_of(f"http://127.0.0.1:{port}{style}")


def try_the_client() -> None:
    python = environment("client", wheel("groq_usage_client")) / "python"
    run(str(python), "-W", "error", "-c", CLIENT)


def run(*command: str, directory: Path = PLACE / "empty", **settings: str) -> str:
    """Run the command with nothing of this environment but the settings; what it prints."""
    names = ("PATH", "HOME", "LANG", "SSL_CERT_FILE", "TMPDIR")
    ours = {name: value for name, value in os.environ.items() if name in names or name.startswith(("PIP_", "UV_"))}
    done = subprocess.run(
        command, cwd=directory, env=ours | settings, stdout=subprocess.PIPE, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, command
    return done.stdout


@contextmanager
def running(command: list[str], **settings: str) -> Iterator[None]:
    process = subprocess.Popen(command, cwd=PLACE / "empty", env={"PATH": os.environ["PATH"], **settings})
    try:
        yield
    finally:
        process.terminate()
        process.wait(SECONDS)


def text_of(address: str) -> str:
    """The page at the address, once somebody answers. gunicorn listens before its worker is there to answer, which on a
    busy machine takes longer than one attempt waits."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            with urlopen(address, timeout=30) as answer:
                return str(answer.read().decode())
        except (URLError, TimeoutError):
            assert time.monotonic() < deadline, address
            time.sleep(0.2)


def say(what: str) -> None:
    sys.stdout.write(f"{what}\n")


if __name__ == "__main__":
    main()
