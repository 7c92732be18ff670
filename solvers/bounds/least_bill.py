"""An assignment of low realized cost: what is surely enough, where little money is left."""

from __future__ import annotations

import numpy as np

from robatch.instances.arrays import FloatArray, IntArray
from robatch.instances.problem import Problem


def cheapest_realized_assignment(problem: Problem) -> IntArray:
    """Return a plan of low realized cost, chosen group by group: (N,).

    Each group takes the cheapest, as billed, of: all its queries in one state that allows them all;
    every query in its state of least amortized cost; every query in its state of least amortized
    cost if no call could hold more queries than the group has.
    """
    groups, sizes = problem.group_codes, np.bincount(problem.group_codes)
    mixed = [problem.cheapest_assignment]
    if (sizes < problem.state_batch_size.max()).any():
        mixed.append(_cheapest_if_filled(problem, sizes))
    single = _single_states(problem, sizes)
    candidates = np.stack([*mixed, np.where(single[groups] >= 0, single[groups], mixed[0])])
    billed = np.stack([_billed(problem, states) for states in candidates])
    chosen: IntArray = candidates[billed.argmin(axis=0)[groups], np.arange(problem.n_queries)]
    return chosen


def ends_as_billed(problem: Problem) -> tuple[float, float]:
    """Return the least USD that a plan is known to bill, and what the plan of greatest utility bills."""
    best = problem.realized_cost(problem.best_assignment)
    return min(problem.realized_cost(cheapest_realized_assignment(problem)), best), best


def _cheapest_if_filled(problem: Problem, sizes: IntArray) -> IntArray:
    """Return each query's cheapest state when a call is shared by at most its group: (N,)."""
    states = np.empty(problem.n_queries, dtype=np.int64)
    for rows in problem.blocks():
        size = np.minimum(problem.state_batch_size, sizes[problem.group_codes[rows], None])
        costs = problem.own_costs(rows) + problem.call_price / size
        if not problem.all_allowed:
            costs = np.where(problem.allowed(rows), costs, np.inf)
        states[rows] = costs.argmin(axis=1)
    return states


def _single_states(problem: Problem, sizes: IntArray) -> IntArray:
    """Return each group's cheapest state for all of its queries, -1 if none allows them all: (groups,)."""
    own = np.zeros((len(sizes), problem.n_states))
    most = np.zeros((len(sizes), problem.n_models))
    for rows in problem.blocks():
        tokens = problem.input_tokens[rows].astype(np.float64) + problem.output_tokens[rows]
        np.maximum.at(most, problem.group_codes[rows], tokens)
        np.add.at(own, problem.group_codes[rows], problem.own_costs(rows))
    calls = -(-sizes[:, None] // problem.state_batch_size)
    costs = own + calls * problem.call_price
    costs = np.where(most[:, problem.state_model] <= problem.token_limit, costs, np.inf)
    if problem.forbidden is not None:
        query, state = np.nonzero(problem.forbidden)
        costs[problem.group_codes[query], state] = np.inf
    return np.where(np.isfinite(costs).any(axis=1), costs.argmin(axis=1), -1)


def _billed(problem: Problem, states: IntArray) -> FloatArray:
    """Return what each group's queries bill: (groups,)."""
    own = np.empty(problem.n_queries)
    for rows in problem.blocks():
        chosen = states[rows]
        own[rows] = problem.own_costs(rows)[np.arange(len(chosen)), chosen]
    calls = problem.call_counts(states) * problem.call_price
    billed: FloatArray = np.bincount(problem.group_codes, own) + calls.sum(axis=1)
    return billed
