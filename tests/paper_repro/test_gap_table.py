"""The README's gap table is the recorded one."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_readme_shows_the_recorded_gaps():
    spec = importlib.util.spec_from_file_location("gap_table", ROOT / "paper_repro" / "gap_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.table(module.RECORDED) in (ROOT / "README.md").read_text(encoding="utf-8")
