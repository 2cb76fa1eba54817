"""Imports point one way; docs/architecture.md says which."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LEDGER = {"accounts", "pricing", "groq_client"}
MAY_IMPORT = {
    "accounts": set(),
    "groq_client": set(),
    "pricing": {"accounts"},
    "analytics": LEDGER,
    "playground": LEDGER | {"analytics"},
    "budgets": LEDGER | {"analytics"},
    "gateway": LEDGER | {"analytics", "budgets"},
    "usage_dashboard": LEDGER | {"analytics", "budgets", "gateway", "playground"},
}
FRAMEWORKS = {"django", "rest_framework", "psycopg", "psycopg_pool"}
ROOMS = [room for room in MAY_IMPORT if (ROOT / room).is_dir()]


def _imports(directory: Path) -> Iterator[tuple[str, str]]:
    """Every file with each module that it imports anywhere in it; relative imports in full."""
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


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_only_what_lies_below_them(room: str) -> None:
    forbidden = set(MAY_IMPORT) - MAY_IMPORT[room] - {room}
    assert [found for found in _imports(ROOT / room) if _root_of(found[1]) in forbidden] == []


def test_the_client_is_a_plain_library() -> None:
    assert [found for found in _imports(ROOT / "groq_client") if _root_of(found[1]) in FRAMEWORKS] == []


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
