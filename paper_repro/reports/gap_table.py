"""Print the tables of the README and of docs/optimality-gap.md from what `robatch bench gap` recorded.

usage: python -m paper_repro.reports.gap_table [RESULTS.csv] [--budget FRACTION]

Without a file it is the recorded paper_repro/results/gap.csv, and without a budget all of them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from paper_repro.common import markdown
from paper_repro.common.csv_tables import Table, groups, read_table
from paper_repro.common.paths import RESULTS

RECORDED = RESULTS / "gap.csv"
SHOWN = ("greedy", "pareto", "router-only", "batch-only")
ROUNDING = 1e-9


def table(path: Path, budget: float | None = None) -> str:
    """Return gaps by instance and budget fraction, or those of one budget fraction, as Markdown."""
    lines = []
    for cell, members in groups(read_table(path), "instance", "queries", "budget_fraction"):
        if budget in (None, cell["budget_fraction"]):
            gap = {row["solver"]: _percent(row["gap"]) for row in members}
            gaps, fraction = [gap.get(name, "") for name in SHOWN], f"{100 * cell['budget_fraction']:g} %"
            lines.append([f"`{cell['instance']}`", f"{cell['queries']:,.0f}", fraction, *gaps, _proof(members)])
    head = ["instance", "queries", "budget", *(f"`{name}`" for name in SHOWN), "what is proven"]
    return markdown.table(head, lines, last_left=True)


def _percent(gap: float | None) -> str:
    if gap is None:
        return "no plan"
    if gap <= ROUNDING:
        return "0"
    return f"{100 * gap:.0f} %" if gap >= 0.1 else f"{100 * gap:.2g} %"


def _proof(rows: Table) -> str:
    """Say who proved the optimum first, or how far the best plan may be from it."""
    proven = [row for row in rows if row["status"] == "optimal"]
    if proven:
        first = min(proven, key=lambda row: row["runtime_s"])
        return f"optimum, by `{first['solver']}`"
    left = min(row["gap"] for row in rows if row["gap"] is not None)
    return f"within {_percent(left)}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("results", type=Path, nargs="?", default=RECORDED)
    parser.add_argument("--budget", type=float)
    given = parser.parse_args()
    print(table(given.results, given.budget))
