"""What an engine does for the image and its containers, by the kernel's own means: mounts, chroot, a user, a network.

A container here has a root of its own, which cannot be written, the programs of this machine under /usr, the Python of
the suite in /usr/local/bin, as in the image that ours is built on, and a network that nobody else is in.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.deploy.dockerfile import Stage, command_of, is_in_context, pairs, stages
from tests.running_demo import ROOT

NOBODY = "10001:10001"
SYSTEM_PATH = "/usr/local/bin:/usr/sbin:/usr/bin:/bin"
OF_ETC = (
    "pip.conf",
    "passwd",
    "group",
    "shadow",
    "login.defs",
    "ld.so.cache",
    "nsswitch.conf",
    "resolv.conf",
    "ssl",
    "localtime",
)
UV_CACHE = ROOT / "var" / "image-cache"
QUICK = {
    "COMPRESS_STATIC": "0", "UV_COMPILE_BYTECODE": "0", "UV_LINK_MODE": "hardlink", "UV_CACHE_DIR": "/cache",
    "PIP_NO_CACHE_DIR": "0", "PIP_CACHE_DIR": "/cache/pip", "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt",
}  # fmt: skip
"""Compression and byte code take a minute of a core, and change nothing that could be wrong."""
SECONDS = 300

UP = "import fcntl, socket, struct\nfcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sh', b'lo', 0x41))"
"""Brings the loopback device of a new network up."""


class Network:
    """A network namespace with the loopback device alone, in which all ports are free."""

    def __init__(self) -> None:
        script = f"{shlex.quote(sys.executable)} -c {shlex.quote(UP)} && echo up && exec cat"
        self._holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"up\n"

    @property
    def enter(self) -> list[str]:
        """The beginning of a command that runs within."""
        return ["nsenter", f"--net=/proc/{self._holder.pid}/ns/net"]

    def close(self) -> None:
        assert self._holder.stdin is not None
        self._holder.stdin.close()
        self._holder.wait(SECONDS)


@dataclass
class Root:
    """The file system of an image, and what its instructions say of how it is run."""

    path: Path
    environment: dict[str, str] = field(default_factory=dict)
    directory: str = "/"
    user: str = ""
    command: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    volumes: list[str] = field(default_factory=list)

    def run(
        self,
        command: Sequence[str],
        *,
        user: str,
        environment: Mapping[str, str],
        mounts: Mapping[str, Path] | None = None,
        writable: bool = False,
        network: Network | None = None,
        log: Path | None = None,
    ) -> "subprocess.Popen[bytes]":
        """Run the command in this root, with ``mounts`` (a directory or file for each place) beside it."""
        uid, _, gid = user.partition(":")
        lines = ["set -e", f"mount --bind {self.path} {self.path}"]
        for place, source in {"/usr": Path("/usr"), **pythons(self.path.parent / "python"), **(mounts or {})}.items():
            (self.path / place[1:]).parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                (self.path / place[1:]).mkdir(exist_ok=True)
            else:
                (self.path / place[1:]).touch()
            lines.append(f"mount --bind {source} {self.path}{place}")
        lines += [f"mount --rbind /{name} {self.path}/{name}" for name in ("dev", "proc")]
        lines.append(f"mount -t tmpfs tmpfs {self.path}/tmp && chmod 1777 {self.path}/tmp")
        if not writable:
            lines.append(f"mount -o remount,bind,ro {self.path}")
        said = shlex.join(f"{name}={value}" for name, value in environment.items())
        inside = f"cd {self.directory} && exec env -i {said} {shlex.join(command)}"
        who = ["setpriv", f"--reuid={uid}", f"--regid={gid or uid}", "--clear-groups", "--no-new-privs"]
        if uid != "0":
            who += ["--bounding-set=-all", "--inh-caps=-all"]
        lines.append(f"exec chroot {self.path} {shlex.join(who)} sh -c {shlex.quote(inside)}")
        output = log.open("ab") if log else None
        try:
            return subprocess.Popen(
                [*(network.enter if network else ()), "unshare", "--mount", "sh", "-c", "\n".join(lines)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
                start_new_session=True,
            )
        finally:
            if output:
                output.close()


def pythons(names: Path) -> dict[str, Path]:
    """The Python of the suite where it is, and the directory of scripts that start it, for /usr/local/bin."""
    names.mkdir(exist_ok=True)
    for name in ("python", "python3"):
        (names / name).write_text(f'#!/bin/sh\nexec {sys.base_prefix}/bin/python3 "$@"\n')
        (names / name).chmod(0o755)
    return {sys.base_prefix: Path(sys.base_prefix), "/usr/local/bin": names}


def build(directory: Path) -> Root:
    """Build the image of the Dockerfile. Returns its last stage."""
    roots: dict[str, Root] = {}
    for stage in stages():
        roots[stage.name] = _build_stage(stage, directory / (stage.name or "final"), roots)
    return roots[""]


def _build_stage(stage: Stage, path: Path, others: Mapping[str, Root]) -> Root:
    root = Root(_empty_root(path), {"PATH": SYSTEM_PATH, "LANG": "C.UTF-8"})
    for word, rest in stage.steps:
        if word == "WORKDIR":
            root.directory = rest
            _own(root.path / rest[1:])
        elif word == "COPY":
            _copy(rest.split(), root, others)
        elif word == "RUN":
            _run(rest, root)
        else:
            _note(word, rest, root)
    return root


def _note(word: str, rest: str, root: Root) -> None:
    """Keep what an instruction says of how the image is run."""
    match word:
        case "ENV":
            before = root.environment["PATH"]
            root.environment |= {name: value.replace("$PATH", before) for name, value in pairs(rest).items()}
        case "LABEL":
            root.labels |= pairs(rest)
        case "USER":
            root.user = rest
        case "VOLUME":
            root.volumes.append(rest)
        case "HEALTHCHECK":
            root.healthcheck = command_of(rest)
        case "CMD":
            root.command = command_of(rest)
        case _:
            assert word == "EXPOSE", f"tests/deploy/container.py does not know {word}."


def _empty_root(path: Path) -> Path:
    for name in ("usr", "dev", "proc", "tmp", "etc", "var/lib", "run/secrets"):
        (path / name).mkdir(parents=True)
    for name in ("bin", "lib", "lib64", "sbin"):
        (path / name).symlink_to(f"usr/{name}")
    for name in OF_ETC:
        source = Path("/etc") / name
        if source.is_dir():
            shutil.copytree(source, path / "etc" / name, symlinks=True)
        elif source.exists():
            shutil.copy2(source, path / "etc" / name)
    return path


def _own(path: Path, owner: str = NOBODY) -> None:
    path.mkdir(parents=True, exist_ok=True)
    os.chown(path, *map(int, owner.split(":")))


def _copy(words: list[str], root: Root, others: Mapping[str, Root]) -> None:
    options = dict(word.removeprefix("--").split("=", 1) for word in words if word.startswith("--"))
    *sources, target = [word for word in words if not word.startswith("--")]
    goal = root.path / (target[1:] if target.startswith("/") else os.path.join(root.directory[1:], target))
    if "from" in options:
        (source,) = sources
        subprocess.run(["cp", "-a", "--link", f"{others[options['from']].path}{source}/.", _made(goal)], check=True)
    else:
        names = [name for name in os.listdir(ROOT) if is_in_context(name)] if sources == ["."] else sources
        subprocess.run(["cp", "-r", *names, _made(goal)], cwd=ROOT, check=True)
    if (owner := options.get("chown")) is not None:
        _own(goal, owner)
    elif "from" not in options:
        subprocess.run(["chown", "-R", NOBODY, goal], check=True)


def _made(path: Path) -> str:
    path.mkdir(parents=True, exist_ok=True)
    return str(path)


@contextmanager
def _cache_in(place: Path) -> Iterator[None]:
    """What was downloaded in earlier runs, within the root, so that uv can link to it."""
    _own(UV_CACHE)
    UV_CACHE.rename(place)
    yield
    place.rename(UV_CACHE)


def _run(script: str, root: Root) -> None:
    """A step runs as somebody without any rights, unless it makes a user."""
    user = "0:0" if script.startswith("useradd ") else NOBODY
    registries = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_"))}
    environment = {**registries, **root.environment, **QUICK, "HOME": "/tmp"}
    with _cache_in(root.path / "cache"):
        step = root.run(["sh", "-c", script], user=user, environment=environment, writable=True)
        status = step.wait(SECONDS)
    assert status == 0, script


def stop(process: "subprocess.Popen[bytes]") -> int:
    """End a container as an engine does; the exit status of its command."""
    process.send_signal(signal.SIGTERM)
    return process.wait(SECONDS)
