"""Dockerfile and docker-compose.yml, read as an engine reads them, as far as ours go."""

import json
import re
import shlex
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Any

import yaml

from tests.running_demo import ROOT

LINE_END = re.compile(r"\\\n")
VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")


@dataclass
class Stage:
    """A stage of the Dockerfile: its name and its instructions, with the words behind each."""

    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)


def stages() -> list[Stage]:
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    found: list[Stage] = []
    for line in LINE_END.sub("", text).splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            found.append(Stage(rest.partition(" AS ")[2]))
        elif word and found:
            found[-1].steps.append((word, re.sub(r"\s+", " ", rest) if word != "RUN" else rest.strip()))
    return found


def pairs(words: str) -> dict[str, str]:
    """The ``NAME=value …`` of ENV and LABEL."""
    return dict(word.split("=", 1) for word in shlex.split(words))


def command_of(words: str) -> list[str]:
    """The command of CMD, or of the CMD in HEALTHCHECK."""
    found: list[str] = json.loads(words[words.index("[") :])
    return found


def is_in_context(name: str) -> bool:
    """Whether .dockerignore lets the file or folder at the top of the checkout into the image."""
    is_in = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#") and fnmatch(name, line.removeprefix("!")):
            is_in = line.startswith("!")
    return is_in


def compose() -> dict[str, Any]:
    """docker-compose.yml with the defaults of its variables."""
    text = VARIABLE.sub(r"\2", (ROOT / "docker-compose.yml").read_text())
    found: dict[str, Any] = yaml.safe_load(text)
    return found
