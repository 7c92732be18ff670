"""What the schedulers share: keeping the budget to the last bit, under both cost models."""

from __future__ import annotations

from collections.abc import Callable

from robatch.instances.arrays import IntArray
from robatch.solvers.bounds.least_bill import cheapest_realized_assignment
from robatch.solvers.bounds.relaxation import EDGE
from robatch.solvers.plan.incumbent import Incumbent
from robatch.solvers.registry import Request

Scheduler = Callable[[float], IntArray]  # from amortized USD to an assignment, the cheapest one if they are too few

SCHEDULES = 12  # tried to bring a cost under its budget


def within(request: Request, schedule: Scheduler, mixed: bool = True) -> Incumbent:
    """Return the best plan found that keeps the request's budget, evaluated; without an assignment if none does.

    A scheduler sums costs in an order of its own, and knows only amortized cost. So it is asked again with
    less until what it returns keeps the budget. Under realized cost the least overspending part is found by
    bisection between what kept the budget and what did not; the cheapest plans stand in where nothing does,
    unless `mixed` says that the scheduler's own states are the only ones allowed.
    """
    return _as_billed(request, schedule, mixed) if request.cost == "realized" else _on_paper(request, schedule, mixed)


def _on_paper(request: Request, schedule: Scheduler, mixed: bool) -> Incumbent:
    """Ask for less by what an amortized budget is exceeded."""
    problem, budget = request.problem, request.budget
    target = budget
    for _ in range(SCHEDULES):
        states = schedule(target)
        found = problem.evaluate(states)
        excess = found.amortized_cost - budget
        if excess <= 0:
            break
        target -= 2 * max(excess, EDGE * budget)  # a schedule may exceed its target by `EDGE`
    else:
        states = problem.cheapest_assignment if mixed else schedule(0.0)
        found = problem.evaluate(states)
    return Incumbent().evaluated(states, found, "amortized", budget)


def _as_billed(request: Request, schedule: Scheduler, mixed: bool) -> Incumbent:
    """Bisect the amortized budget whose schedule keeps the budget as billed."""
    problem, budget = request.problem, request.budget
    plans = [schedule(0.0)]
    if mixed:
        plans += [problem.cheapest_assignment, cheapest_realized_assignment(problem)]
    best = Incumbent()
    for states in plans:
        best = best.evaluated(states, problem.evaluate(states), "realized", budget)
    low, high = problem.cheapest_budget, budget
    target = high
    for _ in range(SCHEDULES):
        states = schedule(target)
        found = problem.evaluate(states)
        best = best.evaluated(states, found, "realized", budget)
        excess = found.realized_cost - budget
        if excess <= 0:
            low = target
            if target == budget:
                break
        else:
            high = target
        # the excess of the first tries is nearly constant: a step by it lands close, bisection does the rest
        step = high - excess * 1.05
        target = step if excess > 0 and low < step < high else (low + high) / 2
    return best
