"""The over-budget rule of the mixed-integer backends: what a tolerance let through is not returned.

It holds for constraints too. And where queries conflict, the program counts fewer calls than some plans need: the
calls that such a plan needs are then added to the program.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from robatch.instances.arrays import BoolArray, FloatArray, IntArray
from robatch.instances.problem import Problem
from robatch.solvers.bounds.shared import Bounds
from robatch.solvers.greedy.amortized import run as greedy
from robatch.solvers.limits import OF_MONEY, broken, excess, legal
from robatch.solvers.mip.formulation import MipModel, build
from robatch.solvers.plan.incumbent import Incumbent
from robatch.solvers.plan.plan import OPTIMAL_GAP, Cost, Limit
from robatch.solvers.registry import Answer, Request

PROOF = 1e-10  # least relative gap at which solvers stop: below, their own tolerances decide
ENOUGH = 5e-10  # relative gap at which a repaired plan is not improved any more
EXCLUSIONS = 6  # rounds that exclude what exceeded a limit, before soft rows are tightened
EXCLUSIONS_COUPLED = 50  # where constraints couple queries: more limits have more plans at their edges
TIGHTENINGS = 6
ROUNDS = EXCLUSIONS + TIGHTENINGS
RECOUNTS = 300  # further rounds that add the calls of conflicting queries
TRIED = 8  # moves of one query that a repair evaluates
TRIED_COUPLED = 64  # where constraints or conflicts decide which moves are of use


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


def keep_budget(request: Request, run: Run, kept: BoolArray | None = None) -> Answer:
    """Build the model, run a solver on it, and again until its assignment keeps all limits in float64.

    The first rounds exclude an assignment that exceeded the budget or broke a constraint, or add the calls that its
    conflicting queries need, which loses no plan, so their bounds hold and the best plan is still found. Then soft
    rows are tightened a little, which may lose plans, so earlier bounds stand. Before each further round one query
    is moved to make the assignment legal; if that is proven good enough, no further round is run.

    Parameters
    ----------
    request
        What is asked; its time limit covers building the model and all rounds. Without an initial plan that
        keeps the budget, the greedy scheduler's is the start.
    run
        Runs a solver once on a model, for a request whose time limit is what is left and whose gap is at
        least the one that solvers can prove, from the values of a plan or None.
    kept
        The pairs that plans may hold (N, S), those of the initial plan among them. None for all of them, but those
        that are fixed because of what they lose against a bound of realized cost.
    """
    begin = time.perf_counter()
    request = Bounds.carried(request)
    problem, budget, cost = request.problem, request.budget, request.cost
    best = request.initial
    if best is None or not legal(problem, best, budget, cost):
        best = greedy(request).assignment  # milliseconds, and no backend finds a plan sooner
        best = best if best is not None and legal(problem, best, budget, cost) else None
    if kept is None and cost == "realized" and best is not None:
        kept = _fixed(request, best)
    model = build(problem, budget, cost, kept=kept)
    bound, tightened, factor = np.inf, False, 1.0
    outcome = Outcome()
    rounds = recounts = 0
    exclusions = EXCLUSIONS if problem.constraints is None else EXCLUSIONS_COUPLED
    while rounds < exclusions + TIGHTENINGS and recounts < RECOUNTS:
        left = None
        if request.time_limit is not None:
            left = request.time_limit - (time.perf_counter() - begin)
            if left <= 0:
                outcome = Outcome(limit="time")
                break
        asked = replace(request, time_limit=left, gap=stopping_gap(request.gap))
        outcome = run(model, asked, None if best is None else model.to_values(best))
        if not tightened:
            if outcome.infeasible and rounds == recounts == 0 and best is not None:
                return Answer(best, limit="other", message="the solver called a program infeasible that has a plan")
            if outcome.infeasible:
                return Answer(infeasible=best is None, assignment=best, bound=_utility(problem, best))
            if outcome.bound is not None and np.isfinite(outcome.bound):
                bound = min(bound, outcome.bound / model.objective_scale)
        if outcome.values is None:
            break
        found = model.to_assignment(outcome.values)
        over = problem.cost(found, cost) > budget
        illegal = over or excess(problem, found, cost) > 0.0
        best = _better(problem, best, repair(problem, found, budget, cost) if illegal else found)
        if not illegal or outcome.limit is not None or _good(problem, best, bound, request.gap):
            break
        counted = recounted(model, outcome.values, found)
        if counted is not None:
            model, recounts = counted, recounts + 1
            continue
        if rounds < exclusions:
            model = excluded(model, found, over)
        else:
            worst = max(problem.cost(found, cost) / budget - 1.0, excess(problem, found, cost))
            tightened, factor = True, factor - 2.0 * max(worst, 1e-10)
            model = model.tightened(factor)
        rounds += 1
    return Answer(best, _bound(bound), limit=outcome.limit, message=outcome.message)


def excluded(model: MipModel, assignment: IntArray, over: bool) -> MipModel:
    """Return the model without an assignment that is `over` budget or breaks constraints, and others like it."""
    problem, cost = model.problem, model.cost
    if over:
        return model.excluding(assignment, dearer=cost == "amortized")
    for entry, _ in broken(problem, assignment, cost):
        calls = entry.kind == "max_calls" or (cost == "realized" and entry.kind in OF_MONEY)
        if problem.conflicts is not None and calls:  # these calls may not be the fewest
            return model.excluding(assignment)
        model = model.covering(assignment, entry)
    return model


def stopping_gap(gap: float) -> float:
    """Return the relative gap at which a solver may stop: where optima are asked for, no more than it can prove."""
    return gap if gap > OPTIMAL_GAP else max(gap / 2, PROOF)


def _fixed(request: Request, best: IntArray) -> BoolArray | None:
    """Return the pairs that a plan better than one that is known may hold; None if that is not known."""
    bounds = Bounds.of(request)
    price = bounds.realized(request.budget).price
    if price == np.inf:
        return None
    reached = request.problem.total_utility(best)
    return bounds.fixing(request.budget, price, reached).kept(Incumbent(best, reached))


def recounted(model: MipModel, values: npt.ArrayLike, assignment: IntArray) -> MipModel | None:
    """Return the model with the calls that conflicting queries of an assignment need, where it has too few of them.

    None if it has enough, or where their number is not proven to be the least.
    """
    problem, columns = model.problem, model.columns
    if problem.conflicts is None or len(columns.call_group) == 0:
        return None
    from robatch.instances.conflict_kernels import EXACT

    groups, n_states = problem.group_codes, problem.n_states
    cell = groups * n_states + assignment
    together = problem.conflicts[cell[problem.conflicts[:, 0]] == cell[problem.conflicts[:, 1]]]
    nodes = np.unique(together)
    needed = problem.call_counts(assignment)[columns.call_group, columns.call_state]
    have = np.rint(np.asarray(values)[model.n_pairs :])
    cells = columns.call_group * n_states + columns.call_state
    queries = np.bincount(cell, minlength=problem.n_groups * n_states)[cells]
    full = -(-queries // problem.state_batch_size[columns.call_state])
    before = model
    for call in np.flatnonzero((needed > have) & (needed > full)):  # more than full calls: conflicts alone need them
        own = nodes[cell[nodes] == cells[call]]
        if 0 < len(own) <= EXACT:
            model = model.counting(int(call), own, int(needed[call]))
    return None if model is before else model


def repair(problem: Problem, assignment: IntArray, budget: float, cost: Cost) -> IntArray | None:
    """Return the best assignment that changes the state of one query and is legal, or None."""
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
    gain = utilities - utilities[queries, assignment][:, None]
    usable = problem.allowed()
    if problem.conflicts is None or cost == "amortized":  # conflicts change which calls begin and end
        usable &= problem.cost(assignment, cost) + (costs - saved[:, None]) <= budget
    usable[queries, assignment] = False
    gain[~usable] = -np.inf
    plain = problem.constraints is None and problem.conflicts is None
    for position in np.argsort(-gain, axis=None, kind="stable")[: TRIED if plain else TRIED_COUPLED]:
        query, state = divmod(int(position), width)
        if not usable[query, state]:
            break
        moved = assignment.copy()
        moved[query] = state
        if legal(problem, moved, budget, cost):
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
