"""A compiled kernel calls only what its own file defines: Numba's cache does not see changes in other files.

Constructors of imported named tuples, which begin with a capital letter, are no code that could change.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("instances", "solvers", "proxies", "bench", "paper_repro")
DECORATORS = {"njit", "jit", "guvectorize", "vectorize"}
OUTSIDE = {"numpy", "math", "heapq"}  # modules whose functions the compiler knows


def is_compiled(function: ast.FunctionDef) -> bool:
    """Whether one of Numba's decorators stands on a function, called or not, by its name or as an attribute."""
    names = [node.func if isinstance(node, ast.Call) else node for node in function.decorator_list]
    return any(getattr(name, "attr", getattr(name, "id", None)) in DECORATORS for name in names)


def imported(tree: ast.Module) -> dict[str, str]:
    """Return the top-level module from which each name of a file comes."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {(alias.asname or alias.name).split(".")[0]: alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name: (node.module or "").split(".")[0] for alias in node.names}
    return found


def called(function: ast.FunctionDef) -> Iterator[str]:
    """Yield the name at the head of everything that a function calls: ``np`` for ``np.sum(...)``."""
    for statement in function.body:
        for node in ast.walk(statement):
            head = node.func if isinstance(node, ast.Call) else None
            while isinstance(head, ast.Attribute | ast.Subscript | ast.Call):
                head = head.func if isinstance(head, ast.Call) else head.value
            if isinstance(head, ast.Name):
                yield head.id


def local_names(function: ast.FunctionDef) -> set[str]:
    """Return a function's parameters and the names that it assigns."""
    arguments = function.args
    names = {one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    nodes = ast.walk(function)
    return names | {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def foreign_calls(source: str) -> list[str]:
    """Return ``kernel calls name`` for every call in a compiled function of what its own file does not define."""
    tree = ast.parse(source)
    own = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    modules = imported(tree)
    wrong = []
    for function in tree.body:
        if not isinstance(function, ast.FunctionDef) or not is_compiled(function):
            continue
        known = own | local_names(function) | set(dir(builtins))
        for name in called(function):
            if name[0].isupper() or modules.get(name) in OUTSIDE or (name in known and name not in modules):
                continue
            wrong.append(f"{function.name} calls {name}")
    return wrong


def kernel_files() -> list[Path]:
    """Return the files that import a decorator that compiles."""
    paths = (path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py")))
    return [path for path in paths if DECORATORS & imported(ast.parse(path.read_text(encoding="utf-8"))).keys()]


@pytest.mark.parametrize("path", kernel_files(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_kernels_call_only_their_own_file(path: Path) -> None:
    assert foreign_calls(path.read_text(encoding="utf-8")) == []


def unstable_orders(text: str) -> list[int]:
    """Return the lines of calls of ``argsort`` that do not say how ties are ordered."""
    lines = text.splitlines()
    return [
        node.lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", None) == "argsort"
        and not any(keyword.arg == "kind" for keyword in node.keywords)
        and "# any kind" not in lines[node.lineno - 1]
    ]


def test_ties_have_an_order() -> None:
    """Without a kind, NumPy and Numba order more than 15 equal keys differently, and by version and processor."""
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    assert [path for path in paths if unstable_orders(path.read_text(encoding="utf-8"))] == []
    assert unstable_orders("a.argsort()\nnp.argsort(a)\nnp.argsort(a, kind='stable')\na.argsort()  # any kind") == [
        1,
        2,
    ]


def test_there_are_kernels() -> None:
    assert len(kernel_files()) > 12


EXAMPLE = """
import math
import numpy as np
import numba
from numba import njit
from heapq import heappush
from robatch.instances.kernels import Flat, tally
from robatch.instances import kernels

class Pair(NamedTuple):
    a: int

def plain(x):
    return tally(x)

@njit
def helper(x):
    return Pair(abs(x) + math.sqrt(x))

@njit(cache=True)
def good(x, flat: Flat):
    heappush(x, np.zeros(3).sum())
    y = x.copy()
    return helper(len(y)) + flat.share.sum() + Flat(x, y).share[0]

@njit(cache=True)
def by_name(x):
    return tally(x)

@numba.njit(cache=True)
def by_module(x):
    return kernels.extreme(x) + unknown(x)
"""


def test_calls_of_other_files_are_found() -> None:
    assert foreign_calls(EXAMPLE) == ["by_name calls tally", "by_module calls kernels", "by_module calls unknown"]
