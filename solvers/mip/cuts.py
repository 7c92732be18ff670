"""What an assignment breaks in float64, what is cut off with it, and how it is mended."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from robatch.instances.arrays import FloatArray, IntArray
from robatch.instances.problem import Problem
from robatch.solvers.limits import OF_MONEY, broken, excess
from robatch.solvers.mip.formulation import MipModel

MAX_REPAIRS = 8  # moves of one query that a repair within a budget evaluates
MAX_REPAIRS_COUPLED = 64  # where constraints or conflicts decide which moves are of use
MAX_CHEAP_REPAIRS = 32  # in the program of least cost, where the cheapest of them counts


def violation(model: MipModel, assignment: IntArray) -> float:
    """Return by how much, relative to it, an assignment breaks the limit that it breaks most; 0 if it keeps all."""
    problem, over = model.problem, [0.0]
    if model.budget is not None:
        spent = problem.cost(assignment, model.cost)
        over.append(spent / model.budget - 1.0 if model.budget > 0.0 else math.inf if spent > 0.0 else 0.0)
    if model.floor is not None:
        over.append((model.floor - problem.total_utility(assignment)) / model.floor)
    return max(*over, excess(problem, assignment, model.cost))


def excluded(model: MipModel, assignment: IntArray) -> MipModel:
    """Return the model without an assignment that breaks limits, and without others like it."""
    problem, cost = model.problem, model.cost
    if model.budget is not None and problem.cost(assignment, cost) > model.budget:
        return model.excluding(assignment, "dearer" if cost == "amortized" else None)
    for entry, _ in broken(problem, assignment, cost):
        calls = entry.kind == "max_calls" or (cost == "realized" and entry.kind in OF_MONEY)
        if problem.conflicts is not None and calls:  # these calls may not be the fewest
            return model.excluding(assignment)
        model = model.covering(assignment, entry)
    return model


def excluded_of_least_cost(model: MipModel, assignment: IntArray) -> MipModel:
    """Return the program of least cost without an assignment that misses the target, and without those no better.

    One that reaches it and breaks a constraint goes alone.
    """
    missed = model.floor is not None and model.problem.total_utility(assignment) < model.floor
    return model.excluding(assignment, "worse" if missed else None)


def recounted(model: MipModel, values: npt.ArrayLike, assignment: IntArray) -> MipModel | None:
    """Return the model with the calls that conflicting queries of an assignment need, where it has too few of them.

    None if it has enough, or where their number is not proven to be the least.
    """
    problem, columns = model.problem, model.columns
    if problem.conflicts is None or len(columns.call_group) == 0:
        return None
    from robatch.instances.conflict_kernels import EXACT

    n_states = problem.n_states
    cell = problem.group_codes * n_states + assignment
    together = problem.conflicts[cell[problem.conflicts[:, 0]] == cell[problem.conflicts[:, 1]]]
    nodes = np.unique(together)
    needed = problem.call_counts(assignment)[columns.call_group, columns.call_state]
    planned = np.rint(np.asarray(values)[model.n_candidates :][: len(columns.call_group)])
    cells = columns.call_group * n_states + columns.call_state
    queries = np.bincount(cell, minlength=problem.n_groups * n_states)[cells]
    full = -(-queries // problem.state_batch_size[columns.call_state])
    before = model
    for call in np.flatnonzero((needed > planned) & (needed > full)):  # more than full calls: conflicts alone need them
        inside = nodes[cell[nodes] == cells[call]]
        if 0 < len(inside) <= EXACT:
            model = model.counting(int(call), inside, int(needed[call]))
    return None if model is before else model


def repaired(model: MipModel, assignment: IntArray) -> IntArray | None:
    """Return an assignment that changes the state of one query and keeps all limits, or None.

    Within a budget it is the best one, in the program of least cost the cheapest one of those that are tried.
    """
    return (
        _cheapest_repair(model, assignment) if model.budget is None else _best_repair(model, assignment, model.budget)
    )


def _best_repair(model: MipModel, assignment: IntArray, budget: float) -> IntArray | None:
    problem, cost, queries = model.problem, model.cost, np.arange(model.problem.n_queries)
    if cost == "amortized":
        costs = problem.amortized_costs()
        saved = costs[queries, assignment]
    else:
        cell = problem.group_codes * problem.n_states + assignment
        counts = np.bincount(cell, minlength=problem.n_groups * problem.n_states).reshape(problem.n_groups, -1)
        begins = counts % problem.state_batch_size == 0  # whether one more query begins a call
        ends = (counts[problem.group_codes, assignment] - 1) % problem.state_batch_size[assignment] == 0
        tokens = problem.own_costs()
        costs = tokens + begins[problem.group_codes] * problem.call_price
        saved = tokens[queries, assignment] + ends * problem.call_price[assignment]
    usable = problem.allowed()
    if problem.conflicts is None or cost == "amortized":  # conflicts change which calls begin and end
        usable &= problem.cost(assignment, cost) + (costs - saved[:, None]) <= budget
    usable[queries, assignment] = False
    gain = np.where(usable, _gains(problem, assignment), -np.inf)
    plain = problem.constraints is None and problem.conflicts is None
    tried = _moves(gain, assignment, MAX_REPAIRS if plain else MAX_REPAIRS_COUPLED)
    return next((moved for moved in tried if violation(model, moved) <= 0.0), None)


def _cheapest_repair(model: MipModel, assignment: IntArray) -> IntArray | None:
    problem, cost, queries = model.problem, model.cost, np.arange(model.problem.n_queries)
    # of realized cost the tokens alone: the calls are counted when a move is tried
    costs = problem.amortized_costs() if cost == "amortized" else problem.own_costs()
    usable = problem.allowed()
    if model.floor is not None:
        usable &= _gains(problem, assignment) >= model.floor - problem.total_utility(assignment)
    saving = np.where(usable, costs[queries, assignment][:, None] - costs, -np.inf)
    legal = [moved for moved in _moves(saving, assignment, MAX_CHEAP_REPAIRS) if violation(model, moved) <= 0.0]
    return min(reversed(legal), key=lambda moved: problem.cost(moved, cost), default=None)  # of equal ones the last


def _gains(problem: Problem, assignment: IntArray) -> FloatArray:
    """Return the utility that a query gains in each state: (N, S)."""
    utilities = problem.utilities().astype(np.float64)
    gains: FloatArray = utilities - utilities[np.arange(problem.n_queries), assignment][:, None]
    return gains


def _moves(merit: FloatArray, assignment: IntArray, most: int) -> Iterator[IntArray]:
    """Yield an assignment with one query moved, at most so many, by falling merit (N, S), -inf for no move."""
    for position in np.argsort(-merit, axis=None, kind="stable")[:most]:
        query, state = divmod(int(position), merit.shape[1])
        if merit[query, state] == -np.inf:
            return
        moved = assignment.copy()
        moved[query] = state
        yield moved
