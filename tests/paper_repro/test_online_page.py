"""The page on online decisions shows what was recorded, and what is recorded can be measured again."""

from __future__ import annotations

from paper_repro.common.paths import REPORTS
from paper_repro.record import online
from paper_repro.reports import online_page

PAGE = (REPORTS / "ONLINE.md").read_text(encoding="utf-8")


def test_rows_measured_again_stand_on_the_page():
    table = online.streams_table(("realistic",), (1_000,), (0.3,)).splitlines()
    assert all(line in PAGE.splitlines() for line in table)
    utilities = [float(cell.split("%")[0]) for cell in table[-1].split("|")[5:-1]]
    assert all(0.0 < utility <= 100.0 for utility in utilities)


def test_the_page_has_a_row_for_every_family_horizon_and_budget():
    for family in online.FAMILIES:
        for n in online.HORIZONS:
            for fraction in online.FRACTIONS:
                assert f"| {family} | {n:,} | {fraction:g} | " in PAGE
    assert f"| {online.FAMILIES[0]} | {online.LONGEST:,} | " in PAGE


def test_the_page_is_made_of_its_records():
    assert online_page.page() == PAGE
