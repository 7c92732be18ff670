"""RoBatch without one of its parts, on the recorded profile, queries held out.

Without batching: every query alone. Without routing: one model for all, at any batch size. Without recalibration: the
proxy's predictions as they come. Raw Pareto upgrades (`pareto`) against those along the hull (`greedy`). Amortized cost
against realized: how much plans that keep the budget on paper bill, and what keeping it in fact costs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from paper_repro.common.arena import Arena, arenas
from paper_repro.common.csv_tables import Table, by_table
from paper_repro.common.curves import area, bootstrap, estimate, held_out_mean
from paper_repro.common.datasets import dataset, dataset_cells
from paper_repro.common.figures import Axis, panels
from paper_repro.common.settings import Settings
from paper_repro.common.strategies import ROUNDING, STRATEGIES, predicted, solved_for

FULL = "hull upgrades (greedy)"
PARTS = {
    FULL: STRATEGIES["greedy"],
    "raw Pareto upgrades": STRATEGIES["pareto"],
    "exact": STRATEGIES["exact"],
    "no batching": STRATEGIES["router-only"],
    "no routing": STRATEGIES["batch-only"],
    "no recalibration": solved_for(predicted(calibration=None), "greedy"),
}

cells = dataset_cells


def compute(settings: Settings, cell: dict[str, Any]) -> Table:
    """Leave out one part at a time on one dataset."""
    found = dataset(cell["dataset"])
    count, splits = found.problem.n_queries, settings["splits"]
    areas = {name: np.full((splits, count), np.nan) for name in PARTS}
    bills: dict[int, Table] = {place: [] for place in range(settings["budgets"])}
    for arena in arenas(found, settings):
        for name, strategy in PARTS.items():
            areas[name][arena.seed, arena.test] = area(strategy(arena).truth)
        for place, bill in enumerate(_billed(arena) if arena.seed < settings["bill_splits"] else ()):
            bills[place].append(bill)
    rows: Table = []
    full = bootstrap(areas[FULL])
    for name in PARTS:
        behind = estimate("behind", areas[FULL], full - bootstrap(areas[name]))
        mean = held_out_mean(areas[name])
        rows.append({"table": "areas", "dataset": cell["dataset"], "part": name, "area": mean,
                     "behind": behind["behind"] - mean, "behind_low": behind["low"],
                     "behind_high": behind["high"]})  # fmt: skip
    for place, records in bills.items():
        counts = {key: sum(record[key] for record in records) for key in ("overspent", "silent")}
        means = {key: float(np.mean([record[key] for record in records])) for key in records[0] if key not in counts}
        most = max(record["amortized_billed"] for record in records)
        rows.append({"table": "bills", "dataset": cell["dataset"], "budget": place, "splits": len(records),
                     **counts, "most_billed": most, **means})  # fmt: skip
    return rows


def _billed(arena: Arena) -> Table:
    """Bill and true mean utility of the greedy plans for amortized and for realized cost, a row a budget."""
    guess = arena.guessed(arena.predicted)
    on_paper, in_fact = (arena.solved(guess, "greedy", cost) for cost in ("amortized", "realized"))
    return [
        {
            "overspent": int(on_paper.billed[place] > budget * (1 + ROUNDING)),
            "silent": int(np.isnan(in_fact.predicted[place])),
            "amortized_billed": float(on_paper.billed[place] / budget),
            "realized_billed": float(in_fact.billed[place] / budget),
            "amortized_utility": float(on_paper.mean[place]),
            "realized_utility": float(in_fact.mean[place]),
            "given_up": float(on_paper.mean[place] - in_fact.mean[place]),
        }
        for place, budget in enumerate(arena.budgets)
    ]


def tables(settings: Settings, rows: Table) -> dict[str, Table]:
    """Give areas by part, and bills by budget: means, ``most_billed`` of one plan, and counts of splits.

    ``overspent``: where the plan for amortized cost bills more than the budget; ``silent``: where the one for realized
    cost leaves queries without an answer, as no plan for all of them was found.
    """
    return by_table(rows, ("areas", "bills"))


def draw(tables: dict[str, Table], folder: Path) -> None:
    """Draw what plans for amortized cost bill, against the budget."""
    rows = [row | {"all": "bill of greedy plans"} for row in tables["bills"]]
    panels(rows, folder / "bills.png", Axis("budget", "budget, from the least to the most"),
           Axis("amortized_billed", "bill / budget, plans for amortized cost"), by="all", line="dataset")  # fmt: skip
