"""The README's gap table is the recorded one."""

from __future__ import annotations

from pathlib import Path

from paper_repro import gap_table

ROOT = Path(__file__).parents[2]


def test_the_readme_shows_the_recorded_gaps():
    assert gap_table.table(gap_table.RECORDED) in (ROOT / "README.md").read_text(encoding="utf-8")
