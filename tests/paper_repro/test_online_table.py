"""The page on online decisions shows what its script measures."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]


def script():
    spec = importlib.util.spec_from_file_location("online_table", ROOT / "paper_repro" / "online_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_rows_measured_again_stand_on_the_page():
    page = (ROOT / "paper_repro" / "ONLINE.md").read_text(encoding="utf-8")
    module = script()
    table = module.policies_table(("realistic",), (1_000,), (0.3,)).splitlines()
    assert all(line in page.splitlines() for line in table)
    utilities = [float(cell.split("%")[0]) for cell in table[-1].split("|")[5:-1]]
    assert all(0.0 < utility <= 100.0 for utility in utilities)


def test_the_page_has_a_row_for_every_family_horizon_and_budget():
    page = (ROOT / "paper_repro" / "ONLINE.md").read_text(encoding="utf-8")
    module = script()
    assert module.INTRODUCTION in page
    for family in module.FAMILIES:
        for n in module.HORIZONS:
            for fraction in module.FRACTIONS:
                assert f"| {family} | {n:,} | {fraction:g} | " in page
    assert f"| {module.FAMILIES[0]} | {module.LONG:,} | " in page
    assert module.WAITING in page
    assert module.WAITED in page
