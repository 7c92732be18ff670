"""The loop of solve, check and cut: what a solver's tolerances let through is cut off, and the program solved again.

A plan counts only if it keeps the budget, the least utility and the constraints in float64. One that does not is
excluded, which loses no plan that does, so that bounds hold. And where queries conflict, the program counts fewer calls
than some plans need: the calls that such a plan needs are then added to the program.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from robatch.instances.arrays import BoolArray, FloatArray, IntArray
from robatch.solvers.bounds.shared import Bounds
from robatch.solvers.greedy.amortized import run as greedy
from robatch.solvers.limits import legal
from robatch.solvers.mip.cuts import excluded, excluded_of_least_cost, recounted, repaired, violation
from robatch.solvers.mip.formulation import MipModel, build
from robatch.solvers.plan.incumbent import Incumbent
from robatch.solvers.plan.plan import OPTIMAL_GAP, Limit
from robatch.solvers.registry import Answer, Request
from robatch.solvers.search_limits import deadline_in

PROOF = 1e-10  # least relative gap at which solvers stop: below, their own tolerances decide
REPAIRED_GAP = 5e-10  # relative gap at which a repaired plan is not improved any more
MAX_EXCLUSIONS = 6  # rounds that exclude what exceeded a limit, before soft rows are tightened
MAX_EXCLUSIONS_COUPLED = 50  # where constraints couple queries: more limits have more plans at their edges
MAX_TIGHTENINGS = 6
MAX_RECOUNTS = 300  # further rounds that add the calls of conflicting queries
FALSELY_INFEASIBLE = "the solver called a program infeasible that has a plan"


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


RunOnce = Callable[[MipModel, Request, FloatArray | None], Outcome]
"""Runs a solver once on a model, within the time limit and gap of a request, from the values of a plan or None."""


@dataclass(frozen=True, slots=True)
class Backend:
    """A mixed-integer solver as the registry calls it; `run_once` is all that each has of its own."""

    run_once: RunOnce

    def __call__(self, request: Request) -> Answer:
        """Solve for the greatest utility within the budget."""
        return keep_budget(request, self.run_once)


@dataclass(frozen=True, slots=True)
class Found:
    """What the loop ended with.

    Attributes
    ----------
    incumbent
        The best plan that keeps all limits, with bound and limit. Its `utility` is what the program maximizes, such as
        minus USD where it is the program of least cost.
    infeasible
        Whether it is proven that there is no such plan.
    message
        As in `Answer`.
    """

    incumbent: Incumbent
    infeasible: bool = False
    message: str | None = None


def keep_budget(request: Request, run_once: RunOnce, kept: BoolArray | None = None) -> Answer:
    """Build the program of greatest utility within a budget, and solve it until its plan keeps all limits in float64.

    Parameters
    ----------
    request
        What is asked; its time limit covers building the model and all rounds. Without an initial plan that
        keeps the budget, the greedy scheduler's is the start.
    run_once
        The solver.
    kept
        The candidates that plans may hold (N, S), those of the initial plan among them. None for all of them, but those
        that are fixed because of their reduced cost against a bound of realized cost.
    """
    deadline = deadline_in(request.time_limit)
    request = Bounds.carried(request)
    problem, budget, cost = request.problem, request.budget, request.cost
    best = request.initial
    if best is None or not legal(problem, best, budget, cost):
        best = greedy(request).assignment  # milliseconds, and no backend finds a plan sooner
        best = best if best is not None and legal(problem, best, budget, cost) else None
    incumbent = Incumbent()
    if best is not None:
        incumbent = incumbent.offered(best, problem.total_utility(best))
        kept = fixed(request, incumbent) if kept is None and cost == "realized" else kept
    model = build(problem, budget, cost, kept=kept)
    stop = stopping_gap(request.gap)
    found = solve_and_cut(model, run_once, request, problem.total_utility, incumbent, deadline, stop)
    return replace(Answer.of(found.incumbent), infeasible=found.infeasible, message=found.message)


def stopping_gap(gap: float) -> float:
    """Return the relative gap at which a solver may stop: where optima are asked for, no more than it can prove."""
    return gap if gap > OPTIMAL_GAP else max(gap / 2, PROOF)


def fixed(request: Request, incumbent: Incumbent) -> BoolArray | None:
    """Return the candidates that a better plan than the incumbent may hold; None if that is not known."""
    bounds = Bounds.of(request)
    price = bounds.realized(request.budget).price
    kept = None if price == math.inf else bounds.fixing(request.budget, price, incumbent.utility).kept(incumbent)
    bounds.release()
    return kept


def solve_and_cut(
    model: MipModel,
    run_once: RunOnce,
    request: Request,
    value: Callable[[IntArray], float],
    incumbent: Incumbent,
    deadline: float,
    stop: float,
    margin: float = 0.0,
) -> Found:
    """Run a solver on the program of a budget or of least cost, and again until its plan keeps all limits in float64.

    The first rounds cut off what exceeded a limit, which loses no plan, so their bounds hold and the best plan is still
    found. Then soft rows are tightened a little, which may lose plans, so earlier bounds stand. In each round one query
    is moved to make the plan legal; if that is proven good enough, no further round is run.

    Parameters
    ----------
    model
        The program.
    run_once
        The solver.
    request
        Its seed and threads; a repaired plan that is proven to its gap is not improved any more.
    value
        What the program maximizes, of an assignment (N,) and in float64.
    incumbent
        A plan that keeps all limits, with that value, or none.
    deadline
        Time of `time.perf_counter` at which the loop ends.
    stop
        Relative gap at which each run of the solver may stop, no less than what solvers can prove.
    margin
        By how much a solver's bound may err, relative to it.
    """
    coupled, least_cost = model.problem.constraints is not None, model.budget is None
    exclusions = MAX_EXCLUSIONS_COUPLED if coupled and not least_cost else MAX_EXCLUSIONS
    rounds = recounts = 0
    factor = 1.0  # by which soft rows are tightened
    outcome = Outcome()
    while rounds < exclusions + MAX_TIGHTENINGS and recounts < MAX_RECOUNTS:
        left = deadline - time.perf_counter()
        if left <= 0:
            outcome = Outcome(limit="time")
            break
        start = None if incumbent.assignment is None else model.to_values(incumbent.assignment)
        asked = replace(request, time_limit=left if left < math.inf else None, gap=stop)
        outcome = run_once(model, asked, start)
        if outcome.infeasible:
            return _ended_infeasible(incumbent, least_cost, first=rounds == recounts == 0, tightened=factor < 1.0)
        if factor == 1.0 and outcome.bound is not None and np.isfinite(outcome.bound):
            bound = outcome.bound / model.objective_scale
            incumbent = incumbent.bounded(bound + margin * abs(bound))
        if outcome.values is None:
            break
        found = model.to_assignment(outcome.values)
        over = violation(model, found)
        plan = found if over <= 0.0 else repaired(model, found)
        if plan is not None:
            incumbent = incumbent.offered(plan, value(plan), ties=True)
        done = over <= 0.0 and not least_cost  # a cost may be of more calls than the program counted
        if done or outcome.limit is not None or incumbent.proven(max(request.gap, REPAIRED_GAP)):
            break
        counted = recounted(model, outcome.values, found)
        if counted is not None:
            model, recounts = counted, recounts + 1
            continue
        if over <= 0.0:
            break
        if rounds < exclusions:
            model = excluded_of_least_cost(model, found) if least_cost else excluded(model, found)
        else:
            factor -= 2.0 * max(over, PROOF)
            model = model.tightened(factor)
        rounds += 1
    return Found(incumbent.stopped(outcome.limit), message=outcome.message)


def _ended_infeasible(incumbent: Incumbent, least_cost: bool, first: bool, tightened: bool) -> Found:
    """Return what a program without a solution means.

    With a plan known, the first program was no such one, nor was one of least cost whose rows were not tightened: what
    is cut off is no plan. A budget's program is taken to say, once plans are cut off, that none is better.
    """
    known = incumbent.assignment is not None
    if tightened:
        return Found(incumbent.stopped("other" if least_cost and not known else None))
    if not known:
        return Found(incumbent.stopped(None), infeasible=True)
    if first or least_cost:
        return Found(incumbent.stopped("other"), message=FALSELY_INFEASIBLE)
    return Found(replace(incumbent, bound=incumbent.utility, limit=None))
