"""A plan of low realized cost that reaches a target utility: the budget of the greedy scheduler is searched."""

from __future__ import annotations

import math
import time
from dataclasses import replace

from robatch.instances.arrays import IntArray
from robatch.solvers.bounds.least_bill import cheapest_realized_assignment
from robatch.solvers.greedy.amortized import run as greedy
from robatch.solvers.registry import Request

NARROW = 0.01  # of the distance from the bound: what more budgets may gain at most, when the search ends
FINEST = 1e-9  # relative distance between budgets


def reaching_realized(
    request: Request, target: float, least: float, price: float | None, start: IntArray, solves: int
) -> tuple[IntArray, float, bool]:
    """Return an assignment (N,) of a target utility and a low bill, a bound on the bill, and whether time ran out.

    Parameters
    ----------
    request
        The problem, the time limit, seed and threads.
    target
        Utility.
    least
        USD that no plan of the target bills less than.
    price
        Utility per USD near the target, None if unknown.
    start
        An assignment that reaches the target.
    solves
        Budgets that are tried at most.
    """
    problem = request.problem
    deadline = math.inf if request.time_limit is None else time.perf_counter() + request.time_limit
    best, high = start, problem.realized_cost(start)
    other = cheapest_realized_assignment(problem)
    billed = problem.realized_cost(other)
    if billed < high and problem.total_utility(other) >= target:
        best, high = other, billed
    low, proven, guess, before = least, least, math.nan, math.inf
    for _ in range(solves):
        if high - low <= max(NARROW * (high - proven), FINEST * high):
            break
        if time.perf_counter() >= deadline:
            return best, proven, True
        # along the shadow price, and by halving where that does not help
        budget = guess if low < guess < high and high - low <= before / 2 else (low + high) / 2
        before = high - low
        answer = greedy(replace(request, budget=budget))
        found = answer.assignment
        if answer.bound is not None and answer.bound < target:  # then no plan within the budget reaches it
            proven = max(proven, budget)
        utility, billed = -1.0, math.inf
        if found is not None:
            utility, _, billed, _ = problem.evaluate(found)
        if found is not None and utility >= target and billed < high:
            best, high = found, billed
            guess = high - (utility - target) / price if price else math.nan
        else:
            low = budget
            guess = budget + (target - utility) / price if price and utility >= 0.0 else math.nan
    return best, proven, False
