"""Plans of held-out queries by several strategies, over a range of budgets, and what they are worth in truth.

Every strategy sees the same queries, costs and budgets. Costs are amortized, of tokens measured at batch size 1; they
are taken as known, so that strategies differ by what they know about utilities alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import robatch
from paper_repro.common.curves import area
from robatch.instances.arrays import FloatArray, IntArray
from robatch.instances.problem import Problem

BUDGETS = 12
"""Budgets of the range, each dearer than the one before by the same factor."""

STRATEGIES = ("proxy", "state means", "router-only", "batch-only", "single-model", "random", "oracle")
"""The strategies, by name; see `values`."""


@dataclass(frozen=True)
class Solved:
    """A strategy at every budget: the states chosen (G, n), and the share of queries that it can pay for (G,).

    `prices` are the plans' shadow prices: (G,), 0 where a plan has none.
    """

    states: IntArray
    answered: FloatArray
    prices: FloatArray

    def values(self, utility: FloatArray) -> FloatArray:
        """Give the utility of each query at each budget: (G, n). A query without an answer is worth 0."""
        rows = np.arange(self.states.shape[1])
        return np.asarray(utility[rows, self.states] * self.answered[:, None], dtype=np.float64)


def planned(problem: Problem, predicted: FloatArray, budgets: FloatArray, allowed: IntArray | None = None) -> Solved:
    """Solve for predicted utilities (n, S) at every budget, with all states or those of `allowed`.

    Where the budget does not pay for all queries, the cheapest plan answers as large a share of them as it does pay
    for, chosen without regard to what they are.
    """
    states = np.arange(problem.n_states) if allowed is None else allowed
    guessed = problem.replace(utility=np.clip(predicted, 0.0, 1.0))
    if allowed is not None:
        forbidden = np.ones((problem.n_queries, problem.n_states), dtype=bool)
        forbidden[:, states] = False
        guessed = guessed.replace(forbidden=forbidden)
    chosen, answered, prices = [], [], np.zeros(len(budgets))
    for place, budget in enumerate(budgets):
        if budget < guessed.cheapest_budget:
            chosen.append(guessed.cheapest_assignment)
            answered.append(budget / guessed.cheapest_budget)
        else:
            plan = robatch.solve(guessed, float(budget), "exact")
            assert plan.assignment is not None
            chosen.append(plan.assignment)
            prices[place] = plan.shadow_price or 0.0
            answered.append(1.0)
    return Solved(np.array(chosen, dtype=np.int64), np.array(answered), prices)


def values(problem: Problem, predicted: FloatArray, means: FloatArray, budgets: FloatArray) -> dict[str, FloatArray]:
    """Give the true utility of each held-out query at each budget (G, n), by strategy.

    Parameters
    ----------
    problem
        The held-out queries, with their true utilities.
    predicted
        The proxy's: (n, S).
    means
        The mean utility of each state over the training queries: (S,).
    budgets
        (G,).

    Notes
    -----
    ``proxy`` solves for the predictions. ``state means`` solves for the training means, by which all queries are
    alike. ``router-only`` is the proxy at batch size 1. ``batch-only`` solves for the means of one model, that of the
    best curve on the training means. ``single-model`` sends every query to the model of the best training mean among
    those whose price at batch size 1 the budget pays. ``random`` sends as many queries as the budget pays to a state
    drawn evenly from all, the others to the cheapest; its value is the mean over all draws. ``oracle`` solves for the
    truth: it is hindsight, which knows each answer's luck.
    """
    truth = np.asarray(problem.utilities(), dtype=np.float64)
    alike = np.broadcast_to(means, truth.shape)
    sizes, models = problem.state_batch_size, problem.state_model
    alone = np.flatnonzero(sizes == 1)
    batches = [planned(problem, alike, budgets, np.flatnonzero(models == k)) for k in range(problem.n_models)]
    best = max(batches, key=lambda solved: float(area(solved.values(alike)).mean()))
    return {
        "proxy": planned(problem, predicted, budgets).values(truth),
        "state means": planned(problem, alike, budgets).values(truth),
        "router-only": planned(problem, predicted, budgets, alone).values(truth),
        "batch-only": best.values(truth),
        "single-model": _single(problem, means, budgets, alone).values(truth),
        "random": _random(problem, budgets),
        "oracle": planned(problem, truth, budgets).values(truth),
    }


def _single(problem: Problem, means: FloatArray, budgets: FloatArray, alone: IntArray) -> Solved:
    price = problem.amortized_costs().sum(axis=0)
    chosen, answered = [], []
    for budget in budgets:
        paid = [int(s) for s in alone if price[s] <= budget * (1 + 1e-12)]
        state = max(paid, key=lambda s: means[s]) if paid else int(alone[np.argmin(price[alone])])
        chosen.append(np.full(problem.n_queries, state))
        answered.append(min(1.0, budget / price[state]))
    return Solved(np.array(chosen), np.array(answered), np.zeros(len(budgets)))


def _random(problem: Problem, budgets: FloatArray) -> FloatArray:
    cost, truth = problem.amortized_costs(), problem.utilities()
    cheap = problem.replace(utility=np.zeros_like(truth)).cheapest_assignment
    rows = np.arange(len(truth))
    least, even = cost[rows, cheap].sum(), cost.mean(axis=1).sum()
    share = np.clip((budgets - least) / max(even - least, 1e-300), 0.0, 1.0)[:, None]
    return np.asarray((1.0 - share) * truth[rows, cheap] + share * truth.mean(axis=1), dtype=np.float64)
