"""When, and by how much, does a scheduler miss the optimum? The question that the paper leaves open.

One dimension at a time is moved away from a base case: the family, the number of queries, of models, of batch sizes;
and families and numbers of queries together.
Every instance is solved at all budgets by all schedulers, and by `exact`, whose optimum is the yardstick. Where it
proves none in its time, that is the linear bound: what a scheduler misses is then less than the gap, which counts in
means and medians, not in the worst.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import robatch
from paper_repro.common.csv_tables import Table, groups, where
from paper_repro.common.figures import Axis, panels
from paper_repro.common.settings import Settings

BASE_FAMILY = "realistic"
ROUNDING = 1e-9


def cells(settings: Settings) -> Table:
    """Give one cell a family, size, number of models and batch sizes: the base case but for one, or the first two."""
    base = _base(settings)
    found = [base]
    for key in ("family", "queries", "models", "batch_sizes"):
        values = settings["families" if key == "family" else key]
        found += [base | {key: value} for value in values if value != base[key]]
    # sizes matter in every family, as the steps of few queries do not fill a budget
    found += [
        base | {"family": family, "queries": queries}
        for family in settings["families"]
        for queries in settings["queries"]
        if family != base["family"] and queries != base["queries"]
    ]
    return found


def _base(settings: Settings) -> dict[str, Any]:
    middle = {key: settings[key][len(settings[key]) // 2] for key in ("queries", "models")}
    return {"family": BASE_FAMILY, **middle, "batch_sizes": settings["batch_sizes"][-1]}


def compute(settings: Settings, cell: dict[str, Any]) -> Table:
    """Solve the instances of a cell; a row an instance, budget and solver."""
    rows: Table = []
    label = {"family": cell["family"], "queries": cell["queries"], "models": cell["models"],
             "batch_sizes": " ".join(map(str, cell["batch_sizes"]))}  # fmt: skip
    for seed in range(settings["seeds"]):
        problem = robatch.generate(
            cell["family"], queries=cell["queries"], models=cell["models"], batch_sizes=cell["batch_sizes"], seed=seed
        )
        for fraction in settings["fractions"]:
            budget = problem.budget_at(fraction)
            best = robatch.solve(problem, budget, "exact", "amortized", time_limit=settings["time_limit"])
            # how far a proof gets in its time depends on the machine: without one, greedy's linear bound serves
            proven = best.status == "optimal"
            bound = best.bound if proven else robatch.solve(problem, budget, "greedy", "amortized").bound
            assert bound is not None
            for solver in settings["solvers"]:
                plan = robatch.solve(problem, budget, solver, "amortized", seed=seed)
                gap = None if plan.utility is None else (bound - plan.utility) / max(bound, 1e-12)
                assert gap is None or gap >= -ROUNDING, f"{solver} beats a proven bound by {-gap:.3g}: a bug"
                gap = None if gap is None else max(0.0, gap)
                rows.append(label | {"seed": seed, "fraction": fraction, "solver": solver, "gap": gap,
                                     "proven": proven})  # fmt: skip
    return rows


def tables(settings: Settings, rows: Table) -> dict[str, Table]:
    """Give gaps by each dimension: mean, median, worst of those to a proven optimum, and how often it was found."""
    base = _base(settings) | {"batch_sizes": " ".join(map(str, settings["batch_sizes"][-1]))}
    found = {}
    for key in ("family", "queries", "models", "batch_sizes", "fraction"):
        here = where(rows, **{name: value for name, value in base.items() if name != key})
        found[f"by_{key}"] = _summed(here, (key, "solver"))
    here = where(rows, models=base["models"], batch_sizes=base["batch_sizes"])
    found["by_family_and_queries"] = _summed(here, ("family", "queries", "solver"))
    return found


def _summed(rows: Table, keys: tuple[str, ...]) -> Table:
    found = []
    for label, members in groups(rows, *keys):
        gaps = [row["gap"] for row in members if row["gap"] is not None]
        proven = [row["gap"] for row in members if row["gap"] is not None and row["proven"]]
        found.append(
            {
                **label,
                "plans": len(gaps),
                "none": len(members) - len(gaps),
                "mean_gap": float(np.mean(gaps)) if gaps else None,
                "median_gap": float(np.median(gaps)) if gaps else None,
                "worst_gap": max(proven) if proven else None,
                "optimal_share": float(np.mean([gap <= ROUNDING for gap in gaps])) if gaps else None,
                "proven_share": float(np.mean([row["proven"] for row in members])),
            }
        )
    return found


LEAST_DRAWN_GAP = 1e-9
"""Gaps below are drawn there, as the axis is logarithmic."""


def draw(tables: dict[str, Table], folder: Path) -> None:
    """Draw the mean gap against the number of queries, by family, and against the budget."""
    for name, by, x, label in (
        ("by_family_and_queries", "family", "queries", "queries"),
        ("by_fraction", "all", "fraction", "budget fraction"),
    ):
        rows = [row | {"all": "base case"} for row in tables[name] if row["mean_gap"] is not None]
        for row in rows:
            row["drawn"] = max(row["mean_gap"], LEAST_DRAWN_GAP)
        panels(rows, folder / f"{name}.png", Axis(x, label, log=name != "by_fraction"),
               Axis("drawn", "mean gap to the proven bound", log=True), by=by, line="solver")  # fmt: skip
