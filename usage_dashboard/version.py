"""The version of this program. pyproject.toml says it, and nothing else does."""

import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path

DISTRIBUTION = "groq-usage-dashboard"
PROJECT = Path(__file__).parent.parent / "pyproject.toml"


@cache
def version() -> str:
    """The version in pyproject.toml of a checkout, or that of the wheel that was installed."""
    if PROJECT.exists():
        return str(tomllib.loads(PROJECT.read_text())["project"]["version"])
    return metadata.version(DISTRIBUTION)
