"""The commands and programs in the README and under docs/."""

import re
from dataclasses import dataclass
from pathlib import Path

from connect.snippets import FOLDER
from tests.gateway.connect_page import ADDRESS, KEY, MODEL
from tests.gateway.snippets import snippet
from tests.running_demo import ROOT

PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "groq_client" / "README.md",
    ROOT / "CONTRIBUTING.md",
]
SHELL, PYTHON = ("sh", "bash", "console", "shell"), ("python", "py")
FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """What stands between two fences, and where."""

    page: str
    line: int
    language: str
    text: str

    @property
    def name(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def is_run(self) -> bool:
        """Whether a reader would type it: it is a command or a program."""
        return self.language in SHELL + PYTHON


def blocks() -> list[Block]:
    found = []
    for path in PAGES:
        text = path.read_text()
        for match in FENCE.finditer(text):
            indent, language, inside = match.groups()
            lines = [line.removeprefix(indent) for line in inside.splitlines(keepends=True)]
            line = text[: match.start()].count("\n") + 1
            found.append(Block(_name(path), line, language, "".join(lines)))
    return found


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def snippets() -> set[str]:
    """The programs of the page Connect, which the tests of their languages and libraries run."""
    return {snippet(path.name, ADDRESS, KEY, MODEL).rstrip("\n") + "\n" for path in FOLDER.iterdir()}
