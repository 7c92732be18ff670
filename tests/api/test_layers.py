"""A folder imports only folders below it, and by their full names."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAYERS = ("instances", "solvers", "proxies", "bench", "api")
WITHIN_PROXIES = ("engines", "tasks", "profiling", "utility", "execution", "online")
PROXIES = sorted((ROOT / "proxies").glob("*/*.py"))
FILES = [path for layer in LAYERS for path in sorted((ROOT / layer).rglob("*.py"))]


def layer_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in LAYERS else "api"


def imported(tree: ast.Module) -> list[str]:
    """Return the modules that a file imports; ``from robatch import x`` counts as ``robatch.x``."""
    modules = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            assert node.module is not None
            if node.module == "robatch":
                modules += [f"robatch.{alias.name}" for alias in node.names]
            else:
                modules.append(node.module)
    return modules


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_downward(path: Path) -> None:
    own = path.relative_to(ROOT).parts[0]
    modules = imported(ast.parse(path.read_text(encoding="utf-8")))
    assert not {module.split(".")[0] for module in modules} & set(LAYERS), "a folder's bare name loads a second copy"
    for module in modules:
        if module.split(".")[0] == "robatch":
            assert LAYERS.index(layer_of(module)) <= LAYERS.index(own), f"{own} imports {module}"


@pytest.mark.parametrize(
    "path", sorted((ROOT / "proxies").glob("*/*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_imports_within_proxies_run_downward(path: Path) -> None:
    own = WITHIN_PROXIES.index(path.parent.name)
    for module in imported(ast.parse(path.read_text(encoding="utf-8"))):
        parts = module.split(".")
        if parts[:2] == ["robatch", "proxies"] and parts[2] in WITHIN_PROXIES:
            assert WITHIN_PROXIES.index(parts[2]) <= own, f"{path.parent.name} imports {module}"
