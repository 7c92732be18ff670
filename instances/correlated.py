"""Pisinger's classes of multiple-choice knapsack instances, carried over to queries and states.

Source: D. Pisinger, "A minimal algorithm for the multiple-choice knapsack problem", European Journal of
Operational Research 83 (1995), 394-410. There each class (here: query) has items (here: states) with
weights w from 1 to R (here: costs) and profits p (here: utilities):

* uncorrelated: w and p random in [1, R];
* weakly correlated: p random in [w - 10, w + 10] (a tenth of the range where R = 100), at least 1;
* strongly correlated: w'_j random, p'_j = w'_j + 10; sums over j of both give w_j and p_j, so that
  no item of a class dominates another;
* subset-sum: w random, p = w.

Here costs are not free numbers: ``c[i, (k, b)] = price * (T / b + output[i, k])``. The random weights enter
as output tokens, whole numbers from 1 to `RANGE` for each query and model; models differ in nothing else.
All prices are 1 USD per million tokens, so that costs are micro-dollars a token. The shared prompt of
T = 960 tokens divides by 2, 4, ... 64: costs of those batch sizes are whole micro-dollars, with the many
equal sums that make these classes hard. Utilities are scaled by their largest possible value into [0, 1].
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from robatch.instances.arrays import RealArray
from robatch.instances.problem import Problem
from robatch.instances.problem_arrays import BLOCK_ROWS
from robatch.instances.sizes import Sizes

RANGE = 1000  # largest output, tokens: Pisinger's R
SHARED_TOKENS = 960
LARGEST = float(RANGE + SHARED_TOKENS)  # micro-dollars: no state costs more


def _tokens(sizes: Sizes, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    return rng.integers(1, RANGE, size=(sizes.queries, sizes.models), endpoint=True)


def _costs(sizes: Sizes, tokens: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the amortized cost in micro-dollars of queries in states: (N, S)."""
    costs = np.repeat(tokens.astype(np.float64), len(sizes.batch_sizes), axis=1)
    costs += SHARED_TOKENS / sizes.state_batch_sizes()
    return costs


def _problem(sizes: Sizes, tokens: npt.NDArray[np.int64], utilities: RealArray) -> Problem:
    pool = sizes.pool(shared_tokens=SHARED_TOKENS)
    return Problem(pool, np.zeros(sizes.queries), tokens, utility=utilities.astype(sizes.dtype, copy=False))


def uncorrelated(sizes: Sizes, rng: np.random.Generator) -> Problem:
    """Make a problem whose utilities are uniform in [0, 1] and have nothing to do with cost."""
    return _problem(sizes, _tokens(sizes, rng), rng.random((sizes.queries, sizes.states)))


def weakly_correlated(sizes: Sizes, rng: np.random.Generator) -> Problem:
    """Make a problem whose utilities are the costs, give or take up to a tenth of the cost range."""
    tokens = _tokens(sizes, rng)
    utilities = _costs(sizes, tokens) / LARGEST
    utilities += rng.uniform(-0.1, 0.1, size=utilities.shape)
    return _problem(sizes, tokens, np.clip(utilities, 0.0, 1.0, out=utilities))


def strongly_correlated(sizes: Sizes, rng: np.random.Generator) -> Problem:
    """Make a problem whose utilities are the costs plus a constant for every step up in cost.

    Within a query, the states in the order of their cost have the utilities
    ``(cost + step * rank) / largest``, rank from 1 to S. The step is a fifth of the mean difference
    between neighbours, as Pisinger's 10 is of his mean weight at R = 100. States of equal cost, which his
    positive weights rule out, stand in the order of the columns.
    """
    tokens = _tokens(sizes, rng)
    step = 0.2 * LARGEST / sizes.states
    utilities = np.empty((sizes.queries, sizes.states), dtype=sizes.dtype)
    ranks = np.arange(1.0, sizes.states + 1.0)
    for start in range(0, sizes.queries, BLOCK_ROWS):
        costs = _costs(sizes, tokens[start : start + BLOCK_ROWS])
        order = np.argsort(costs, axis=1, kind="stable")
        rank = np.empty_like(costs)
        np.put_along_axis(rank, order, np.broadcast_to(ranks, costs.shape), axis=1)
        utilities[start : start + BLOCK_ROWS] = (costs + step * rank) / (1.2 * LARGEST)
    return _problem(sizes, tokens, utilities)


def subset_sum(sizes: Sizes, rng: np.random.Generator) -> Problem:
    """Make a problem whose utilities are proportional to the costs: every dollar buys as much."""
    tokens = _tokens(sizes, rng)
    return _problem(sizes, tokens, _costs(sizes, tokens) / LARGEST)
