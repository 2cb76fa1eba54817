"""The programs that the page shows, ready to be copied. Each is a file under ``templates/connect/snippets``, a template
with the variables ``address``, ``key`` and ``model``. Run as it is, a snippet makes one call, or sends one event, and
prints the answer. The tests of the gateway run them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from django.conf import settings
from django.template.loader import render_to_string

FOLDER = settings.FILES_DIR / "templates" / "connect" / "snippets"
MODEL = "openai/gpt-oss-20b"
"""The model that the page's snippets ask: small, fast and cheap."""
PLACEHOLDER = "gul_…"
"""What stands for the key where there is none to show."""

Door = Literal["gateway", "ingestion"]
Kind = Literal["", "yours", "comment"]


@dataclass(frozen=True, slots=True)
class Snippet:
    """A program in a file of the folder. ``name`` stands for it in a query string; ``door`` is the way on which its
    call reaches the ledger."""

    name: str
    file: str
    title: str
    door: Door = "gateway"

    def text(self, address: str, key: str, model: str = MODEL) -> str:
        """The program. ``address`` is where the ledger is reached, without a slash at its end."""
        template = f"connect/snippets/{self.file}"
        return render_to_string(template, {"address": address, "key": key, "model": model}, using="jinja2")

    def pieces(self, address: str, key: str) -> list[tuple[Kind, str]]:
        """The program cut into its comments, what is the reader's own (address and key), and the rest."""
        comment = "//" if self.file.endswith(".mjs") else "#"
        own = "|".join(map(re.escape, (address, key)))
        return _pieces(self.text(address, key), rf"(?P<comment>^[ ]*{comment}.*$)|(?P<yours>{own})")


@dataclass(frozen=True, slots=True)
class Group:
    title: str
    snippets: Sequence[Snippet]


GROUPS = (
    Group(
        "Any program",
        (
            Snippet("python", "python.py", "Python"),
            Snippet("javascript", "javascript.mjs", "JavaScript"),
            Snippet("curl", "curl.sh", "curl"),
            Snippet("environment", "environment.sh", "Environment variables"),
            Snippet("attribution", "attribution.sh", "Project and person"),
        ),
    ),
    Group(
        "Libraries",
        (
            Snippet("openai", "openai.py", "OpenAI for Python"),
            Snippet("openai_js", "openai.mjs", "OpenAI for JavaScript"),
            Snippet("langchain", "langchain.py", "LangChain"),
            Snippet("litellm", "litellm.py", "LiteLLM"),
            Snippet("vercel_ai", "vercel_ai.mjs", "Vercel AI SDK"),
            Snippet("openai_agents", "openai_agents.py", "OpenAI Agents"),
            Snippet("pydantic_ai", "pydantic_ai.py", "Pydantic AI"),
            Snippet("llama_index", "llama_index.py", "LlamaIndex"),
            Snippet("instructor", "instructor.py", "Instructor"),
            Snippet("crewai", "crewai.py", "CrewAI"),
        ),
    ),
    Group(
        "Made elsewhere",
        (
            Snippet("otlp", "otlp.sh", "OpenTelemetry", "ingestion"),
            Snippet("recorder", "recorder.py", "Python recorder", "ingestion"),
            Snippet("litellm_callback", "litellm_callback.py", "LiteLLM callback", "ingestion"),
        ),
    ),
)


def groups() -> list[Group]:
    """The snippets to show: those whose file is there and whose door is open (``GATEWAY``)."""
    shown = [Group(group.title, [one for one in group.snippets if _is_shown(one)]) for group in GROUPS]
    return [group for group in shown if group.snippets]


def snippet_in(file: str) -> Snippet:
    """The snippet in this file. StopIteration if there is none."""
    return next(one for group in GROUPS for one in group.snippets if one.file == file)


def _is_shown(snippet: Snippet) -> bool:
    return (settings.GATEWAY or snippet.door == "ingestion") and (FOLDER / snippet.file).is_file()


def _pieces(text: str, pattern: str) -> list[tuple[Kind, str]]:
    """The text cut at the matches of the pattern, each piece with the name of the group that matched."""
    pieces: list[tuple[Kind, str]] = []
    end = 0
    for match in re.finditer(pattern, text, re.MULTILINE):
        kind: Kind = "comment" if match.lastgroup == "comment" else "yours"
        pieces += [("", text[end : match.start()]), (kind, match[0])]
        end = match.end()
    return [piece for piece in (*pieces, ("", text[end:])) if piece[1]]
