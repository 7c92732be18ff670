"""Queries in windows, each solved to the optimum within its share of the budget, after batch-level routing.

Source: Markovic-Voronov, Behdin, Xu, Zhou, Wang and Mazumder, "Robust Batch-Level Query Routing for Large Language
Models under Cost and Capacity Constraints", 2026, arXiv 2603.26796; known from its abstract and summaries. Queries that
arrive together are assigned by one integer program that keeps their cost within a limit and the models' load within
their capacity; its robust form takes lower estimates of utility.

Adapted: states take the place of models. Windows are runs of queries in their order. A window may spend what its
cheapest plan costs, an equal part of what the budget leaves above the cheapest plan of all, and what earlier windows
have left. Its integer program is solved by ``exact``, which proves the same optimum as a general solver, and faster;
``run(..., solver="highs")`` takes HiGHS or any other MIP backend.
Limits of capacity are left out. The robust form is the same method on lower quantiles of utility: hand in the problem
that `UtilityProxy.to_problem` makes with ``robust``. Under realized cost the windows are solved at amortized cost, with
less money until the whole plan's bill keeps the budget.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np

from robatch.instances.arrays import IntArray
from robatch.instances.errors import InputError
from robatch.instances.scalars import whole
from robatch.solvers.plan.plan import Limit
from robatch.solvers.reference.peers.answer import answered
from robatch.solvers.registry import Answer, Request, get
from robatch.solvers.search_limits import deadline_in

WINDOW = 256  # queries


def run(request: Request, window: int = WINDOW, solver: str = "exact") -> Answer:
    """Solve window after window, each of `window` queries, with a `solver` that proves optima.

    Raises
    ------
    InputError
        If the window is no whole number of at least 1, or the solver proves no optima.
    """
    problem, window, entry = request.problem, whole("window", window, 1), get(solver)
    if entry.proves != "optimum":
        raise InputError(f"solver of the windows is {solver!r}: one that proves optima is needed")
    solve_window = entry.load()
    deadline = deadline_in(request.time_limit)
    windows = [
        problem.take(np.arange(begin, min(begin + window, problem.n_queries)))
        for begin in range(0, problem.n_queries, window)
    ]
    limits: list[Limit] = []

    def schedule(budget: float) -> IntArray:
        part = max(budget - problem.cheapest_budget, 0.0) / len(windows)
        left, found = 0.0, []
        for queries in windows:
            left += part
            may_spend = queries.cheapest_budget + left
            seconds = deadline - time.perf_counter()
            states = queries.cheapest_assignment
            if seconds <= 0.0:
                limits.append("time")
            elif may_spend > 0.0:
                fresh = replace(request, problem=queries, cost="amortized", initial=None, price=None, bounds=None)
                limit = seconds if seconds < math.inf else None
                answer = solve_window(replace(fresh, budget=may_spend, time_limit=limit))
                states = states if answer.assignment is None else answer.assignment
                limits.extend([answer.limit] if answer.limit is not None else [])
            left = max(may_spend - queries.amortized_cost(states), 0.0)
            found.append(states)
        return np.concatenate(found)

    answer = answered(request, schedule, "no windows were solved to a plan that keeps the budget")
    return replace(answer, limit=limits[0] if limits else None, statistics={"windows": len(windows)})
