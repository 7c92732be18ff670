"""The structure of two versions of the project side by side, as a Markdown table.

usage: python tests/house/structure.py [BEFORE [AFTER]]     # git revisions; a304852 and the working tree by default

Code is every Python file outside tests/; a function is counted without its docstring. A duplicated block is six
or more lines in a row that stand twice, letter by letter, imports, comments, blank lines and lone brackets aside.
"""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]
BEFORE = "a304852"  # the last version whose solvers lay in one flat folder
PARTS = ("instances", "solvers", "proxies", "bench", "api", "paper_repro")
BLOCK = 6
LONG, MANY = 60, 8

Function = ast.FunctionDef | ast.AsyncFunctionDef


def files_of(root: Path) -> dict[Path, str]:
    """Return the code of a version: path below its root to text."""
    return {
        path.relative_to(root): path.read_text(encoding="utf-8")
        for part in PARTS
        for path in sorted((root / part).rglob("*.py"))
    }


def functions(tree: ast.Module) -> Iterator[Function]:
    """Yield every function and method of a file."""
    for node in ast.walk(tree):
        if isinstance(node, Function):
            yield node


def own_lines(node: Function) -> int:
    """Return the lines of a function without its docstring."""
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    if ast.get_docstring(node, clean=False) is not None:
        lines -= (node.body[0].end_lineno or 0) - node.body[0].lineno + 1
    return lines


def parameters(node: Function) -> int:
    """Return the number of a function's parameters, self and cls apart."""
    arguments = node.args
    names = [one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


def reason(node: Function, lines: list[str]) -> bool:
    """Return whether a function that is long or takes much says why, on the line of its name."""
    return "# long: " in lines[node.lineno - 1] or "# wide: " in lines[node.lineno - 1]


def aliases(tree: ast.Module) -> int:
    """Return the number of array types that a file names for itself, such as ``FloatArray = NDArray[...]``."""
    found = 0
    for node in tree.body:
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if isinstance(value, ast.Subscript) and "NDArray" in ast.unparse(value.value):
            found += 1
    return found


def duplicated(files: dict[Path, str]) -> int:
    """Return the number of maximal blocks that stand in a second place as well."""
    places: dict[tuple[str, ...], list[tuple[Path, int]]] = defaultdict(list)
    for path, text in files.items():
        lines = [line.strip() for line in text.splitlines()]
        kept = [
            line for line in lines if any(map(str.isalnum, line)) and not line.startswith(("#", "import ", "from "))
        ]
        for i in range(len(kept) - BLOCK + 1):
            places[tuple(kept[i : i + BLOCK])].append((path, i))
    repeated = {place for found in places.values() if len(found) > 1 for place in found[1:]}
    return sum((path, i - 1) not in repeated for path, i in repeated)  # a run of windows is one block


def module_name(path: Path) -> str:
    """Return the name that a file is imported by."""
    parts = list(path.with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    if parts[0] == "api":
        parts[0] = "robatch"
    elif parts[0] != "paper_repro":
        parts.insert(0, "robatch")
    return ".".join(parts)


def imports(tree: ast.Module, known: set[str]) -> set[str]:
    """Return the project's modules that a file imports when it runs, in functions, too."""
    guarded = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if node in guarded:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in known else node.module)
    return found & known


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Return the groups of modules that import each other in a circle."""
    import networkx as nx

    graph = nx.DiGraph({name: sorted(targets) for name, targets in edges.items()})
    return [sorted(group) for group in nx.strongly_connected_components(graph) if len(group) > 1]


def measure(root: Path) -> dict[str, str]:
    """Return the figures of a version by name."""
    files = files_of(root)
    trees = {path: ast.parse(text) for path, text in files.items()}
    size = {path: len(text.splitlines()) for path, text in files.items()}
    every = [node for tree in trees.values() for node in functions(tree)]
    silent = [
        node for path, tree in trees.items() for node in functions(tree) if not reason(node, files[path].splitlines())
    ]
    names = {module_name(path) for path in files}
    edges = {module_name(path): imports(tree, names) - {module_name(path)} for path, tree in trees.items()}
    packages = {module_name(path) for path in files if path.name == "__init__.py"}
    edges = {name: targets for name, targets in edges.items() if name not in packages}  # their exports are no layers
    figures = {
        "lines of code without tests": f"{sum(size.values()):,}",
        "files": str(len(files)),
        "median / largest lines of a file": f"{median(size.values()):.0f} / {max(size.values())}",
        "files over 300 lines": str(sum(lines > 300 for lines in size.values())),
        f"functions over {LONG} lines, docstrings apart": str(sum(own_lines(node) > LONG for node in every)),
        f"functions over {MANY} parameters": str(sum(parameters(node) > MANY for node in every)),
        "long or wide functions without a stated reason": str(
            sum(own_lines(node) > LONG or parameters(node) > MANY for node in silent)
        ),
        "array aliases": str(sum(map(aliases, trees.values()))),
        f"duplicated blocks of {BLOCK} lines or more": str(duplicated(files)),
        "import circles": str(len(circles(edges))),
    }
    rooms: Counter[str] = Counter()
    for path in files:
        rooms[path.parent.as_posix()] += 1
    for room in sorted(rooms):
        own = [lines for path, lines in size.items() if path.parent.as_posix() == room]
        figures[f"`{room}/`: files, median / largest lines"] = f"{len(own)}, {median(own):.0f} / {max(own)}"
    return figures


def at(revision: str) -> dict[str, str]:
    """Return the figures of a git revision."""
    packed = subprocess.run(["git", "archive", revision], cwd=ROOT, capture_output=True, check=True).stdout
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(folder, filter="data")
        return measure(Path(folder))


def over(root: Path) -> Iterator[str]:
    """Yield the functions that are too long or take too much and do not say why."""
    files = files_of(root)
    for path, text in files.items():
        for node in functions(ast.parse(text)):
            if (own_lines(node) > LONG or parameters(node) > MANY) and not reason(node, text.splitlines()):
                yield f"{path}:{node.lineno} {node.name}: {own_lines(node)} lines, {parameters(node)} parameters"


def main() -> int:
    """Print the table, or with --over what is too long."""
    if sys.argv[1:] == ["--over"]:
        print(*over(ROOT), sep="\n")
        return 0
    before = at(sys.argv[1] if len(sys.argv) > 1 else BEFORE)
    after = at(sys.argv[2]) if len(sys.argv) > 2 else measure(ROOT)
    print("| | before | after |\n| --- | ---: | ---: |")
    for name in {**before, **after}:
        print(f"| {name} | {before.get(name, '')} | {after.get(name, '')} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
