"""What is left of an optimum that was proven for predicted utilities when they are wrong.

Generated problems of the family `realistic`; each (query, model) has its utilities in all batch sizes moved together by
a normal error. Plans are made for the moved utilities and scored on the true ones.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t

import robatch
from paper_repro.common.csv_tables import Table, where
from paper_repro.common.figures import Axis, panels
from paper_repro.common.settings import Settings
from robatch.instances.arrays import FloatArray

ROUNDING = 1e-12


def cells(settings: Settings) -> Table:
    """Give one cell a seed."""
    return [{"seed": seed} for seed in range(settings["seeds"])]


def compute(settings: Settings, cell: dict[str, Any]) -> Table:
    """Plan for moved utilities; a row an error, budget and solver."""
    seed = cell["seed"]
    problem = robatch.generate(
        "realistic", queries=settings["queries"], models=settings["models"], batch_sizes=settings["batch_sizes"],
        seed=seed,
    )  # fmt: skip
    truth = np.asarray(problem.utilities(), dtype=np.float64)
    shape = (problem.n_queries, problem.n_models)
    moves = np.random.default_rng([seed, 1]).normal(size=shape)[:, problem.state_model]
    budgets = [problem.budget_at(fraction) for fraction in settings["fractions"]]
    bounds = [robatch.solve(problem, budget, "exact", "amortized").bound for budget in budgets]
    rows: Table = []
    for error in settings["errors"]:
        guess = problem.replace(utility=np.clip(truth + error * moves, 0, 1), base_utility=None, retention=None)
        for fraction, budget, bound in zip(settings["fractions"], budgets, bounds, strict=True):
            assert bound is not None
            for solver in settings["solvers"]:
                plan = robatch.solve(guess, budget, solver, "amortized", seed=seed)
                assert plan.assignment is not None
                assert plan.utility is not None
                true = problem.total_utility(plan.assignment)
                rows.append(
                    {
                        "seed": seed, "error": error, "fraction": fraction, "solver": solver,
                        "loss": (bound - true) / bound, "optimism": (plan.utility - true) / bound,
                    }
                )  # fmt: skip
    return rows


def tables(settings: Settings, rows: Table) -> dict[str, Table]:
    """Give mean loss against the true optimum, and what more others lose than `exact`, by budget and over all budgets.

    Intervals are of 95 % over the instances (paired t).
    """
    errors, whole = settings["errors"], [row | {"fraction": "all"} for row in rows]
    return {
        "losses": [row for pair in product(settings["fractions"], errors) for row in _summed(rows, *pair, settings)],
        "overall": [row for error in errors for row in _summed(whole, "all", error, settings)],
    }


def _summed(rows: Table, fraction: float | str, error: float, settings: Settings) -> Table:
    here = where(rows, fraction=fraction, error=error)

    def by_instance(solver: str, key: str) -> FloatArray:
        mine = where(here, solver=solver)
        return np.array([np.mean([row[key] for row in where(mine, seed=s)]) for s in range(settings["seeds"])])

    found: Table = []
    for solver in settings["solvers"]:
        loss = by_instance(solver, "loss")
        ahead = loss - by_instance("exact", "loss")
        width = float(t.ppf(0.975, len(ahead) - 1) * ahead.std(ddof=1) / np.sqrt(len(ahead)))
        found.append(
            {
                "fraction": fraction, "error": error, "solver": solver, "mean_loss": float(loss.mean()),
                "behind_exact": float(ahead.mean()), "behind_low": float(ahead.mean()) - width,
                "behind_high": float(ahead.mean()) + width, "worse_than_exact": int((ahead > ROUNDING).sum()),
                "better_than_exact": int((ahead < -ROUNDING).sum()), "instances": len(loss),
                "optimism": float(by_instance(solver, "optimism").mean()),
            }
        )  # fmt: skip
    return found


def draw(tables: dict[str, Table], folder: Path) -> None:
    """Draw the loss against the error, by budget."""
    rows = [row | {"budget": f"budget fraction {row['fraction']:g}"} for row in tables["losses"]]
    panels(rows, folder / "losses.png", Axis("error", "standard deviation of the error"),
           Axis("mean_loss", "loss of true utility against the optimum"), by="budget", line="solver")  # fmt: skip
