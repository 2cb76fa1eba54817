"""The programs on docs/connect.md are those of ``templates/connect/snippets``. ``make docs`` writes them there.

A comment before each block names its file: ``<!-- snippet: curl.sh -->``.
"""

import re

import django
from django.conf import settings

from tests.gateway.snippets import snippet

PAGE = settings.BASE_DIR / "docs" / "connect.md"
ADDRESS, KEY, MODEL = "http://localhost:8000", "gul_…", "openai/gpt-oss-20b"
LANGUAGES = {"mjs": "javascript", "py": "python", "sh": "sh"}
BLOCK = re.compile(r"^<!-- snippet: (\S+) -->\n(?:```\w+\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)


def programs() -> dict[str, str]:
    """The text of each block on the page, by the name of its file."""
    return dict(BLOCK.findall(PAGE.read_text()))


def written() -> str:
    """The page with the programs as they are in their files."""
    return BLOCK.sub(lambda match: _block(match[1]), PAGE.read_text())


def _block(name: str) -> str:
    program = snippet(name, ADDRESS, KEY, MODEL).rstrip("\n")
    return f"<!-- snippet: {name} -->\n```{LANGUAGES[name.rpartition('.')[2]]}\n{program}\n```\n"


if __name__ == "__main__":
    django.setup()
    PAGE.write_text(written())
