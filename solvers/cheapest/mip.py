"""The least cost of a target utility as a mixed-integer program with a least total utility."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import cast

import numpy as np

from robatch.instances.arrays import BoolArray
from robatch.instances.problem import Problem
from robatch.solvers.builtin import BACKENDS
from robatch.solvers.cheapest.task import Task
from robatch.solvers.mip import Backend, Found, build, solve_and_cut
from robatch.solvers.mip.cut_loop import PROOF
from robatch.solvers.plan.incumbent import Incumbent
from robatch.solvers.plan.plan import OPTIMAL_GAP, Cost
from robatch.solvers.solve import EXPLAIN_SECONDS, solve

MARGIN = 1e-12  # relative: what a solver's sums of cost may err at most


def solve_program(task: Task, solver: str) -> Found:
    """Solve the program of least cost with a backend of that name, from the task's plan where it keeps all limits."""
    problem, known, start, kept = task.request.problem, task.incumbent, Incumbent(), None
    if problem.constraints is None:
        start = replace(known, bound=math.inf)  # the loop ends by the program's own proof
        if task.price is not None and task.relaxed is not None:  # the losses are those against the linear bound alone
            kept = worth_keeping(problem, task.price, -known.utility - task.relaxed.bound)
    found = _solved(task, solver, start, kept)
    best = found.incumbent
    if best.assignment is not None:
        cheap = _no_dearer(problem, -best.utility, task.request.cost)
        if not (cheap | ~problem.allowed()).all():
            # beside far dearer candidates, what a plan costs may lie within a solver's tolerances: only this one proves
            found = _solved(task, solver, replace(best, bound=math.inf), cheap if kept is None else kept & cheap)
    if found.infeasible:
        return replace(found, message=_why_out_of_reach(problem, task.target, task.request.cost, solver))
    return replace(found, incumbent=found.incumbent.bounded(known.bound))


def _solved(task: Task, solver: str, incumbent: Incumbent, kept: BoolArray | None) -> Found:
    """Solve the program of some candidates (N, S), None for all that are allowed, unless the time is up."""
    if time.perf_counter() >= task.deadline:
        return Found(incumbent.stopped("time"))
    request = task.request
    model = build(request.problem, None, request.cost, kept=kept, floor=task.target)
    stop = request.gap if request.gap > OPTIMAL_GAP else PROOF
    backend = cast(Backend, next(one for one in BACKENDS if one.name == solver).load())  # whatever is registered so
    return solve_and_cut(model, backend.run_once, request, task.value, incumbent, task.deadline, stop, MARGIN)


def worth_keeping(problem: Problem, price: float, slack: float) -> BoolArray | None:
    """Return the candidates that a plan within some USD of the linear bound can hold: (N, S).

    At the shadow price, a candidate of lower reduced profit than the query's best one takes a plan that much further
    above the bound, under either cost model.
    """
    if not 0.0 < price < np.inf or not np.isfinite(slack):
        return None
    spent = price * problem.amortized_costs()
    profit = np.where(problem.allowed(), problem.utilities().astype(np.float64) - spent, -np.inf)
    most = profit.max(axis=1, keepdims=True)
    near: BoolArray = most - profit <= price * slack * (1 + 1e-9) + 1e-12 * (1.0 + np.abs(most) + spent)
    return near


def _no_dearer(problem: Problem, usd: float, cost: Cost) -> BoolArray:
    """Return the candidates that cost no more than a whole plan does, so that a cheaper plan may hold them: (N, S)."""
    if cost == "amortized":
        return problem.amortized_costs() <= usd * (1 + 1e-9)
    tokens = problem.own_costs()
    return np.asarray(np.maximum(tokens, problem.call_price) <= usd * (1 + 1e-9))


def _why_out_of_reach(problem: Problem, target: float, cost: Cost, solver: str) -> str:
    """Say what the greatest utility is that keeps the problem's constraints."""
    costs = problem.own_costs() + problem.call_price
    budget = max(2.0 * float(costs.max(axis=1).sum()), 1.0)
    plan = solve(problem, budget, solver, cost=cost, time_limit=EXPLAIN_SECONDS)
    if plan.utility is None:
        return f"utility {target:.12g} is out of reach: no plan keeps the problem's constraints"
    reached = "is" if plan.status == "optimal" else "is, of those found,"
    return (
        f"utility {target:.12g} is out of reach: the greatest that keeps the problem's constraints {reached} "
        f"{plan.utility:.12g}"
    )
