"""The over-budget rule of the mixed-integer backends: what a tolerance let through is not returned."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from robatch.instances.problem import IntArray, Problem
from robatch.solvers.greedy import run as greedy
from robatch.solvers.model import MipModel, build
from robatch.solvers.plan import OPTIMAL_GAP, Cost, Limit
from robatch.solvers.registry import Answer, Request

FloatArray = npt.NDArray[np.float64]

PROOF = 1e-10  # relative gap at which solvers stop: less than what makes a plan optimal, 1e-9
ENOUGH = 5e-10  # relative gap at which a repaired plan is not improved any more
EXCLUSIONS = 6  # rounds that exclude what exceeded the budget, before the budget row is tightened
ROUNDS = 12


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run of a solver ended with.

    Attributes
    ----------
    values
        A value for each column of the model, or None.
    bound
        Proven upper bound on the model's objective, or None; infinite counts as None.
    infeasible
        Whether the model is proven infeasible.
    limit, message
        As in `Answer`.
    """

    values: npt.ArrayLike | None = None
    bound: float | None = None
    infeasible: bool = False
    limit: Limit | None = None
    message: str | None = None


Run = Callable[[MipModel, Request, FloatArray | None], Outcome]


def keep_budget(request: Request, run: Run) -> Answer:
    """Build the model, run a solver on it, and again until its assignment keeps the budget in float64.

    The first rounds exclude an assignment that exceeded the budget, which loses no plan, so their bounds
    hold and the best plan is still found. Then the budget row is tightened a little, which may lose plans,
    so earlier bounds stand. Before each further round one query is moved to bring the assignment within the
    budget; if that is proven good enough, no further round is run.

    Parameters
    ----------
    request
        What is asked; its time limit covers building the model and all rounds. Without an initial plan that
        keeps the budget, the greedy scheduler's is the start.
    run
        Runs a solver once on a model, for a request whose time limit is what is left and whose gap is at
        least the one that solvers can prove, from the values of a plan or None.
    """
    begin = time.perf_counter()
    problem, budget, cost = request.problem, request.budget, request.cost
    model = build(problem, budget, cost)
    best = request.initial
    if best is None or problem.cost(best, cost) > budget:
        best = greedy(request).assignment  # milliseconds, and no backend finds a plan sooner
    bound, tightened, factor = np.inf, False, 1.0
    outcome = Outcome()
    for round_ in range(ROUNDS):
        left = None
        if request.time_limit is not None:
            left = request.time_limit - (time.perf_counter() - begin)
            if left <= 0:
                outcome = Outcome(limit="time")
                break
        asked = replace(request, time_limit=left, gap=request.gap if request.gap > OPTIMAL_GAP else PROOF)
        outcome = run(model, asked, None if best is None else model.to_values(best))
        if not tightened:
            if outcome.infeasible and round_ == 0 and best is not None:
                return Answer(best, limit="other", message="the solver called a program infeasible that has a plan")
            if outcome.infeasible:
                return Answer(infeasible=best is None, assignment=best, bound=_utility(problem, best))
            if outcome.bound is not None and np.isfinite(outcome.bound):
                bound = min(bound, outcome.bound / model.objective_scale)
        if outcome.values is None:
            break
        found = model.to_assignment(outcome.values)
        excess = problem.cost(found, cost) / budget - 1.0
        over = problem.cost(found, cost) > budget
        best = _better(problem, best, repair(problem, found, budget, cost) if over else found)
        if not over or outcome.limit is not None or _good(problem, best, bound, request.gap):
            break
        if round_ < EXCLUSIONS:
            model = model.excluding(found)
        else:
            tightened, factor = True, factor - 2.0 * max(excess, 1e-10)
            model = model.with_budget(factor)
    return Answer(best, _bound(bound), limit=outcome.limit, message=outcome.message)


def repair(problem: Problem, assignment: IntArray, budget: float, cost: Cost) -> IntArray | None:
    """Return the best assignment within the budget that changes the state of one query, or None."""
    queries, width = np.arange(problem.n_queries), problem.n_states
    utilities = problem.utilities().astype(np.float64)
    if cost == "amortized":
        costs = problem.amortized_costs()
        saved = costs[queries, assignment]
    else:
        cell = problem.group_codes * width + assignment
        held = np.bincount(cell, minlength=problem.n_groups * width).reshape(-1, width)
        begins = held % problem.state_batch_size == 0  # whether one more query begins a call
        ends = (held[problem.group_codes, assignment] - 1) % problem.state_batch_size[assignment] == 0
        own = problem.query_costs()[:, problem.state_model]
        costs = own + begins[problem.group_codes] * problem.call_price
        saved = own[queries, assignment] + ends * problem.call_price[assignment]
    spent = problem.cost(assignment, cost)
    gain = utilities - utilities[queries, assignment][:, None]
    usable = problem.allowed() & (spent + (costs - saved[:, None]) <= budget)
    usable[queries, assignment] = False
    gain[~usable] = -np.inf
    for position in np.argsort(-gain, axis=None, kind="stable")[:8]:
        query, state = divmod(int(position), width)
        if not usable[query, state]:
            break
        moved = assignment.copy()
        moved[query] = state
        if problem.cost(moved, cost) <= budget:
            return moved
    return None


def _better(problem: Problem, one: IntArray | None, other: IntArray | None) -> IntArray | None:
    if one is None or other is None:
        return one if other is None else other
    return other if problem.total_utility(other) >= problem.total_utility(one) else one


def _good(problem: Problem, best: IntArray | None, bound: float, gap: float) -> bool:
    return best is not None and bound - problem.total_utility(best) <= max(gap, ENOUGH) * abs(bound)


def _bound(bound: float) -> float | None:
    return float(bound) if np.isfinite(bound) else None


def _utility(problem: Problem, best: IntArray | None) -> float | None:
    return None if best is None else problem.total_utility(best)
