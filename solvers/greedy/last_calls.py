"""The last, partly filled call of each state at a smaller batch size, where that is worth more."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from robatch.instances.arrays import IntArray
from robatch.instances.problem import Problem

ROUNDS = 16  # a call that moved may move on, and calls may merge; rounds end sooner when nothing moves
LEAST = 1e-12  # utility: a gain below this is rounding
KEPT = 1e-12  # part of the budget that is left alone, as sums of prices are rounded


def shrunk(problem: Problem, assignment: IntArray, budget: float | None, cost: str) -> IntArray:
    """Move the last calls of an assignment to other batch sizes of their models, where total utility rises.

    The n queries of a group and state (k, b) leave ``n mod b`` queries in a last call that pays for the whole shared
    prompt. A smaller batch size of model k that still holds them in one call costs the same and is usually worth
    more; a still smaller one takes several calls, and extra budget. Any of the n queries can be the last ones: those
    that gain most are. Moves that cost nothing are taken first, by gain, then those with a price, by gain per USD.

    Parameters
    ----------
    problem
        The problem.
    assignment
        An allowed state of each query: (N,).
    budget
        USD that the result may cost; None, or less than the assignment costs: no more than the assignment does.
    cost
        Cost model of the budget. Under ``"amortized"`` smaller batches cost more on paper, so that little moves; the
        bill is then never raised.

    Returns
    -------
    IntArray
        States (N,) of no less utility: the assignment itself if nothing moves, or if the problem has constraints,
        since moves could break them. Queries that conflict with any other stay where they are.
    """
    if problem.constraints is not None:
        return assignment
    start = problem.evaluate(assignment)
    spent = start.realized_cost if cost == "realized" else start.amortized_cost
    limit = spent if budget is None else max(budget, spent)
    room = limit * (1.0 - KEPT) - spent
    states = np.array(assignment, dtype=np.int64)
    moved = False
    for _ in range(ROUNDS):
        left = _round(problem, states, room, cost == "amortized")
        if left is None:
            break
        room, moved = left, True
    if not moved:
        return assignment
    end = problem.evaluate(states)
    bill = end.realized_cost if cost == "realized" else end.amortized_cost
    dearer = cost == "amortized" and end.realized_cost > start.realized_cost * (1.0 + KEPT)
    return assignment if bill > limit or end.utility < start.utility or dearer else states


def _round(problem: Problem, states: IntArray, room: float, amortized: bool) -> float | None:
    """Move each cell's last call at most once, in place; return the room that is left, None if nothing moved."""
    from robatch.instances.kernels import flat
    from robatch.solvers.greedy.last_call_kernels import Cells, choose, movers

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
        better = np.flatnonzero((target >= 0) & (fills > 0) & (found == fills) & (total > LEAST))
        cells.append(better)
        targets.append(target[better])
        gains.append(total[better])
    cells_, targets_, gains_ = np.concatenate(cells), np.concatenate(targets), np.concatenate(gains)
    if len(cells_) == 0:
        return None
    order = _order(problem, cells_, targets_, gains_, fills, queries, needed, amortized)
    chosen = np.full(len(queries), -1, dtype=np.int64)
    counts = Cells(fills, queries, needed)
    room = choose(cells_[order], targets_[order], counts, sizes, problem.call_price, amortized, room, chosen)
    if (chosen < 0).all():
        return None
    _, found, members = movers(states, groups, tied, fills, chosen, begins, arrays)
    moving = np.repeat(chosen >= 0, fills)
    states[members[moving]] = np.repeat(chosen, fills)[moving]
    return float(room)


def _order(
    problem: Problem,
    cells: IntArray,
    targets: IntArray,
    gains: npt.NDArray[np.float64],
    fills: IntArray,
    queries: IntArray,
    needed: IntArray,
    amortized: bool,
) -> IntArray:
    """Return the order in which moves are tried: free ones by gain, then by gain per USD; ties by cell and target."""
    sizes, own = problem.state_batch_size, cells % problem.n_states
    other, fill = cells - own + targets, fills[cells]

    def calls(cell: IntArray, state: IntArray, n: IntArray) -> IntArray:
        count: IntArray = np.maximum(-(-n // sizes[state]), needed[cell])
        return count

    more = calls(cells, own, queries[cells] - fill) - calls(cells, own, queries[cells])
    more += calls(other, targets, queries[other] + fill) - calls(other, targets, queries[other])
    price = more * problem.call_price[own]
    if amortized:
        price = fill * (1.0 / sizes[targets] - 1.0 / sizes[own]) * problem.call_price[own]
    worth = np.where(price > 0.0, gains / np.where(price > 0.0, price, 1.0), gains)
    found: IntArray = np.lexsort((targets, cells, -worth, price > 0.0))
    return found


def _conflicts(problem: Problem, states: IntArray, queries: IntArray) -> tuple[npt.NDArray[np.bool_], IntArray]:
    """Return whether each query conflicts with any (empty: none does), and the calls that cells need for conflicts."""
    needed = np.zeros(len(queries), dtype=np.int64)
    if problem.conflicts is None:
        return np.empty(0, dtype=np.bool_), needed
    from robatch.instances.conflicts import conflict_calls

    tied = np.zeros(problem.n_queries, dtype=np.bool_)
    tied[problem.conflicts] = True
    codes = None if problem.groups is None else problem.group_codes
    counts = queries.reshape(problem.n_groups, problem.n_states)
    found = conflict_calls(problem.conflicts, states, codes, problem.state_batch_size, counts)
    if found is not None:
        own = np.maximum.reduceat(found.call, found.begins[:-1]) + 1  # without the queries that have no conflict
        needed[found.groups * problem.n_states + found.states] = own
    return tied, needed
