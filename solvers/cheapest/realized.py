"""A plan of low realized cost that reaches a target utility: the budget of the greedy scheduler is searched."""

from __future__ import annotations

import math
import time
from dataclasses import replace

from robatch.solvers.bounds.least_bill import cheapest_realized_assignment
from robatch.solvers.cheapest.task import Task
from robatch.solvers.greedy.amortized import run as greedy
from robatch.solvers.plan.incumbent import Incumbent
from robatch.solvers.search_limits import deadline_in

LAST_GAIN = 0.01  # of the distance from the bound: what more budgets may gain at most, when the search ends
FINEST_BUDGET = 1e-9  # relative distance between budgets


def reaching_realized(task: Task, max_solves: int, share: float) -> Incumbent:
    """Return the task's incumbent after plans within at most some budgets, in a share of the time limit."""
    request, problem, target, price = task.request, task.request.problem, task.target, task.price
    limit = request.time_limit
    request = replace(request, time_limit=None if limit is None else limit * share)
    deadline = deadline_in(request.time_limit)
    best, other = task.incumbent, cheapest_realized_assignment(problem)
    if problem.total_utility(other) >= target:
        best = best.offered(other, task.value(other))
    low = -best.bound
    guess, before = math.nan, math.inf
    for _ in range(max_solves):
        high = -best.utility
        if high - low <= max(LAST_GAIN * best.shortfall, FINEST_BUDGET * high):
            break
        if time.perf_counter() >= deadline:
            return best.stopped("time")
        # along the shadow price, and by halving where that does not help
        budget = guess if low < guess < high and high - low <= before / 2 else (low + high) / 2
        before = high - low
        answer = greedy(replace(request, budget=budget))
        found = answer.assignment
        if answer.bound is not None and answer.bound < target:  # then no plan within the budget reaches it
            best = best.bounded(-budget)
        utility, billed = -1.0, math.inf
        if found is not None:
            utility, _, billed, _ = problem.evaluate(found)
        if found is not None and utility >= target and billed < high:
            best = best.offered(found, -billed)
            guess = billed - (utility - target) / price if price else math.nan
        else:
            low = budget
            guess = budget + (target - utility) / price if price and utility >= 0.0 else math.nan
    return best
