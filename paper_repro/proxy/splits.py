"""What one split of one task's queries, half of them held out, says about the proxy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from paper_repro.common.arena import guessed
from paper_repro.common.curves import area, budget_range, divide
from paper_repro.common.profile_data import TaskData
from paper_repro.proxy.plans import BUDGETS, planned, values
from robatch.instances.arrays import BoolArray, FloatArray, IntArray
from robatch.proxies.utility.utility_proxy import UtilityProxy

ESTIMATORS = ("logistic", "knn", "mlp", "boosting", "constant")
SCALINGS = ("isotonic", "exponential", "logistic-drop", "table")
LEVEL = 0.9
"""Level of the intervals whose coverage is counted."""

DESIGNS = ("one router per state", "decomposed", "decomposed, three sizes")
SHARES = (0.125, 0.25, 0.5, 1.0)
"""Profiling cost of the ablation, as parts of what all training queries cost in all states."""


@dataclass(frozen=True)
class Split:
    """What was found about the queries that a split holds out.

    Attributes
    ----------
    figures
        Figures of all N queries by name, NaN where a query was trained on: (..., N).
    coverage
        A record for each budget: its interval and what two executions of the plan, one a repeat, were worth.
    billed
        What the proxy's plans cost by the tokens of their own states, over their planned cost: (G,).
    """

    figures: dict[tuple[str, ...], FloatArray]
    coverage: list[dict[str, Any]]
    billed: FloatArray


def run_split(task: TaskData, seed: int) -> Split:
    """Judge the default proxy on one split of a task, beside the other strategies."""
    train, held_out = divide(task.problem.n_queries, seed)
    problem = task.problem.take(held_out)
    budgets = budget_range(problem, BUDGETS)
    figures: dict[tuple[str, ...], FloatArray] = {}
    with threadpool_limits(limits=1):  # sums in another order are other sums
        proxy = task.fit(_proxy(task), train)
        predicted = proxy.predict(task.features[held_out])
        curves = values(problem, predicted, task.utility[train].mean(axis=0), budgets)
        cheapest_alone = float(problem.amortized_costs().sum(axis=0)[problem.state_batch_size == 1].min())
        affordable = budgets >= cheapest_alone * (1 - 1e-9)
        for name, curve in curves.items():
            figures["curve", name] = curve
            figures["area", name, "all budgets"] = area(curve)
            figures["area", name, "upper budgets"] = area(curve[affordable])
        plans = planned(guessed(problem, predicted), budgets)
        objectives = [predicted - price * problem.amortized_costs() for price in plans.prices]
        coverage = _coverage(task, proxy, held_out, plans.states, objectives)
    rows = np.arange(len(held_out))
    costs = problem.amortized_costs()
    billed = [(task.billed[held_out] / len(task.scores))[rows, s].sum() / costs[rows, s].sum() for s in plans.states]
    figures = {name: _spread(figure, held_out, task) for name, figure in figures.items()}
    return Split(figures, coverage, np.array(billed))


def compare(task: TaskData, seed: int, estimators: tuple[str, ...] = ESTIMATORS) -> dict[tuple[str, ...], FloatArray]:
    """Judge the proxies of the ablation and of the comparison of estimators on one split: figures as of `Split`."""
    train, held_out = divide(task.problem.n_queries, seed)
    problem = task.problem.take(held_out)
    budgets, truth = budget_range(problem, BUDGETS), task.utility[held_out]
    figures: dict[tuple[str, ...], FloatArray] = {}
    with threadpool_limits(limits=1):
        for name, fitted in _fitted(task, train, seed, estimators):
            guess = fitted.predict(task.features[held_out])
            figures[(*name, "brier")] = ((guess - truth) ** 2).mean(axis=1)
            figures[(*name, "area")] = area(planned(guessed(problem, guess), budgets).values(truth))
    return {name: _spread(figure, held_out, task) for name, figure in figures.items()}


def _spread(figure: FloatArray, held_out: IntArray, task: TaskData) -> FloatArray:
    """Return a figure of the queries held out (..., n) as one of all queries (..., N), NaN for the others."""
    spread = np.full((*figure.shape[:-1], task.problem.n_queries), np.nan)
    spread[..., held_out] = figure
    return spread


def _proxy(task: TaskData, **params: Any) -> UtilityProxy:
    return UtilityProxy(states=task.states, features="given", **params)


def _fitted(
    task: TaskData, train: IntArray, seed: int, estimators: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], UtilityProxy]]:
    """Yield the proxies of the ablation and of the comparison of estimators, by name."""
    for share in SHARES:
        for design in DESIGNS:
            measured = measured_states(task, design)
            rows = bought(task, train, measured, share, seed)
            if rows is not None:
                scaling = None if design == DESIGNS[0] else "isotonic"
                yield ("ablation", design, f"{share:g}"), task.fit(_proxy(task, scaling=scaling), rows, measured)
    for estimator in estimators:
        for scaling in SCALINGS:
            yield ("routers", estimator, scaling), task.fit(_proxy(task, router=estimator, scaling=scaling), train)


def measured_states(task: TaskData, design: str) -> BoolArray:
    """Say which states a design profiles: (S,). Three sizes are the smallest, a middle one and the largest."""
    sizes = sorted({size for _, size in task.states})
    kept = sizes if design != DESIGNS[2] else [sizes[0], sizes[len(sizes) // 2], sizes[-1]]
    return np.array([size in kept for _, size in task.states])


def bought(task: TaskData, train: IntArray, measured: BoolArray, share: float, seed: int) -> IntArray | None:
    """Return as many training queries as a part of the full profiling cost pays for; None where there are too few.

    They are the beginning of one order drawn by the seed.
    """
    full = task.billed[train].sum()
    count = round(share * len(train) * full / task.billed[train][:, measured].sum())
    if count > len(train):
        return None
    order = np.random.default_rng([seed, 1]).permutation(len(train))
    return np.sort(train[order[:count]])


def _coverage(
    task: TaskData, proxy: UtilityProxy, held_out: IntArray, states: IntArray, objectives: list[FloatArray]
) -> list[dict[str, Any]]:
    rows = np.arange(len(held_out))
    records = []
    for place, (assignment, objective) in enumerate(zip(states, objectives, strict=True)):
        total = proxy.predict_total(task.features[held_out], assignment, LEVEL, objective)
        real = [float(scores[held_out][rows, assignment].sum()) for scores in task.scores]
        ends = {name: getattr(total, name) for name in ("mean", "low", "high")}
        records.append({"budget": place, **ends, "queries": len(rows), "real": real})
    return records
