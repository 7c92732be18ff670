"""The page on packing shows what its script prints."""

from __future__ import annotations

from pathlib import Path

from paper_repro import packing_table

ROOT = Path(__file__).parents[2]


def test_cells_as_large_as_promised_are_always_packed_exactly():
    module = packing_table
    for kind in module.KINDS:
        known, reached, excess = module.measure(kind, 12, 4, time_limit=60.0)
        assert (known, reached[-1], excess[-1]) == (4, 4, 0)


def test_the_page_has_a_row_for_every_kind_and_size():
    module = packing_table
    page = (ROOT / "paper_repro" / "PACKING.md").read_text(encoding="utf-8")
    for kind in module.KINDS:
        for n in module.SIZES:
            assert f"| {kind} | {n} | " in page
