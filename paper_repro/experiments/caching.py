"""What cached prompts and batch APIs leave of batching and routing, and what planning with the paper's bill costs.

Providers read a shared prompt that a cache holds at a tenth to a fiftieth of its price, and answer in a batch API at
half price. Each dataset is planned with cached reads at several parts of the input price, directly and through the
batch API. Utilities are those that the default proxy predicts for queries held out, taken as the truth, so that luck of
single answers plays no part; prompts of any length are taken to be cached, and one write is billed for each model used.

Two questions. For the utility of the best model alone, or a part of it: what do queries alone with one model cost, and
what routing, batching, and both, as billed? And who plans by the paper's bill (every call full, nothing cached) and
pays the real one: how much utility is lost, and how much of the budget is left?
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

import robatch
from paper_repro.common.arena import Arena, arenas, guessed
from paper_repro.common.csv_tables import Table, by_table, groups
from paper_repro.common.datasets import dataset
from paper_repro.common.figures import Axis, panels
from paper_repro.common.settings import Settings
from robatch.instances.arrays import IntArray
from robatch.instances.model import Model
from robatch.instances.problem import Problem

HALF = 0.5
"""What the batch APIs of most providers cost by what direct calls cost (November 2026, see `docs/prices.md`)."""
WAYS = ("alone", "routing", "batching", "both")


def cells(settings: Settings) -> list[dict[str, Any]]:
    """Give the cells: a dataset, the price of a cached read by the input price, and whether through the batch API."""
    every = product(settings["datasets"], settings["reads"], (False, True))
    return [{"dataset": name, "read": read, "batch_api": api} for name, read, api in every]


def compute(settings: Settings, cell: dict[str, Any]) -> Table:
    """Plan one dataset at one bill."""
    found = dataset(cell["dataset"], settings.get("queries"))
    arena = next(arenas(found, {**settings, "splits": 1, "budgets": 1}))
    paper = guessed(arena.problem, arena.predicted)
    real = paper.replace(models=[billed(model, cell["read"], cell["batch_api"]) for model in paper.models])
    label = {**cell, "batch_api": int(cell["batch_api"]), "kind": found.kind}
    costs = [] if cell["batch_api"] else _costs(arena, real, settings["targets"])  # there all are half of these
    return [{"table": "costs", **label, **row} for row in costs] + [
        {"table": "losses", **label, **row} for row in _losses(paper, real, settings["fractions"])
    ]


def billed(model: Model, read: float, batch_api: bool) -> Model:
    """Return a model whose cached reads cost a part of its input price (1: nothing is cached), maybe at half price."""
    cached = None if read == 1.0 else read * model.price_in
    return replace(model, cache_read=cached, batch=HALF, batch_api=batch_api)


def _costs(arena: Arena, real: Problem, targets: list[float]) -> Table:
    """Give the USD of each way to reach parts of the utility of the best model alone."""
    utilities = np.asarray(real.utilities(), dtype=np.float64)
    alone = arena.dataset.smallest
    best = float(utilities[:, alone].sum(axis=0).max())
    of_model = [np.flatnonzero(real.state_model == model) for model in range(real.n_models)]
    ways = {
        "alone": [np.array([state]) for state in alone],
        "routing": [alone],
        "batching": of_model,
        "both": [np.arange(real.n_states)],
    }
    rows: Table = []
    for target in targets:
        usd = {way: _least(real, target * best, choices) for way, choices in ways.items()}
        for way in WAYS:
            cost, per_call = usd[way]
            rows.append({"target": target, "way": way, "usd": cost, "saved": usd["alone"][0] / cost,
                         "queries_a_call": per_call})  # fmt: skip
    return rows


def _least(problem: Problem, utility: float, choices: list[IntArray]) -> tuple[float, float]:
    """Return the least bill that reaches a utility in one of some sets of states, and its queries a call."""
    best = (np.inf, np.nan)
    for states in choices:
        allowed = guessed(problem, problem.utilities(), states)
        found = robatch.cheapest(allowed, utility=utility * (1 - 1e-12), solver="greedy", cost="realized")
        if found.plan is not None and found.cost is not None and found.cost < best[0]:
            best = found.cost, problem.n_queries / len(found.plan.calls())
    return best


def _losses(paper: Problem, real: Problem, fractions: list[float]) -> Table:
    """Give what plans by the paper's bill lose against plans by the real one, at budgets of the real one."""
    rows: Table = []
    for fraction in fractions:
        budget = real.budget_at(fraction)
        mine = robatch.solve(real, budget, cost="realized")
        theirs = robatch.solve(paper, budget, "exact", "amortized")
        if mine.assignment is None:
            continue
        row = {"fraction": fraction, "utility": mine.utility, "lost": None, "unspent": None, "over": None}
        if theirs.assignment is not None:
            value, bill = real.total_utility(theirs.assignment), real.realized_cost(theirs.assignment)
            row |= {"lost": 1 - value / mine.utility, "unspent": 1 - bill / budget, "over": int(bill > budget)}
        rows.append(row)
    return rows


def tables(settings: Settings, rows: Table) -> dict[str, Table]:
    """Give all costs and losses, and their means over datasets by bill."""
    found = by_table(rows, ("costs", "losses"))
    saved: Table = []
    for label, here in groups(found["costs"], "target", "read", "way"):
        mean = float(np.exp(np.mean(np.log([row["saved"] for row in here]))))
        saved.append({**label, "datasets": len(here), "saved": mean, "least": min(row["saved"] for row in here),
                      "most": max(row["saved"] for row in here),
                      "queries_a_call": float(np.mean([row["queries_a_call"] for row in here]))})  # fmt: skip
    lost: Table = []
    for label, here in groups(found["losses"], "fraction", "batch_api", "read"):
        planned = [row for row in here if row["lost"] is not None]
        mean = {
            name: float(np.mean([row[name] for row in planned])) if planned else None for name in ("lost", "unspent")
        }
        lost.append({**label, "datasets": len(here), "no_plan": len(here) - len(planned), **mean,
                     "most_lost": max((row["lost"] for row in planned), default=None),
                     "over": sum(row["over"] for row in planned)})  # fmt: skip
    return found | {"saved": saved, "lost": lost}


def draw(tables: dict[str, Table], folder: Path) -> None:
    """Draw what each way saves, and what the paper's bill loses, against the price of a cached read."""
    read = Axis("read", "price of a cached read / input price", log=True)
    direct = [row | {"target": f"{row['target']:.0%} of the best model alone"} for row in tables["saved"]]
    panels(direct, folder / "saved.png", read, Axis("saved", "USD of queries alone / USD"), by="target",
           line="way", lines=WAYS[1:])  # fmt: skip
    sent = ("direct", "through the batch API")
    lost = [row | {"line": f"budget {row['fraction']:.0%}", "panel": sent[int(row["batch_api"])]}
            for row in tables["lost"] if row["lost"] is not None]  # fmt: skip
    panels(lost, folder / "lost.png", read, Axis("lost", "utility lost by the paper's bill"), by="panel", line="line")
