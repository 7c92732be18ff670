"""A plan of an assignment that somebody else found."""

from __future__ import annotations

from typing import get_args

import numpy.typing as npt

from robatch.instances.errors import InputError
from robatch.instances.problem import Problem
from robatch.instances.scalars import number
from robatch.solvers.plan.plan import OPTIMAL_GAP, Cost, Plan, ids_of


def given_plan(
    problem: Problem,
    assignment: npt.ArrayLike,
    budget: float | None = None,
    cost: Cost = "realized",
    bound: float | None = None,
    solver: str = "given",
    solver_version: str = "unknown",
) -> Plan:
    """Return the plan of an assignment (N,) of states, with its figures; nothing that is said of it is checked.

    Parameters
    ----------
    problem, assignment
        The problem, and the state of each query.
    budget, cost
        USD that it is said to keep, None for what it costs; and the cost model.
    bound
        An upper bound on utility that is said to be proven, or None.
    solver, solver_version
        Who found it.

    Raises
    ------
    InputError
        If the assignment is not one of the problem, or the budget, the bound or the cost model is not allowed.
    """
    if cost not in get_args(Cost):
        raise InputError(f"cost is {cost!r}: 'amortized' or 'realized' is needed")
    states = problem.check_assignment(assignment)
    figures = problem.evaluate(states)
    if budget is not None:
        budget = number("budget", budget, needed="a finite number of USD of at least 0")
    if bound is not None:
        bound = number("bound", bound)
        if figures.utility > bound and figures.utility - bound <= OPTIMAL_GAP * figures.utility:
            bound = figures.utility  # the rounding of another solver
    proven = bound is not None and bound - figures.utility <= OPTIMAL_GAP * bound
    return Plan(
        assignment=states,
        utility=figures.utility,
        amortized_cost=figures.amortized_cost,
        realized_cost=figures.realized_cost,
        budget=figures.cost(cost) if budget is None else budget,
        cost=cost,
        bound=bound,
        status="optimal" if proven else "feasible",
        limit=None,
        runtime=0.0,
        solver=solver,
        solver_version=solver_version,
        profit=problem.profit(figures.utility),
        **ids_of(problem, states),
    )
