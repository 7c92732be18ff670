"""The page on realized cost is what its script makes of the recorded results."""

from __future__ import annotations

from paper_repro.common.paths import REPORTS
from paper_repro.record import formulations
from paper_repro.reports import realized_page


def test_the_page_shows_the_recorded_results():
    assert (REPORTS / "REALIZED.md").read_text(encoding="utf-8") == realized_page.page()


def test_formulations():
    table = formulations.table([6], 1, 10.0).splitlines()
    assert [line.split("|")[2].strip() for line in table[2:]] == ["pairs", "highs", "scip", "cpsat"]
    assert all(cell.strip().endswith("1 of 1") for line in table[3:] for cell in line.split("|")[3:-1])
