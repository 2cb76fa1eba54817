"""Imports between rooms only go in the direction that docs/architecture.md gives."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LOW = {"accounts", "pricing", "groq_client"}
LEDGER = LOW | {"ledger"}
MAY_IMPORT = {
    "accounts": set(),
    "groq_client": set(),
    "pricing": {"accounts"},
    "ledger": LOW,
    "analytics": LEDGER,
    "playground": LEDGER | {"analytics"},
    "connect": LEDGER | {"analytics"},
    "budgets": LEDGER | {"analytics"},
    "gateway": LEDGER | {"budgets"},
    "api": LEDGER | {"analytics", "budgets"},
    "usage_dashboard": LEDGER | {"analytics", "budgets", "gateway", "api", "playground", "connect"},
}
INNER = {
    "ledger": {
        "rollups": set(),
        "recording": {"rollups"},
        "upkeep": {"rollups", "recording"},
        "journal": {"rollups", "recording"},
        "importing": {"rollups", "recording"},
    },
    "analytics": {
        "reports": set(),
        "filters": {"reports"},
        "export": {"reports"},
        "display": {"reports", "filters"},
        "personal": {"reports", "export", "models", "failure"},
        "scheduled": {"reports", "filters", "export", "models"},
        "pages": {"reports", "filters", "display"},
        "saved": {"reports", "filters", "display", "pages"},
    },
}
"""For each room: which of its inner rooms an inner room may import beside itself."""
FOR_ANALYTICS = {"models", "rollups", "event_columns", "citus"}
"""What the dashboard knows of the ledger. The rest of the ledger writes."""
ELEMENT = re.compile(r"</[a-z]+>|<[a-z]+ [a-z-]+=")
"""The end of an HTML element, or the beginning of one with an attribute."""
FRAMEWORKS = {"django", "rest_framework", "psycopg", "psycopg_pool"}
ROOMS = [room for room in MAY_IMPORT if (ROOT / room).is_dir()]


def _imports(directory: Path) -> Iterator[tuple[str, str]]:
    """Pairs of a file and a module that the file imports anywhere. Relative imports are resolved to full names."""
    for path in sorted(directory.rglob("*.py")):
        name = path.relative_to(ROOT)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from ((str(name), alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                package = name.parts[: len(name.parts) - node.level] if node.level else ()
                module = ".".join(filter(None, [*package, node.module]))
                yield from ((str(name), f"{module}.{alias.name}") for alias in node.names)


def _root_of(module: str) -> str:
    return module.partition(".")[0]


def _inner_room_of(module: str, room: str) -> str:
    """The part of the room that the module lies in, or an empty text for a module of another room."""
    root, _, rest = module.partition(".")
    return rest.partition(".")[0] if root == room else ""


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_only_what_lies_below_them(room: str) -> None:
    forbidden = set(MAY_IMPORT) - MAY_IMPORT[room] - {room}
    assert [found for found in _imports(ROOT / room) if _root_of(found[1]) in forbidden] == []


@pytest.mark.parametrize(("room", "inner"), [(room, inner) for room, inners in INNER.items() for inner in inners])
def test_inner_rooms_import_only_what_lies_below_them(room: str, inner: str) -> None:
    forbidden = set(INNER[room]) - INNER[room][inner] - {inner}
    found = list(_imports(ROOT / room / inner))
    assert found  # otherwise this test looks for the inner room in a wrong place
    assert [import_ for import_ in found if _inner_room_of(import_[1], room) in forbidden] == []


def test_the_dashboard_knows_of_the_ledger_only_what_can_be_read() -> None:
    known = {_inner_room_of(module, "ledger") for _, module in _imports(ROOT / "analytics")} - {""}
    assert known <= FOR_ANALYTICS


def test_the_client_is_a_plain_library() -> None:
    assert [found for found in _imports(ROOT / "groq_client") if _root_of(found[1]) in FRAMEWORKS] == []


def test_the_gateway_asks_no_database_and_no_model() -> None:
    """A call waits for nothing but Groq: keys and prices are in memory, and the recorder appends to the journal. The
    doors for events are views of Django."""
    slow = ("django.db", "django.contrib", "rest_framework", "psycopg", "accounts.models", "ledger.models")
    of_calls = [found for found in _imports(ROOT / "gateway") if not found[0].startswith("gateway/ingestion/")]
    assert [found for found in of_calls if found[1].startswith(slow)] == []
    assert len(of_calls) > 50


def _texts(path: Path) -> Iterator[str]:
    """The strings of a file, without its docstrings."""
    tree = ast.parse(path.read_text())
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node.value


@pytest.mark.parametrize("room", [room for room in ROOMS if room != "groq_client"])
def test_no_html_is_written_in_python(room: str) -> None:
    paths = sorted((ROOT / room).rglob("*.py"))
    assert [(path.name, text) for path in paths for text in _texts(path) if ELEMENT.search(text)] == []
    makers = {"format_html", "mark_safe", "SafeString", "Markup"}
    assert [found for found in _imports(ROOT / room) if found[1].rpartition(".")[2] in makers] == []


def test_only_its_command_imports_the_demonstration() -> None:
    users = {name for room in ROOMS for name, module in _imports(ROOT / room) if ".demo" in module}
    outside = {name for name in users if not name.startswith("usage_dashboard/demo/")}
    assert outside == {"usage_dashboard/management/commands/demo.py"}


def test_an_import_is_seen_wherever_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.test_architecture.ROOT", tmp_path)
    (tmp_path / "pricing").mkdir()
    (tmp_path / "pricing" / "a.py").write_text("def f():\n    from analytics import reports\n    from . import book\n")
    assert list(_imports(tmp_path / "pricing")) == [
        ("pricing/a.py", "analytics.reports"),
        ("pricing/a.py", "pricing.book"),
    ]
