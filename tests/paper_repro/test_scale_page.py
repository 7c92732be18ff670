"""The page on scaling is what its script makes of the recorded results."""

from __future__ import annotations

from pathlib import Path

from paper_repro import scale_page

ROOT = Path(__file__).parents[2]


def test_the_page_shows_the_recorded_results():
    assert (ROOT / "paper_repro" / "SCALE.md").read_text(encoding="utf-8") == scale_page.page()


def test_what_the_page_links_is_there():
    module = scale_page
    for name in module.SCALES.values():
        for file in ("scale.md", "results.csv", "time.png", "gap.png"):
            assert (module.HERE / "results" / name / file).stat().st_size > 0
