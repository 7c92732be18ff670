"""How each solver finds the least cost: what the relaxation and the greedy scheduler leave open is searched."""

from __future__ import annotations

import math
import time
from dataclasses import replace

from robatch.solvers.bounds.shared import Bounds
from robatch.solvers.bounds.target_relaxation import Reach
from robatch.solvers.cheapest.exact import Search
from robatch.solvers.cheapest.mip import solve_program
from robatch.solvers.cheapest.realized import reaching_realized
from robatch.solvers.cheapest.task import Task
from robatch.solvers.exact.realized import EFFORT
from robatch.solvers.mip import Found

MAX_TAKEN_OVER, LONGEST = 20_000, 60.0  # queries times states, and seconds, of a program that takes over from `exact`
START_SHARE = 0.25  # of the time limit: what the search for the start of a program may take


def find(task: Task, name: str) -> tuple[Found, float]:
    """Run a solver; return what it found, and a bound on the utility that the cost of its plan can buy."""
    coupled, greedy = task.request.problem.constraints is not None, name == "greedy"
    if task.request.cost == "amortized" and not coupled:
        if greedy or task.incumbent.proven(task.request.gap) or task.relaxed is None:
            return Found(task.incumbent), math.inf
        if name == "exact":
            return _exact(task, task.relaxed)
    elif greedy:
        return Found(reaching_realized(task, 1.0, task.request.effort)), math.inf
    elif not coupled:
        best = reaching_realized(task, START_SHARE, EFFORT if name == "exact" else 1.0)
        task = replace(task, incumbent=best.stopped(None))
        if task.incumbent.proven(task.request.gap):
            return Found(task.incumbent), math.inf
    return solve_program(task, "highs" if name == "exact" else name), math.inf


def _exact(task: Task, relaxed: Reach) -> tuple[Found, float]:
    """Find the least cost by root finding; where that leaves the last digits of the target open, by a program."""
    problem, start, begin = task.request.problem, task.incumbent, time.perf_counter()
    assert start.assignment is not None
    relaxer = Bounds.of(task.request).relaxer
    spent, least = -start.utility, -start.bound
    search = Search(problem, relaxer, task.target, task.aim, relaxed.price, start.assignment, spent, least)
    search.close(task.request.gap, task.request.seed, task.deadline)
    best = replace(start, assignment=search.states, utility=-search.high, bound=-search.low)
    utility_bound = math.inf if search.bound is None else search.bound
    if search.limit != "other" or problem.n_queries * problem.n_states > MAX_TAKEN_OVER:
        message = None
        if search.missed is not None and search.missed[0] < search.high:
            usd, short = search.missed
            message = f"a plan of {usd:.9g} USD misses the target by rounding only, by {short:.3g}"
        return Found(best.stopped(search.limit), message=message), utility_bound
    limited = replace(task, incumbent=best, deadline=min(task.deadline, begin + LONGEST))
    found = solve_program(limited, "highs")
    return found, utility_bound if found.incumbent.assignment is search.states else math.inf
