"""The gap tables of the README and of docs/ are the recorded ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from paper_repro.reports import gap_table

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("page", "budget"), [("README.md", 0.3), ("docs/optimality-gap.md", None)])
def test_the_recorded_gaps_are_shown(page, budget):
    assert gap_table.table(gap_table.RECORDED, budget) in (ROOT / page).read_text(encoding="utf-8")
