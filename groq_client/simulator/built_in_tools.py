"""Groq's built-in tools: the tools that run for a request, and their entries in the answer.

Groq's models decide which tools to run. Here each tool that a request enables runs once; ``browser_search`` of gpt-oss
runs in two steps, searching and opening a page. ``groq/compound-mini`` runs one tool.
"""

from groq_client.simulator.catalogue import ModelSpec
from groq_client.simulator.wire import Json, dumps

_OF_COMPOUND = {
    "web_search": "search",
    "visit_website": "visit",
    "code_interpreter": "python",
    "browser_automation": "browser_automation",
    "wolfram_alpha": "wolfram",
}
_OF_GPT_OSS = {"browser_search": ("browser.search", "browser.open"), "code_interpreter": ("python",)}
_FOUND = {"results": [{"title": "Rivers", "url": "https://example.com/rivers", "content": "The Nile.", "score": 0.9}]}


def executed_tools(body: Json, spec: ModelSpec, prompt: str) -> tuple[Json, ...]:
    """The tools that ran, in order, in the form of ``message.executed_tools``."""
    arguments = dumps({"query": prompt[:100]}).decode()
    if spec.compound:
        enabled = _enabled(body)[: 1 if spec.id.endswith("-mini") else None]
        named: list[Json] = [{"type": _OF_COMPOUND[name]} for name in enabled]
    elif spec.id.startswith("openai/gpt-oss-"):
        named = [{"name": name, "type": "function"} for kind in _offered(body) for name in _OF_GPT_OSS[kind]]
    else:
        return ()
    return tuple(
        {**tool, "index": index, "arguments": arguments, "output": "The Nile.", "search_results": _FOUND}
        for index, tool in enumerate(named)
    )


def begun(tool: Json) -> Json:
    """The entry of a tool in a stream at the tool's start."""
    return {name: value for name, value in tool.items() if name != "output"} | {"search_results": {"results": []}}


def _enabled(body: Json) -> list[str]:
    custom = body.get("compound_custom")
    tools = custom.get("tools") if isinstance(custom, dict) else None
    enabled = tools.get("enabled_tools") if isinstance(tools, dict) else None
    return [name for name in enabled if name in _OF_COMPOUND] if isinstance(enabled, list) else []


def _offered(body: Json) -> list[str]:
    tools = body.get("tools")
    kinds = [tool.get("type") for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []
    return [kind for kind in _OF_GPT_OSS if kind in kinds]
