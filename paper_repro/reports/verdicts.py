"""Verdicts on claims, and the counts that they follow from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from paper_repro.common.csv_tables import Table, distinct, where
from paper_repro.common.strategies import ALONE
from paper_repro.experiments.comparison import TIE

Results = Mapping[str, Mapping[str, Table]]
"""Recorded tables by experiment and name."""

SAME, SAME_DIRECTION, IN_PART = "same", "same direction, other figures", "same in part"
DIFFERENT, UNCLEAR, UNTESTED = "different", "not told apart", "not testable here"
VERDICTS = (SAME, SAME_DIRECTION, IN_PART, DIFFERENT, UNCLEAR, UNTESTED)
Found = tuple[str, str]
"""A verdict, and what was found."""


def verdict(better: int, worse: int, enough: float) -> str:
    """Judge counts of what is clearly better and clearly worse, where so many better ones are enough."""
    if not better and not worse:
        return UNCLEAR
    return DIFFERENT if worse > better else SAME if better >= enough and not worse else IN_PART


def joint(verdicts: list[str]) -> str:
    """Join verdicts: one that is different decides, and one that is not the same leaves a part."""
    found = set(verdicts)
    return DIFFERENT if DIFFERENT in found else found.pop() if len(found) == 1 else IN_PART


def counts(rows: Table, low: str = "low", high: str = "high") -> tuple[int, int]:
    """Count rows whose interval is above 0, and below 0."""
    known = [row for row in rows if row[low] is not None]
    return sum(row[low] > TIE for row in known), sum(row[high] < -TIE for row in known)


class Counts(NamedTuple):
    """Cases in which plans are clearly better, and clearly worse, and all."""

    better: int
    worse: int
    cases: int


def grouped(tables: Mapping[str, Table], members: tuple[str, ...]) -> dict[str, tuple[Counts, Counts]]:
    """Count RoBatch's wins over some strategies: at all budgets, and at those that pay for every query alone."""
    paid = {(row["dataset"], row["budget"]) for row in tables["curves"]
            if row["strategy"] == ALONE and row["answered"] == 1}  # fmt: skip
    mine = [row for row in tables["leads"] if row["strategy"] in members]
    found = {}
    for plan in distinct(mine, "plan"):
        whole = where(mine, plan=plan)
        upper = [row for row in whole if (row["dataset"], row["budget"]) in paid]
        found[plan] = (Counts(*counts(whole), len(whole)), Counts(*counts(upper), len(upper)))
    return found
