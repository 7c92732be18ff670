"""The page on realized cost is what its script makes of the recorded results."""

from __future__ import annotations

from pathlib import Path

from paper_repro import formulation_table, realized_page

ROOT = Path(__file__).parents[2]


def test_the_page_shows_the_recorded_results():
    assert (ROOT / "paper_repro" / "REALIZED.md").read_text(encoding="utf-8") == realized_page.page()


def test_what_the_page_links_is_there():
    module = realized_page
    for name in module.RUNS.values():
        for file in ("realized.md", "results.csv", *(f"{plot}.png" for plot in module.PLOTS)):
            assert (module.HERE / "results" / name / file).stat().st_size > 0


def test_formulations():
    table = formulation_table.table([6], 1, 10.0).splitlines()
    assert [line.split("|")[2].strip() for line in table[2:]] == ["pairs", "highs", "scip", "cpsat"]
    assert all(cell.strip().endswith("1 of 1") for line in table[3:] for cell in line.split("|")[3:-1])
