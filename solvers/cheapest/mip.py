"""The least cost of a target utility as a mixed-integer program, and the rule for plans just below the target."""

from __future__ import annotations

import importlib
import time
from dataclasses import replace

import numpy as np

from robatch.instances.arrays import BoolArray, IntArray
from robatch.instances.problem import Problem
from robatch.solvers.limits import excess
from robatch.solvers.mip.cut_loop import ENOUGH, EXCLUSIONS, PROOF, RECOUNTS, ROUNDS, Outcome, Run, recounted
from robatch.solvers.mip.formulation import MipModel, build
from robatch.solvers.plan.plan import OPTIMAL_GAP, Cost, Limit
from robatch.solvers.registry import Request, get

RUNS = {
    "highs": "mip.highs:run_once",
    "cpsat": "mip.cpsat:run_once",
    "scip": "mip.scip:run_once",
    "cbc": "mip.pulp_solvers:run_cbc_once",
    "pulp-highs": "mip.pulp_solvers:run_highs_once",
}
TINY = 1e-300
TRIED = 32  # moves of one query that are evaluated
WRONG = "the solver called a program infeasible that has a plan"
SAFE = 1e-12  # relative: what a solver's sums of cost may err at most

Found = tuple[IntArray | None, float | None, bool, Limit | None, str | None]


def run(
    problem: Problem,
    target: float,
    cost: Cost,
    solver: str,
    request: Request,
    start: IntArray | None = None,
    kept: BoolArray | None = None,
) -> Found:
    """Solve the program of least cost with a floor of utility.

    As with a budget, see `keep_budget`: the first rounds exclude an assignment that missed the target or broke a
    constraint in float64, or add the calls that its conflicting queries need, which loses no plan, so their bounds
    hold. Then soft rows are tightened a little, which may lose plans, so earlier bounds stand. Before each further
    round one query is moved to make the assignment legal; if that is proven good enough, no further round is run.

    Parameters
    ----------
    problem, target, cost
        The problem, the utility to reach, and the cost model.
    solver
        One of `RUNS`.
    request
        Time limit, gap, seed and threads.
    start
        A plan that reaches the target, or None.
    kept
        The pairs that the program may choose (N, S), see `worth_keeping`; None for all that are allowed.

    Returns
    -------
    tuple
        The plan (N,) or None, a lower bound on its USD or None, whether it is proven that no plan reaches the
        target, what stopped the solver, and a message.
    """
    get(solver).load()  # says which extra is missing
    module, name = RUNS[solver].split(":")
    run_once: Run = getattr(importlib.import_module(f"robatch.solvers.{module}"), name)
    begin = time.perf_counter()
    model = build(problem, None, cost, kept=kept, floor=target)
    best, bound, tightened, factor = start, -np.inf, False, 1.0
    outcome = Outcome()
    rounds = recounts = 0
    while rounds < ROUNDS and recounts < RECOUNTS:
        left = None
        if request.time_limit is not None:
            left = request.time_limit - (time.perf_counter() - begin)
            if left <= 0:
                outcome = Outcome(limit="time")
                break
        asked = replace(request, time_limit=left, gap=request.gap if request.gap > OPTIMAL_GAP else PROOF)
        outcome = run_once(model, asked, None if best is None else model.to_values(best))
        if outcome.infeasible:
            if best is None:
                return None, None, not tightened, "other" if tightened else None, None
            if not tightened:
                outcome = replace(outcome, limit="other", message=WRONG)
            break
        if not tightened and outcome.bound is not None and np.isfinite(outcome.bound):
            lower = -outcome.bound / model.objective_scale
            bound = max(bound, lower - SAFE * abs(lower))
        if outcome.values is None:
            break
        found = model.to_assignment(outcome.values)
        short = max((target - problem.total_utility(found)) / max(target, TINY), excess(problem, found, cost))
        best = _cheaper(problem, best, found if short <= 0 else _raise(problem, found, target, cost), cost)
        if outcome.limit is not None or _good(problem, best, bound, request.gap, cost):
            break
        counted = recounted(model, outcome.values, found)
        if counted is not None:
            model, recounts = counted, recounts + 1
            continue
        if short <= 0:
            break
        if rounds < EXCLUSIONS:
            missed = problem.total_utility(found) < target
            model = excluding(model, found) if missed else model.excluding(found)
        else:
            tightened, factor = True, factor - 2.0 * max(short, PROOF)
            model = model.tightened(factor)
        rounds += 1
    return best, bound if np.isfinite(bound) else None, False, outcome.limit, outcome.message


def worth_keeping(problem: Problem, price: float, room: float) -> BoolArray | None:
    """Return the pairs that a plan within some USD of the linear bound can hold: (N, S).

    At the shadow price, a pair that loses utility against the query's best one takes a plan that much further above
    the bound, under either cost model.
    """
    if not 0.0 < price < np.inf or not np.isfinite(room):
        return None
    spent = price * problem.amortized_costs()
    worth = np.where(problem.allowed(), problem.utilities().astype(np.float64) - spent, -np.inf)
    most = worth.max(axis=1, keepdims=True)
    near: BoolArray = most - worth <= price * room * (1 + 1e-9) + 1e-12 * (1.0 + np.abs(most) + spent)
    return near


def excluding(model: MipModel, assignment: IntArray) -> MipModel:
    """Return the program without an assignment that misses the target, and all that are no better in any query."""
    utilities = model.problem.utilities().astype(np.float64)
    reached = utilities[np.arange(len(assignment)), assignment]
    entries = np.flatnonzero(utilities[model.query, model.state] <= reached[model.query]).astype(np.int32)
    return replace(
        model,
        starts=np.append(model.starts, np.int32(model.starts[-1] + len(entries))),
        index=np.concatenate([model.index, entries]),
        value=np.concatenate([model.value, np.ones(len(entries))]),
        row_lower=np.append(model.row_lower, -np.inf),
        row_upper=np.append(model.row_upper, model.problem.n_queries - 1.0),
    )


def _raise(problem: Problem, assignment: IntArray, target: float, cost: Cost) -> IntArray | None:
    """Return the cheapest assignment of the target that changes the state of one query, or None."""
    rows, short = np.arange(problem.n_queries), target - problem.total_utility(assignment)
    utilities = problem.utilities().astype(np.float64)
    gain = utilities - utilities[rows, assignment][:, None]
    own = problem.query_costs()[:, problem.state_model]  # the calls are counted when a move is tried
    price = problem.call_price / problem.state_batch_size if cost == "amortized" else 0.0
    costs = own + price
    more = np.where(problem.allowed() & (gain >= short), costs - costs[rows, assignment][:, None], np.inf)
    best: IntArray | None = None
    for position in np.argsort(more, axis=None, kind="stable")[:TRIED]:
        query, state = divmod(int(position), problem.n_states)
        if not np.isfinite(more[query, state]):
            break
        moved = assignment.copy()
        moved[query] = state
        if problem.total_utility(moved) >= target and excess(problem, moved, cost) <= 0.0:
            best = _cheaper(problem, best, moved, cost)
    return best


def _cheaper(problem: Problem, one: IntArray | None, other: IntArray | None, cost: Cost) -> IntArray | None:
    if one is None or other is None:
        return one if other is None else other
    return other if problem.cost(other, cost) <= problem.cost(one, cost) else one


def _good(problem: Problem, best: IntArray | None, bound: float, gap: float, cost: Cost) -> bool:
    if best is None:
        return False
    spent = problem.cost(best, cost)
    return spent - bound <= max(gap, ENOUGH) * spent
