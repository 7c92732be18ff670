"""The page on online decisions shows what its script measures."""

from __future__ import annotations

from pathlib import Path

import pytest

from paper_repro import online_table

ROOT = Path(__file__).parents[2]


@pytest.fixture
def module():
    return online_table


def test_rows_measured_again_stand_on_the_page(module):
    page = (ROOT / "paper_repro" / "ONLINE.md").read_text(encoding="utf-8")
    table = module.streams_table(("realistic",), (1_000,), (0.3,)).splitlines()
    assert all(line in page.splitlines() for line in table)
    utilities = [float(cell.split("%")[0]) for cell in table[-1].split("|")[5:-1]]
    assert all(0.0 < utility <= 100.0 for utility in utilities)


def test_the_page_has_a_row_for_every_family_horizon_and_budget(module):
    page = (ROOT / "paper_repro" / "ONLINE.md").read_text(encoding="utf-8")
    assert module.INTRODUCTION in page
    for family in module.FAMILIES:
        for n in module.HORIZONS:
            for fraction in module.FRACTIONS:
                assert f"| {family} | {n:,} | {fraction:g} | " in page
    assert f"| {module.FAMILIES[0]} | {module.LONG:,} | " in page
    assert module.WAITING in page
    assert module.WAITED in page
