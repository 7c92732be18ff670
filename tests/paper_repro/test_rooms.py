"""A room of `paper_repro` imports only rooms below it, and the package by its public names."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from paper_repro.common.paths import HERE

BELOW = {
    "common": set(),
    "experiments": {"common"},
    "record": {"common"},
    "proxy": {"common"},
    "reports": {"common", "experiments", "record", "proxy"},
    "run": {"common", "experiments"},
    "pages": {"reports"},
}
"""What a room, or a command beside the rooms, may import besides itself."""

FILES = sorted(path for path in HERE.rglob("*.py") if path.name != "__init__.py")


def imported(tree: ast.Module) -> list[tuple[str, str]]:
    """Return the modules that a file imports, with each name taken from them."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            found += [(str(node.module), alias.name) for alias in node.names]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HERE)))
def test_rooms_import_downward(path: Path) -> None:
    own = path.relative_to(HERE).parts[0].removesuffix(".py")
    for module, name in imported(ast.parse(path.read_text(encoding="utf-8"))):
        assert not name.startswith("_"), f"{own} imports the private {name} of {module}"
        parts = [*module.split("."), name]
        if parts[0] == "paper_repro":
            assert parts[1] in BELOW[own] | {own}, f"{own} imports {module}"


def test_every_room_says_what_it_is_for() -> None:
    rooms = {path.parent.name for path in HERE.glob("*/__init__.py")}
    assert rooms == {name for name in BELOW if (HERE / name).is_dir()}
    for room in rooms:
        said = ast.get_docstring(ast.parse((HERE / room / "__init__.py").read_text(encoding="utf-8")))
        assert said is not None
        assert 2 <= len(said.splitlines()) <= 4, room
