"""Proxy error against optimality gap: which is worth more to mend, by budget.

Plans of queries held out, by proxies of four qualities (nothing but state means; a quarter of the training queries; all
of them; the truth) and schedulers of three, scored on the truth. Routing tables that are not here are left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from paper_repro.common import plots
from paper_repro.common.csv_tables import Table
from paper_repro.common.curves import budget_range
from paper_repro.common.datasets import dataset, missing
from paper_repro.common.strategies import Arena

Settings = dict[str, Any]

SCHEDULERS = ("pareto", "greedy", "exact")
PROXIES = ("state means", "quarter", "all", "truth")
STEPS = {
    "pareto to greedy": (("all", "pareto"), ("all", "greedy")),
    "greedy to exact": (("all", "greedy"), ("all", "exact")),
    "state means to proxy": (("state means", "exact"), ("all", "exact")),
    "four times the profile": (("quarter", "exact"), ("all", "exact")),
    "proxy to truth": (("all", "exact"), ("truth", "exact")),
}
"""What each step changes: (proxy, scheduler) before and after."""


def cells(settings: Settings) -> Table:
    """Give one cell a dataset and split."""
    found = [{"dataset": name, "seed": seed} for name in settings["datasets"] for seed in range(settings["splits"])]
    if missing(settings["tables"]) is None:
        found += [{"dataset": name, "seed": seed} for name in settings["tables"]
                  for seed in range(settings["table_splits"])]  # fmt: skip
    return found


def compute(settings: Settings, cell: dict[str, Any]) -> Table:
    """Plan with every proxy and scheduler on one split."""
    found, seed = dataset(cell["dataset"]), cell["seed"]
    count = found.problem.n_queries
    order = np.random.default_rng([seed, count]).permutation(count)
    train, test = order[: count // 2], np.sort(order[count // 2 :])
    budgets = budget_range(found.problem.take(test), settings["budgets"])
    arena = Arena(found, np.sort(train), test, budgets, seed)
    few = Arena(found, np.sort(train[: len(train) // 4]), test, budgets, seed)
    guesses = {
        "state means": np.broadcast_to(arena.means, arena.truth.shape),
        "quarter": few.predicted,
        "all": arena.predicted,
        "truth": arena.truth,
    }
    price = arena.problem.amortized_costs()[:, found.smallest].sum(axis=0)
    best = price[np.argmax(arena.means[found.smallest])]
    rows: Table = []
    for proxy in PROXIES:
        for scheduler in SCHEDULERS:
            curve = arena.solved(arena.guessed(guesses[proxy]), scheduler)
            rows += [
                {"dataset": cell["dataset"], "kind": found.kind, "seed": seed, "proxy": proxy, "scheduler": scheduler,
                 "budget": place, "fraction": float(budget / best), "utility": float(curve.mean[place])}
                for place, budget in enumerate(budgets)
            ]  # fmt: skip
    return rows


def tables(settings: Settings, rows: Table) -> dict[str, Table]:
    """Give mean utilities of all pairs, and what each step is worth by dataset and budget."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["kind"], row["dataset"], row["budget"], row["proxy"], row["scheduler"]), []).append(row)
    utility = {key: float(np.mean([row["utility"] for row in members])) for key, members in groups.items()}
    fraction = {key[:3]: float(np.mean([row["fraction"] for row in members])) for key, members in groups.items()}
    pairs: Table = []
    for key, value in utility.items():
        pairs.append(
            dict(zip(("kind", "dataset", "budget", "proxy", "scheduler"), key, strict=True))
            | {"fraction": fraction[key[:3]], "utility": value}
        )
    steps: Table = []
    for step, (before, after) in STEPS.items():
        for place, share in fraction.items():
            worth = utility[(*place, *after)] - utility[(*place, *before)]
            steps.append(dict(zip(("kind", "dataset", "budget"), place, strict=True))
                         | {"step": step, "fraction": share, "worth": worth})  # fmt: skip
    summed: Table = []
    for kind in dict.fromkeys(row["kind"] for row in steps):
        for step in STEPS:
            for budget in sorted({row["budget"] for row in steps}):
                here = [row["worth"] for row in steps
                        if (row["kind"], row["step"], row["budget"]) == (kind, step, budget)]  # fmt: skip
                summed.append({"kind": kind, "step": step, "budget": budget, "datasets": len(here),
                               "mean_worth": float(np.mean(here)), "least": min(here), "most": max(here)})  # fmt: skip
    return {"pairs": pairs, "steps": steps, "by_budget": summed}


def draw(tables: dict[str, Table], folder: Path) -> None:
    """Draw what each step is worth against the budget."""
    plots.panels(tables["steps"], folder / "worth.png", by="dataset", line="step", x="fraction", y="worth", log=True,
                 labels=("budget / price of the best model alone", "true utility gained per query"))  # fmt: skip
