"""What pages and docstrings name is there: links, commands of `paper_repro`, and paths in it."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HIDDEN = {".git", ".typing", ".venv", "build", "__pycache__"}
PAGES = sorted(path for path in ROOT.rglob("*.md") if not HIDDEN & set(path.relative_to(ROOT).parts))
SOURCES = [
    path
    for folder in ("api", "bench", "instances", "paper_repro", "proxies", "solvers", "tests")
    for ending in ("py", "md", "toml", "jinja")
    for path in sorted((ROOT / folder).rglob(f"*.{ending}"))
    if not HIDDEN & set(path.relative_to(ROOT).parts)
]
LINK = re.compile(r"\]\(([^)\s]+)\)")
COMMAND = re.compile(r"python -m (paper_repro[\w.]*\w)")
PLACE = re.compile(r"(?<![\w/.])paper_repro/[\w./-]*\w")


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in LINK.findall(text):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), f"{link}: no such file"
        assert ROOT in target.parents, f"{link}: outside the repository"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{link}: no such heading"


def texts() -> list[tuple[str, str]]:
    """Return what may name commands and paths, by file; words with placeholders of templates are left out."""
    files = [*SOURCES, *PAGES, ROOT / ".ci" / "run", ROOT / "pyproject.toml"]
    return [
        (str(path.relative_to(ROOT)), re.sub(r"\S*\{\{.*?\}\}\S*", "", path.read_text(encoding="utf-8")))
        for path in dict.fromkeys(files)
    ]


def test_commands_are_modules_that_can_be_run() -> None:
    named = {(file, module) for file, text in texts() for module in COMMAND.findall(text)}
    assert {module for _, module in named} >= {"paper_repro.run", "paper_repro.pages"}
    for file, module in named:
        found = importlib.util.find_spec(module)
        assert found is not None, f"{file}: python -m {module}"
        assert found.origin is not None
        assert '__name__ == "__main__"' in Path(found.origin).read_text(encoding="utf-8"), f"{file}: {module}"


def ignored(path: str) -> bool:
    """Say whether git ignores a path: what a command makes need not be there."""
    return subprocess.run(["git", "check-ignore", "-q", path], cwd=ROOT, check=False).returncode == 0


def test_paths_that_are_named_are_there() -> None:
    named = {(file, place) for file, text in texts() for place in PLACE.findall(text)}
    for file, place in sorted(named):
        assert (ROOT / place).exists() or ignored(place), f"{file}: {place}"
