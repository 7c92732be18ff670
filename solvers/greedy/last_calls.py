"""The last, partly filled call of each state at a smaller batch size, where that is worth more."""

from __future__ import annotations

import numpy as np

from robatch.instances.arrays import BoolArray, IntArray
from robatch.instances.conflicts import conflict_calls
from robatch.instances.kernels import flat
from robatch.instances.problem import Problem
from robatch.instances.problem_costs import Evaluation
from robatch.solvers.greedy.last_call_kernels import Cells, choose, movers

ROUNDS = 16  # a call that moved may move on, and calls may merge; rounds end sooner when nothing moves
LEAST_GAIN = 1e-12  # utility: less is rounding
LEFT_ALONE = 1e-12  # part of the budget, as sums of prices are rounded


def shrunk(problem: Problem, assignment: IntArray, start: Evaluation, budget: float) -> tuple[IntArray, Evaluation]:
    """Move the last calls of an assignment to other batch sizes of their models, where total utility rises.

    The n queries of a group and state (k, b) leave ``n mod b`` queries in a last call that pays for the whole shared
    prompt. A smaller batch size of model k that still holds them in one call costs the same and is usually worth
    more; a still smaller one takes several calls, and extra budget. Any of the n queries can be the last ones: those
    that gain most are. Moves that cost nothing are taken first, by utility, then those with a price, by utility per
    USD.

    Parameters
    ----------
    problem
        The problem.
    assignment, start
        An allowed state of each query (N,), and what it is worth and costs.
    budget
        USD that the result may bill; less than the assignment bills: no more than the assignment does.

    Returns
    -------
    tuple
        States (N,) of no less utility, and what they are worth and cost: the assignment itself if nothing moves, or if
        the problem has constraints, since moves could break them. Queries that conflict with any other stay where they
        are.
    """
    if problem.constraints is not None:
        return assignment, start
    limit = max(budget, start.realized_cost)
    slack = limit * (1.0 - LEFT_ALONE) - start.realized_cost
    states = np.array(assignment, dtype=np.int64)
    moved = False
    for _ in range(ROUNDS):
        left = _round(problem, states, slack)
        if left is None:
            break
        slack, moved = left, True
    if not moved:
        return assignment, start
    end = problem.evaluate(states)
    return (states, end) if end.realized_cost <= limit and end.utility >= start.utility else (assignment, start)


def _round(problem: Problem, states: IntArray, slack: float) -> float | None:
    """Move each group and state's last call at most once, in place; return the USD left, None if nothing moved."""
    width, sizes = problem.n_states, problem.state_batch_size
    groups = np.empty(0, dtype=np.int64) if problem.groups is None else problem.group_codes
    cell = states if problem.groups is None else groups * width + states
    queries = np.bincount(cell, minlength=problem.n_groups * width).astype(np.int64)
    fills = queries % np.tile(sizes, problem.n_groups)
    tied, needed = _conflicts(problem, states, queries)
    begins = np.concatenate([[0], np.cumsum(fills)])
    arrays = flat(problem)
    cells, targets, gains = [], [], []
    first = np.searchsorted(problem.state_model, np.arange(problem.n_models))
    count = np.bincount(problem.state_model)
    for number in range(int(count.max())):
        to = first + number
        to[number >= count] = -1
        to = to[problem.state_model]
        to[to == np.arange(width)] = -1
        target = np.tile(to, problem.n_groups)
        total, found, _ = movers(states, groups, tied, fills, target, begins, arrays)
        better = np.flatnonzero((target >= 0) & (fills > 0) & (found == fills) & (total > LEAST_GAIN))
        cells.append(better)
        targets.append(target[better])
        gains.append(total[better])
    cells_, targets_, gains_ = np.concatenate(cells), np.concatenate(targets), np.concatenate(gains)
    if len(cells_) == 0:
        return None
    price = _extra_calls(problem, cells_, targets_, fills, queries, needed) * problem.call_price[cells_ % width]
    per_usd = np.where(price > 0.0, gains_ / np.where(price > 0.0, price, 1.0), gains_)
    order = np.lexsort((targets_, cells_, -per_usd, price > 0.0))  # free ones by utility, then by utility per USD
    chosen = np.full(len(queries), -1, dtype=np.int64)
    counts = Cells(fills, queries, needed)
    slack = choose(cells_[order], targets_[order], counts, sizes, problem.call_price, slack, chosen)
    if (chosen < 0).all():
        return None
    _, found, members = movers(states, groups, tied, fills, chosen, begins, arrays)
    moving = np.repeat(chosen >= 0, fills)
    states[members[moving]] = np.repeat(chosen, fills)[moving]
    return float(slack)


def _extra_calls(
    problem: Problem, cells: IntArray, targets: IntArray, fills: IntArray, queries: IntArray, needed: IntArray
) -> IntArray:
    """Return how many calls more each move of a last call takes."""
    sizes, source, fill = problem.state_batch_size, cells % problem.n_states, fills[cells]
    other = cells - source + targets

    def calls(cell: IntArray, state: IntArray, n: IntArray) -> IntArray:
        count: IntArray = np.maximum(-(-n // sizes[state]), needed[cell])
        return count

    more = calls(cells, source, queries[cells] - fill) - calls(cells, source, queries[cells])
    more += calls(other, targets, queries[other] + fill) - calls(other, targets, queries[other])
    return more


def _conflicts(problem: Problem, states: IntArray, queries: IntArray) -> tuple[BoolArray, IntArray]:
    """Return whether each query conflicts with any (empty: none does), and the calls that cells need for conflicts."""
    needed = np.zeros(len(queries), dtype=np.int64)
    if problem.conflicts is None:
        return np.empty(0, dtype=np.bool_), needed
    tied = np.zeros(problem.n_queries, dtype=np.bool_)
    tied[problem.conflicts] = True
    codes = None if problem.groups is None else problem.group_codes
    counts = queries.reshape(problem.n_groups, problem.n_states)
    found = conflict_calls(problem.conflicts, states, codes, problem.state_batch_size, counts)
    if found is not None:
        own = np.maximum.reduceat(found.call, found.begins[:-1]) + 1  # without the queries that have no conflict
        needed[found.groups * problem.n_states + found.states] = own
    return tied, needed
