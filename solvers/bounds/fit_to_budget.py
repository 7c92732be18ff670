"""What the schedulers share: keeping the budget to the last bit, under both cost models."""

from __future__ import annotations

from collections.abc import Callable

from robatch.instances.arrays import IntArray
from robatch.solvers.bounds.least_bill import cheapest_realized_assignment
from robatch.solvers.bounds.relaxation import EDGE
from robatch.solvers.registry import Request

Scheduler = Callable[[float], IntArray]  # from amortized USD to an assignment, the cheapest one if they are too few

STEPS = 12  # schedules tried to bring a realized cost under its budget


def within(request: Request, schedule: Scheduler, mixed: bool = True) -> IntArray | None:
    """Return the best assignment found that keeps the request's budget, or None.

    A scheduler sums costs in an order of its own, and knows only amortized cost. So it is asked again with
    less until what it returns keeps the budget. Under realized cost the least overspending part is found by
    bisection between what kept the budget and what did not; the cheapest plans stand in where nothing does,
    unless `mixed` says that the scheduler's own states are the only ones allowed.
    """
    problem, budget = request.problem, request.budget
    if request.cost == "amortized":
        target = budget
        for _ in range(STEPS):
            states = schedule(target)
            excess = problem.amortized_cost(states) - budget
            if excess <= 0:
                return states
            target -= 2 * max(excess, EDGE * budget)  # a schedule may exceed its target by `EDGE`
        states = problem.cheapest_assignment if mixed else schedule(0.0)
        return states if problem.amortized_cost(states) <= budget else None
    plans = [schedule(0.0)]
    if mixed:
        plans += [problem.cheapest_assignment, cheapest_realized_assignment(problem)]
    low, high = problem.cheapest_budget, budget
    target = high
    for _ in range(STEPS):
        states = schedule(target)
        plans.append(states)
        excess = problem.realized_cost(states) - budget
        if excess <= 0:
            low = target
            if target == budget:
                break
        else:
            high = target
        # the excess of the first tries is nearly constant: a step by it lands close, bisection does the rest
        step = high - excess * 1.05
        target = step if excess > 0 and low < step < high else (low + high) / 2
    kept = [states for states in plans if problem.realized_cost(states) <= budget]
    return max(kept, key=problem.total_utility) if kept else None
