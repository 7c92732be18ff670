"""The order of the rooms: imports run one way, in functions too, by full names, and take no private names."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.house.structure import LONG, MANY, ROOT, circles, functions, imports, module_name, own_lines, parameters

# From the ground up. A room imports only what stands before it; rooms in one row know nothing of each other.
ORDER = {
    "": ("instances", "solvers", "proxies", "bench", "api", "paper_repro"),
    "solvers": (
        "plan", "limits", ("search_limits", "versions"), "registry", ("builtin", "choice", "own"), "check",
        "bounds", "greedy", "mip",
        ("exact", "exchange", "infeasible", "reference", "writes"), "solve", ("analysis", "cheapest"),
    ),
    "proxies": (
        ("journal", "price_lookup", "toml_table"), "engines", "tasks", "sources",
        ("profiling", "utility"), "execution", ("batch", "labels", "online"),
    ),
    "bench": ("common", ("gap", "scale", "realized")),
}  # fmt: skip
FILES = [path for folder in ORDER[""] for path in sorted((ROOT / folder).rglob("*.py")) if "suite" not in path.parts]
CIRCLES = [  # a class whose methods save and load it, and the format of its file, which makes the class
    ["robatch.instances.problem", "robatch.instances.problem_file"],
    ["robatch.proxies.utility.file", "robatch.proxies.utility.utility_proxy"],
]
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


MODULES = {module_name(path.relative_to(ROOT)): path for path in FILES}
IMPORTS = {name: imports(tree_of(path), set(MODULES)) - {name} for name, path in MODULES.items()}


def place(name: str) -> tuple[str, ...]:
    """Return the folders and the file of a module from the top: ``robatch.cli.solve`` is api, cli, solve."""
    return MODULES[name].relative_to(ROOT).with_suffix("").parts


def floor(room: str, folder: str) -> int:
    """Return how far up a room of a folder stands."""
    for level, rooms in enumerate(ORDER[folder]):
        if room == rooms or (isinstance(rooms, tuple) and room in rooms):
            return level
    raise AssertionError(f"{folder or 'the top'}: where does {room} stand in the order?")


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_run_downward(name: str) -> None:
    own = place(name)
    for other in IMPORTS[name]:
        target = place(other)
        if own[0] != target[0]:
            assert floor(target[0], "") < floor(own[0], ""), f"{name} imports {other}"
        elif own[0] in ORDER and own[1] != "__init__" and own[1] != target[1]:
            assert target[1] != "__init__", f"{name} comes in by the front door of its own folder"
            assert floor(target[1], own[0]) < floor(own[1], own[0]), f"{name} imports {other}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    packages = {name for name, path in MODULES.items() if path.name == "__init__.py"}
    edges = {name: targets - packages for name, targets in IMPORTS.items() if name not in packages}
    assert [circle for circle in circles(edges) if sorted(circle) not in CIRCLES] == []


@each_file
def test_imports_are_by_full_names(path: Path) -> None:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            bare = {str(name).partition(".")[0] for name in names} & set(ORDER[""][:-1])
            assert not bare, f"line {node.lineno}: the bare name of a folder loads a second copy"


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


@each_file
def test_private_names_stay_at_home(path: Path) -> None:
    imported = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] in ("robatch", "paper_repro"):
            for alias in node.names:
                assert not is_private(alias.name), f"line {node.lineno}: {alias.name} of {node.module}"
                if f"{node.module}.{alias.name}" in MODULES:
                    imported.add(alias.asname or alias.name)
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in imported:
            assert not is_private(node.attr), f"line {node.lineno}: {ast.unparse(node)}"


@each_file
def test_large_functions_say_why(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    for node in functions(tree_of(path)):
        head = lines[node.lineno - 1]
        assert own_lines(node) <= LONG or "# long: " in head, (
            f"line {node.lineno}: {node.name} has {own_lines(node)} lines"
        )
        assert parameters(node) <= MANY or "# wide: " in head, (
            f"line {node.lineno}: {node.name} takes {parameters(node)} parameters"
        )
