"""RoBatch without one of its parts, on the recorded profile, queries held out.

Without batching: every query alone. Without routing: one model for all, at any batch size. Without recalibration: the
proxy's predictions as they come. Raw Pareto upgrades (`pareto`) against those along the hull (`greedy`). Amortized cost
against realized: how much plans that keep the budget on paper bill, and what keeping it in fact costs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import robatch
from paper_repro.common import plots
from paper_repro.common.csv_tables import Table, by_table
from paper_repro.common.curves import area, bootstrap, budget_range, divide, held_out_mean, interval
from paper_repro.common.datasets import dataset
from paper_repro.common.strategies import ROUNDING, STRATEGIES, Arena, solver_strategy

Settings = dict[str, Any]
FloatArray = npt.NDArray[np.float64]

FULL = "hull upgrades (greedy)"
PARTS = {
    FULL: STRATEGIES["greedy"],
    "raw Pareto upgrades": STRATEGIES["pareto"],
    "exact": STRATEGIES["exact"],
    "no batching": STRATEGIES["router-only"],
    "no routing": STRATEGIES["batch-only"],
    "no recalibration": solver_strategy("greedy", calibration=None),
}


def cells(settings: Settings) -> Table:
    """Give one cell a dataset."""
    return [{"dataset": name} for name in settings["datasets"]]


def compute(settings: Settings, cell: dict[str, Any]) -> Table:
    """Leave out one part at a time on one dataset."""
    found = dataset(cell["dataset"])
    count, splits = found.problem.n_queries, settings["splits"]
    areas = {name: np.full((splits, count), np.nan) for name in PARTS}
    bills: dict[int, Table] = {place: [] for place in range(settings["budgets"])}
    for seed in range(splits):
        train, test = divide(count, seed)
        arena = Arena(found, train, test, budget_range(found.problem.take(test), settings["budgets"]), seed)
        for name, strategy in PARTS.items():
            areas[name][seed, test] = area(strategy(arena).truth)
        for place, budget in enumerate(arena.budgets if seed < settings["bill_splits"] else ()):
            bills[place].append(_billed(arena, float(budget)))
    rows: Table = []
    full = bootstrap(areas[FULL])
    for name in PARTS:
        low, high = interval(full - bootstrap(areas[name]))
        mean = held_out_mean(areas[name])
        rows.append({"table": "areas", "dataset": cell["dataset"], "part": name, "area": mean,
                     "behind": held_out_mean(areas[FULL]) - mean,
                     "behind_low": low, "behind_high": high})  # fmt: skip
    for place, records in bills.items():
        known = {key: [record[key] for record in records if record[key] is not None] for key in records[0]}
        rows.append({"table": "bills", "dataset": cell["dataset"], "budget": place, "splits": len(records),
                     "overspent": sum(value > 1 + ROUNDING for value in known["amortized_billed"]),
                     "no_plan": len(records) - len(known["realized_utility"]),
                     **{key: float(np.mean(values)) if values else None for key, values in known.items()}})  # fmt: skip
    return rows


def _billed(arena: Arena, budget: float) -> dict[str, float | None]:
    """Bill and true mean utility of the greedy plans for amortized and for realized cost."""
    guess = arena.guessed(arena.predicted)
    on_paper = robatch.solve(guess, budget, "greedy")
    in_fact = robatch.solve(guess, budget, "greedy", cost="realized", seed=arena.seed)
    assert on_paper.assignment is not None
    assert on_paper.realized_cost is not None
    count = len(arena.test)
    utility = arena.problem.total_utility(on_paper.assignment) / count
    kept = None if in_fact.assignment is None else arena.problem.total_utility(in_fact.assignment) / count
    return {
        "amortized_billed": on_paper.realized_cost / budget,
        "amortized_utility": utility,
        "realized_billed": None if in_fact.realized_cost is None else in_fact.realized_cost / budget,
        "realized_utility": kept,
        "given_up": None if kept is None else utility - kept,
    }


def tables(settings: Settings, rows: Table) -> dict[str, Table]:
    """Give areas by part, and bills by budget."""
    return by_table(rows, ("areas", "bills"))


def draw(tables: dict[str, Table], folder: Path) -> None:
    """Draw what plans for amortized cost bill, against the budget."""
    rows = [row | {"all": "bill of greedy plans"} for row in tables["bills"]]
    plots.panels(rows, folder / "bills.png", by="all", line="dataset", x="budget", y="amortized_billed",
                 labels=("budget, from the least to the most", "bill / budget, plans for amortized cost"))  # fmt: skip
