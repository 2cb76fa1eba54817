"""Counts the uses of Groq's built-in tools (web search, browser, code), which are billed by use, apart from tokens.

Compound systems name a tool in ``type`` ("search"), gpt-oss models in ``name`` ("browser.search", of the type
"function"). Here each tool has one name for all models, the one that requests use, such as ``web_search``,
``visit_website`` or ``code_interpreter``. Each step of gpt-oss's ``browser_search`` has a name of its own:
``browser_search``, ``browser_open`` and ``browser_find``.
"""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from groq_client.call import ToolUse

MAX_NAME_LENGTH = 50
MAX_TOOLS = 20
"""At most this many tool names are kept for a call; further tools, and tools with long names, count as ``OTHER``."""
OTHER = "other"

_ALIASES = {
    "search": "web_search",
    "visit": "visit_website",
    "python": "code_interpreter",
    "code_execution": "code_interpreter",
    "wolfram": "wolfram_alpha",
}
_NOT_OF_GROQ = frozenset({"mcp", "function_call", "mcp_call", "custom_tool_call"})
"""Types of tools that Groq does not run itself and bills nothing for."""
_NO_NAME = re.compile(r"[^a-z0-9]+")


class ExecutedTools:
    """Collects the tools that ran from the chunks of a stream or from a whole answer."""

    def __init__(self) -> None:
        self._found: dict[tuple[object, ...], str] = {}

    def take(self, data: Mapping[str, Any]) -> None:
        """Reads a chunk or an answer. A stream reports a tool twice under one index, at the tool's start and end. A
        whole answer reports each tool once.
        """
        for choice in _objects(data.get("choices")):
            for name, is_whole in (("delta", False), ("message", True)):
                message = choice.get(name)
                if isinstance(message, Mapping):
                    self._take_message(choice.get("index"), message, is_whole=is_whole)
        # The Responses API lists the tools that ran among its output items, as {"type": "code_interpreter_call"}.
        for place, item in enumerate(_objects(data.get("output"))):
            kind = item.get("type")
            if isinstance(kind, str) and kind.endswith("_call") and kind not in _NOT_OF_GROQ:
                self._found["output", place] = canonical_name(kind.removesuffix("_call"))

    def uses(self) -> tuple[ToolUse, ...]:
        """How often each tool ran, in the order of their names."""
        if not self._found:
            return ()
        counts = Counter(self._found.values())
        beyond = sorted(counts)[MAX_TOOLS - 1 :] if len(counts) > MAX_TOOLS else []
        counts += Counter({OTHER: sum(counts.pop(name) for name in beyond)})
        return tuple(ToolUse(name, uses) for name, uses in sorted(counts.items()))

    def _take_message(self, choice: object, message: Mapping[str, Any], *, is_whole: bool) -> None:
        for place, tool in enumerate(_objects(message.get("executed_tools"))):
            name, index = _name(tool), tool.get("index")
            if name:
                key = place if is_whole or not isinstance(index, int) else index
                self._found[str(choice), key, name] = name


def canonical_name(name: str) -> str:
    """The one name of a tool, from any of its names; "" for a text that names no tool."""
    plain = _NO_NAME.sub("_", name.lower()).strip("_")
    return OTHER if len(plain) > MAX_NAME_LENGTH else _ALIASES.get(plain, plain)


def _name(tool: Mapping[str, Any]) -> str:
    kind, name = (said if isinstance(said, str) else "" for said in (tool.get("type"), tool.get("name")))
    return "" if kind in _NOT_OF_GROQ else canonical_name(name or kind)


def _objects(value: object) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
