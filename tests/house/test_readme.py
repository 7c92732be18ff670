"""What the README, CONTRIBUTING and the pages of docs/ show is run: every Python block and every command."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import click
import pytest
from click.testing import CliRunner

from robatch.cli import main
from robatch.solvers import registry

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")

# Commands that are not run, by their beginnings, and why. Those of `robatch` must still parse.
NOT_RUN = {
    "python3 -m venv": "installs RoBatch, whose fresh environments are made by .ci/run",
    "python -m venv": "makes an environment",
    "pip ": "installs packages",
    ".ci/": "works in the clone itself",
    "python tests/vllm/get_model.py": "needs a network",
    "pytest ": "runs the tests themselves",
    "NUMBA_DISABLE_JIT=1 pytest": "runs the tests themselves",
    "ROBATCH_TEST_MODEL=": "needs a model",
    "robatch bench": "takes a minute or more, and runs in small in tests/bench",
    "robatch profile": "asks models",
    "robatch label": "asks models",
    "robatch prices gpt-4o-mini --source": "needs packages and the reader's own file",
    "robatch fit measurements.parquet": "needs the reader's own measurements",
    "robatch route queries.jsonl": "needs the reader's own queries",
    "robatch run": "asks models; tests/job runs it",
    "robatch route tickets.csv": "needs the reader's own table and proxy; tests/api runs one like it",
    "robatch execute routed.parquet -o": "asks models",
    "robatch execute routed.parquet --via": "asks models",
    "robatch calls routed.parquet": "needs the reader's own plan; tests/proxies/test_batch.py runs it",
    "robatch collect": "needs results of models; tests/proxies/test_batch.py runs it",
    "python -m vllm.entrypoints.openai.run_batch": "needs a model; tests/vllm runs it",
    "robatch import table.parquet": "needs the reader's own table; docs/problems.md runs one like it",
}


class Block(NamedTuple):
    """A code block of a page."""

    line: int
    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [Block(text.count("\n", 0, found.start()) + 2, found[1], found[2]) for found in BLOCK.finditer(text)]


def commands(block: Block) -> list[str]:
    """Return the commands of a bash block, one a line."""
    lines = block.text.replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def parse(words: list[str]) -> None:
    """Check a call of `robatch` up to its options and arguments, without running it."""
    command: click.Command = main
    while isinstance(command, click.Group) and words and words[0] in command.commands:
        command, words = command.commands[words[0]], words[1:]
    command.make_context(command.name, list(words))


def run_command(line: str) -> None:
    words = shlex.split(line, comments=True)
    skipped = line.startswith(tuple(NOT_RUN))
    if words[0] == "robatch" and skipped:
        parse(words[1:])
    elif words[0] == "robatch":
        done = CliRunner().invoke(main, words[1:])
        assert done.exit_code == 0, f"{line}\n{done.output}"
    elif not skipped:
        words[0] = sys.executable if words[0] == "python" else words[0]
        subprocess.run(words, check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_solvers", dict(registry._solvers))  # pages register solvers
    for folder in ("instances", "paper_repro"):  # commands are written for the clone
        (tmp_path / folder).symlink_to(ROOT / folder)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": page.stem}
    for block in blocks(page):
        if block.language == "python":
            exec(compile("\n" * (block.line - 1) + block.text, str(page), "exec"), names)
        for line in commands(block) if block.language == "bash" else ():
            run_command(line)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_is_of_a_language_that_runs(page: Path) -> None:
    assert {block.language for block in blocks(page)} <= {"python", "bash"}


def test_the_files_to_open_are_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:instances|solvers|proxies|bench|api|paper_repro|tests)/[\w/.]*)`", text)
    assert [path for path in named if not (ROOT / path).exists()] == []
    assert len(named) > 20


def test_each_exception_is_still_needed() -> None:
    shown = [line for page in PAGES for block in blocks(page) if block.language == "bash" for line in commands(block)]
    assert [start for start in NOT_RUN if not any(line.startswith(start) for line in shown)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        if "://" in target:
            continue
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}, target
