"""How long scheduling takes, which the paper names as its dominant overhead.

The schedulers take turns in one process on generated problems (`realistic`, float32, factored), and the median over
the rounds counts. Times of other machines are others: what compares are the ratios to `pareto`, the reconstructed
scheduler of the paper, in the same run, and how time grows with the number of queries.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

import robatch
from paper_repro.common import plots
from paper_repro.common.csv_tables import Table

Settings = dict[str, Any]


def cells(settings: Settings) -> Table:
    """Give one cell a number of queries."""
    return [{"queries": count} for count in settings["queries"]]


def compute(settings: Settings, cell: dict[str, Any]) -> Table:
    """Time the schedulers on one problem."""
    common = {"models": settings["models"], "batch_sizes": settings["batch_sizes"], "seed": 0, "dtype": "float32"}
    small = robatch.generate("realistic", queries=100, **common)
    problem = robatch.generate("realistic", queries=cell["queries"], **common)
    budget = problem.budget_at(settings["fraction"])
    solvers = [name for name in settings["solvers"] if cell["queries"] <= settings.get("most", {}).get(name, np.inf)]
    for solver in solvers:  # kernels are compiled or loaded before anything counts
        robatch.solve(small, small.budget_at(settings["fraction"]), solver, threads=1)
    seconds: dict[str, list[float]] = {solver: [] for solver in solvers}
    gaps: dict[str, float] = {}
    bounds = []
    for _ in range(settings["rounds"]):
        for solver in solvers:
            began = time.perf_counter()
            plan = robatch.solve(problem, budget, solver, threads=1)
            seconds[solver].append(time.perf_counter() - began)
            assert plan.utility is not None
            gaps[solver] = plan.utility
            bounds += [] if plan.bound is None else [plan.bound]
    medians = {solver: float(np.median(times)) for solver, times in seconds.items()}
    return [
        {"queries": cell["queries"], "states": problem.n_states, "solver": solver, "seconds": median,
         "us_per_query": 1e6 * median / cell["queries"], "ratio_to_pareto": median / medians["pareto"],
         "gap": max(0.0, (min(bounds) - gaps[solver]) / min(bounds))}
        for solver, median in medians.items()
    ]  # fmt: skip


def tables(settings: Settings, rows: Table) -> dict[str, Table]:
    """Give the rows."""
    return {"times": rows}


def draw(tables: dict[str, Table], folder: Path) -> None:
    """Draw seconds against the number of queries."""
    rows = [row | {"all": "whole call of solve, one thread"} for row in tables["times"]]
    plots.panels(rows, folder / "times.png", by="all", line="solver", x="queries", y="seconds", log=True, log_y=True,
                 labels=("queries", "seconds"))  # fmt: skip
