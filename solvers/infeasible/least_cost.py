"""By how much a budget is too small: the least that any plan costs, proven where it can be."""

from __future__ import annotations

import math

from robatch.instances.arrays import IntArray
from robatch.instances.problem import Problem
from robatch.solvers.bounds.least_bill import cheapest_realized_assignment
from robatch.solvers.plan.plan import OPTIMAL_GAP, Cost
from robatch.solvers.registry import Request

MOST_SEARCHED = 50_000  # queries times states up to which the least realized cost is searched for


def budget_message(
    problem: Problem, budget: float, cost: Cost, time_limit: float, bill: tuple[float, bool] | None = None
) -> str:
    """Say by how much a budget in USD is too small and what the cheapest plan costs.

    Under realized cost that is the `bill`, as `least_realized_cost` returns it, or else what is found within some
    seconds.
    """
    least, known = problem.cheapest_budget, "the cheapest plan, which costs"
    if cost == "realized":
        least, proven = bill or least_realized_cost(problem, time_limit)
        known = "the cheapest plan, which bills" if proven else "the cheapest plan that was found, which bills"
    return f"budget {budget:.9g} USD is {least - budget:.3g} USD below {known} {least:.9g} USD ({cost} cost)"


def least_realized_cost(problem: Problem, time_limit: float = 10.0) -> tuple[float, bool]:
    """Return the least realized USD of any plan, and whether that is proven.

    Parameters
    ----------
    problem
        Queries, models and utilities.
    time_limit
        Seconds after which the best known plan counts.

    Returns
    -------
    tuple of float and bool
        The realized cost of a plan that exists, and whether no plan bills less (to a relative 1e-9).
    """
    states, proven = least_billed(problem, time_limit)
    return problem.realized_cost(states), proven


def least_billed(problem: Problem, time_limit: float) -> tuple[IntArray, bool]:
    """Return the assignment (N,) of least known bill, and whether none bills less, found within some seconds."""
    assignment = cheapest_realized_assignment(problem)
    least = problem.realized_cost(assignment)
    if problem.n_queries * problem.n_states > MOST_SEARCHED:
        return assignment, least <= problem.cheapest_budget * (1 + 1e-12)
    from robatch.solvers.mip import build  # here, as these load numba and HiGHS
    from robatch.solvers.mip.cut_loop import PROOF
    from robatch.solvers.mip.highs import run_once

    model = build(problem, None, "realized")
    request = Request(problem, math.inf, "realized", time_limit, gap=PROOF)
    outcome = run_once(model, request, model.to_values(assignment))
    if outcome.values is not None:
        other = model.to_assignment(outcome.values)
        if problem.realized_cost(other) < least:
            assignment, least = other, problem.realized_cost(other)
    proven = outcome.bound is not None and least + outcome.bound / model.objective_scale <= OPTIMAL_GAP * least
    return assignment, proven
