"""The page on packing shows what its script prints."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]


def script():
    spec = importlib.util.spec_from_file_location("packing_table", ROOT / "paper_repro" / "packing_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_cells_as_large_as_promised_are_always_packed_exactly():
    module = script()
    for kind in module.KINDS:
        known, reached, excess = module.measure(kind, 12, 4, time_limit=60.0)
        assert (known, reached[-1], excess[-1]) == (4, 4, 0)


def test_the_page_has_a_row_for_every_kind_and_size():
    module = script()
    page = (ROOT / "paper_repro" / "PACKING.md").read_text(encoding="utf-8")
    for kind in module.KINDS:
        for n in module.SIZES:
            assert f"| {kind} | {n} | " in page
