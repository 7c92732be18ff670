"""Plans of held-out queries by several strategies, over a range of budgets, and what they are worth in truth.

Every strategy sees the same queries, costs and budgets. Costs are amortized, of tokens measured at batch size 1; they
are taken as known, so that strategies differ by what they know about utilities alone. Where a budget does not pay for
all queries, the cheapest plan answers as large a share of them as it does pay for, whatever they are: unlike in
`paper_repro.common.arena`, no strategy chooses whom to leave without an answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import robatch
from paper_repro.common.arena import guessed, random_mix
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


def planned(guess: Problem, budgets: FloatArray) -> Solved:
    """Solve a problem with guessed utilities at every budget."""
    chosen, answered, prices = [], np.ones(len(budgets)), np.zeros(len(budgets))
    for place, budget in enumerate(budgets):
        if budget < guess.cheapest_budget:
            chosen.append(guess.cheapest_assignment)
            answered[place] = budget / guess.cheapest_budget
        else:
            plan = robatch.solve(guess, float(budget), "exact", "amortized")
            assert plan.assignment is not None
            chosen.append(plan.assignment)
            prices[place] = plan.shadow_price or 0.0
    return Solved(np.array(chosen, dtype=np.int64), answered, prices)


def values(problem: Problem, predicted: FloatArray, means: FloatArray, budgets: FloatArray) -> dict[str, FloatArray]:
    """Give the true utility of each held-out query at each budget (G, n), by strategy.

    `predicted` are the proxy's utilities (n, S), and `means` those of each state over the training queries (S,).
    ``single-model`` sends every query to the model of the best training mean among those whose price at batch size 1
    the budget pays; the page PROXY.md says what the others are.
    """
    truth = np.asarray(problem.utilities(), dtype=np.float64)
    alike = np.broadcast_to(means, truth.shape)
    alone = np.flatnonzero(problem.state_batch_size == 1)

    def solved(utility: FloatArray, states: IntArray | None = None) -> Solved:
        return planned(guessed(problem, utility, states), budgets)

    batches = [solved(alike, np.flatnonzero(problem.state_model == k)) for k in range(problem.n_models)]
    return {
        "proxy": solved(predicted).values(truth),
        "state means": solved(alike).values(truth),
        "router-only": solved(predicted, alone).values(truth),
        "batch-only": max(batches, key=lambda one: float(area(one.values(alike)).mean())).values(truth),
        "single-model": _single(problem, means, budgets, alone).values(truth),
        "random": random_mix(problem, budgets)[0],
        "oracle": solved(truth).values(truth),
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
