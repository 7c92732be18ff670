"""Proxy error against optimality gap: which is worth more to mend, by budget.

Plans of queries held out, by proxies of several qualities and three schedulers, scored on the truth. The proxies know
nothing but state means; a quarter of the training queries; or all of them. Two more bracket what a better one could
add: "hindsight" plans for the very answers that it is scored on, whose luck no proxy can know; "another measurement"
plans for one repeat's answers and is scored on the other's, and so believes in luck that does not come back.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from paper_repro.common.arena import Arena, arenas
from paper_repro.common.csv_tables import Table, by_table, groups
from paper_repro.common.curves import bootstrap, estimate, held_out_mean
from paper_repro.common.datasets import dataset, dataset_cells
from paper_repro.common.figures import Axis, panels
from paper_repro.common.settings import Settings
from robatch.instances.arrays import FloatArray

SCHEDULERS = ("pareto", "greedy", "exact")
STEPS = {
    "pareto to greedy": (("all", "pareto"), ("all", "greedy")),
    "greedy to exact": (("all", "greedy"), ("all", "exact")),
    "state means to proxy": (("state means", "exact"), ("all", "exact")),
    "four times the profile": (("quarter", "exact"), ("all", "exact")),
    "proxy to another measurement": (("all", "exact"), ("another measurement", "exact")),
    "proxy to hindsight": (("all", "exact"), ("hindsight", "exact")),
}
"""What each step changes: (proxy, scheduler) before and after."""

cells = dataset_cells


def compute(settings: Settings, cell: dict[str, Any]) -> Table:
    """Plan with every proxy and scheduler, on some splits of one dataset."""
    found = dataset(cell["dataset"], settings.get("queries"))
    count, splits = found.problem.n_queries, settings["splits"]
    at: dict[tuple[str, str], FloatArray] = {}
    fractions = []
    for arena in arenas(found, settings):
        for pair, utility in _planned(arena).items():
            at.setdefault(pair, np.full((settings["budgets"], splits, count), np.nan))[:, arena.seed, arena.test] = (
                utility
            )
        fractions.append(arena.budgets / arena.alone_price)
    label = {"dataset": cell["dataset"], "kind": found.kind}
    shares = np.mean(fractions, axis=0)
    rows: Table = [
        {"table": "pairs", **label, "proxy": proxy, "scheduler": scheduler, "budget": place, "fraction": float(share),
         "utility": held_out_mean(utility[place])}
        for (proxy, scheduler), utility in at.items()
        for place, share in enumerate(shares)
    ]  # fmt: skip
    for step, (before, after) in STEPS.items():
        if after not in at:
            continue
        gained = at[after] - at[before]
        drawn, overall = bootstrap(gained), gained.mean(axis=0)
        rows += [{"table": "steps", **label, "step": step, "budget": place, "fraction": float(share),
                  **estimate("worth", gained[place], drawn[place])}
                 for place, share in enumerate(shares)]  # fmt: skip
        rows.append({"table": "overall", **label, "step": step, **estimate("worth", overall, bootstrap(overall))})
    return rows


def _planned(arena: Arena) -> dict[tuple[str, str], FloatArray]:
    """Return the true utilities (G, n) of the plans by every proxy and scheduler."""
    quarter = np.sort(np.random.default_rng(arena.seed).permutation(arena.train)[: len(arena.train) // 4])
    guesses = {
        "state means": np.broadcast_to(arena.means, arena.truth.shape),
        "quarter": Arena(arena.dataset, quarter, arena.test, arena.budgets, arena.seed).predicted,
        "all": arena.predicted,
        "hindsight": arena.truth,
    }
    found = {
        (proxy, scheduler): arena.solved(arena.guessed(guess), scheduler).truth
        for proxy, guess in guesses.items()
        for scheduler in SCHEDULERS
    }
    if arena.dataset.task is not None:
        scores = arena.dataset.task.scores[:, arena.test]
        found |= {("another measurement", name): _across(arena, scores, name) for name in SCHEDULERS}
    return found


def _across(arena: Arena, scores: FloatArray, scheduler: str) -> FloatArray:
    """Plan for what one repeat measured and score on another: what the proxy of a lucky guesser is worth."""
    rows = np.arange(scores.shape[1])
    total = np.zeros((len(arena.budgets), len(rows)))
    for repeat in range(len(scores)):
        states = arena.planned(arena.guessed(scores[repeat]), scheduler)
        others = np.pad(np.delete(scores, repeat, axis=0).mean(axis=0), ((0, 0), (0, 1)))  # no answer is worth nothing
        total += others[rows, states] / len(scores)
    return total


def tables(settings: Settings, rows: Table) -> dict[str, Table]:
    """Give mean utilities of all pairs, what each step is worth by budget and overall, and its mean over datasets."""
    found = by_table(rows, ("pairs", "steps", "overall"))
    summed: Table = []
    for label, members in groups(found["steps"], "kind", "step", "budget"):
        here = [row["worth"] for row in members]
        summed.append({**label, "datasets": len(here), "mean_worth": float(np.mean(here)), "least": min(here),
                       "most": max(here)})  # fmt: skip
    return found | {"by_budget": summed}


def draw(tables: dict[str, Table], folder: Path) -> None:
    """Draw what each step is worth against the budget."""
    panels(tables["steps"], folder / "worth.png", Axis("fraction", "budget / price of the best model alone", log=True),
           Axis("worth", "true utility gained per query"), by="dataset", line="step", band=("low", "high"))  # fmt: skip
