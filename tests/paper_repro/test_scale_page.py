"""The page on scaling is what its script makes of the recorded results."""

from __future__ import annotations

from paper_repro.common.paths import REPORTS
from paper_repro.reports import scale_page


def test_the_page_shows_the_recorded_results():
    assert (REPORTS / "SCALE.md").read_text(encoding="utf-8") == scale_page.page()
