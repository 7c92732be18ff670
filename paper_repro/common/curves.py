"""Curves of utility over the budget: what a strategy reaches, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robatch.bench.common import field_metrics
from robatch.instances.arrays import FloatArray, IntArray
from robatch.instances.problem import Problem

LEVEL = 0.95
"""Level of the intervals of estimates."""


@dataclass(frozen=True)
class Curve:
    """What a strategy does at each of G budgets with n queries.

    Attributes
    ----------
    truth
        True utility of each query, 0 where the budget does not pay for its answer: (G, n).
    answered
        Part of the queries that get an answer: (G,).
    predicted
        Total utility by the proxy's predictions: (G,), NaN where there is no plan that answers all queries.
    cost
        Amortized USD: (G,).
    billed
        USD as billed, partly filled calls in full: (G,), NaN where it is not known.
    """

    truth: FloatArray
    answered: FloatArray
    predicted: FloatArray
    cost: FloatArray
    billed: FloatArray

    @property
    def mean(self) -> FloatArray:
        """Mean true utility at each budget: (G,)."""
        return np.asarray(self.truth.mean(axis=1), dtype=np.float64)


def budget_range(problem: Problem, count: int) -> FloatArray:
    """Give budgets from the cheapest plan to the price of the dearest state for all queries, by equal factors.

    The ends are a little above: sums in another order are other sums.
    """
    dearest = float(problem.amortized_costs().sum(axis=0).max())
    return np.asarray(np.geomspace(problem.cheapest_budget, dearest, count), dtype=np.float64) * (1 + 1e-9)


def divide(queries: int, seed: int) -> tuple[IntArray, IntArray]:
    """Divide queries by a seed into a half to train on and the others, each in ascending order."""
    order = np.random.default_rng([seed, queries]).permutation(queries)
    return np.sort(order[: queries // 2]), np.sort(order[queries // 2 :])


def area(by_budget: FloatArray) -> FloatArray:
    """Give the area under curves (G, ...) over equal steps of the logarithm of the budget: their mean height."""
    return np.asarray((by_budget[1:] + by_budget[:-1]).mean(axis=0) / 2, dtype=np.float64)


def field_figures(curve: Curve, models: FloatArray, prices: FloatArray) -> dict[str, float | None]:
    """Give the figures by which routers are compared in the field.

    `models` and `prices` are the mean true utility, and USD for all queries, of each model alone at its smallest batch
    size: (K,).
    """
    best, weak = int(np.argmax(models)), int(np.argmin(prices))
    low, high = float(prices.min()), float(prices.max())
    cost, quality = curve.cost, curve.mean
    figures: dict[str, float | None] = {
        "aiq": field_metrics.aiq(cost, quality, low, high),
        "peak": field_metrics.peak(quality),
    }
    gap = models[best] > models[weak] and prices[best] > prices[weak]
    figures["apgr"] = (
        field_metrics.apgr(cost, quality, (prices[weak], models[weak]), (prices[best], models[best])) if gap else None
    )
    for share in (0.95, 0.99):
        found = field_metrics.cost_at_quality(cost, quality, share, float(models[best]))
        figures[f"cost_at_{100 * share:.0f}"] = None if found is None else found / float(prices[best])
    return figures


def bootstrap(figures: FloatArray, draws: int = 1000, seed: int = 0) -> FloatArray:
    """Draw means of figures anew: (..., draws). Figures that are compared share the draws, so differences are paired.

    Figures are by split and query, NaN where the query was trained on, the same queries for all: (..., splits, N).
    Queries and splits are drawn with replacement; a draw's value is the mean over its splits of the mean over its
    queries there.
    """
    rng = np.random.default_rng(seed)
    *shape, splits, queries = figures.shape
    flat = figures.reshape(-1, splits, queries)
    here = ~np.isnan(flat[0])
    filled = np.ascontiguousarray(np.where(here, flat, 0.0).reshape(-1, queries).T)
    known = here.T.astype(np.float64)
    drawn = rng.multinomial(splits, np.full(splits, 1.0 / splits), draws) / splits
    found = np.empty((len(flat), draws))
    for first in range(0, draws, 100):  # weights of all draws at once would be large
        part = slice(first, min(first + 100, draws))
        weight = rng.multinomial(queries, np.full(queries, 1.0 / queries), part.stop - part.start).astype(np.float64)
        means = (weight @ filled).reshape(-1, len(flat), splits) / np.maximum(weight @ known, 1e-9)[:, None, :]
        found[:, part] = np.einsum("dms,ds->md", means, drawn[part])
    return found.reshape(*shape, draws)


def held_out_mean(figures: FloatArray) -> float:
    """Give the mean over splits of the mean over the queries held out there; NaN stands for the others: (splits, N)."""
    return float(np.nanmean(figures, axis=1).mean())


def estimate(name: str, figures: FloatArray, draws: FloatArray) -> dict[str, float]:
    """Give the mean of figures (splits, N), called `name`, with the ends of its interval, ``low`` and ``high``."""
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return {name: held_out_mean(figures), "low": float(low), "high": float(high)}
