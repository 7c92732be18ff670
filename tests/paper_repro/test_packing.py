"""The page on packing shows what its script prints."""

from __future__ import annotations

from paper_repro.common.paths import REPORTS
from paper_repro.record import packing


def test_cells_as_large_as_promised_are_always_packed_exactly():
    for kind in packing.KINDS:
        known, reached, excess = packing.measure(kind, 12, 4, time_limit=60.0)
        assert (known, reached[-1], excess[-1]) == (4, 4, 0)


def test_the_page_has_a_row_for_every_kind_and_size():
    page = (REPORTS / "PACKING.md").read_text(encoding="utf-8")
    for kind in packing.KINDS:
        for n in packing.SIZES:
            assert f"| {kind} | {n} | " in page
