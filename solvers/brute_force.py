"""Every assignment of a tiny problem: the oracle that the other solvers are tested against."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from robatch.instances.errors import InputError
from robatch.instances.problem import IntArray, Problem
from robatch.solvers.registry import Answer, Request

Array = npt.NDArray[Any]

MOST = 50_000_000  # assignments
ROUNDING = 1e-12


def run(request: Request) -> Answer:
    """Enumerate all assignments.

    Raises
    ------
    InputError
        If there are more than 50 million of them.
    """
    problem = request.problem
    allowed = problem.allowed()
    if np.sum(np.log(allowed.sum(axis=1))) > np.log(MOST):
        raise InputError(
            f"solver 'brute-force' is given {problem.n_queries} queries with up to {problem.n_states} states: "
            f"at most {MOST:,} assignments are allowed"
        )
    # sums here and in the problem round differently: look a rounding beyond the budget first, then below
    for limit in (request.budget * (1 + ROUNDING), request.budget, request.budget * (1 - ROUNDING)):
        states = _best(problem, limit, request.cost == "realized")
        if states is None:
            return Answer(infeasible=True)
        if problem.cost(states, request.cost) <= request.budget:
            return Answer(states, bound=problem.total_utility(states))
    return Answer(infeasible=True)


def _best(problem: Problem, budget: float, realized: bool) -> IntArray | None:
    states, found = enumerate_all(
        budget,
        np.asarray(problem.utilities(), dtype=np.float64),
        problem.query_costs()[:, problem.state_model] if realized else problem.amortized_costs(),
        problem.allowed(),
        problem.call_price if realized else np.zeros(problem.n_states),
        problem.state_batch_size,
        problem.group_codes,
    )
    return states if found else None


@njit(cache=True)
def enumerate_all(
    budget: float,
    utilities: Array,
    costs: Array,
    allowed: Array,
    call_price: Array,
    batch_size: Array,
    groups: Array,
) -> tuple[Array, bool]:
    """Return the assignment of greatest utility within the budget, of least cost among equals."""
    n, width = utilities.shape
    state = np.zeros(n, dtype=np.int64)
    best = np.zeros(n, dtype=np.int64)
    best_utility, best_cost = -1.0, np.inf
    count = np.zeros((groups.max() + 1, width), dtype=np.int64)
    while True:
        legal, utility, cost = True, 0.0, 0.0
        for i in range(n):
            legal = legal and allowed[i, state[i]]
            utility += utilities[i, state[i]]
            cost += costs[i, state[i]]
        if legal:
            count[:] = 0
            for i in range(n):
                s = state[i]
                if count[groups[i], s] % batch_size[s] == 0:  # a new call begins
                    cost += call_price[s]
                count[groups[i], s] += 1
            if cost <= budget and (utility > best_utility or (utility == best_utility and cost < best_cost)):
                best[:] = state
                best_utility, best_cost = utility, cost
        i = 0
        while i < n:  # an odometer over the states
            state[i] += 1
            if state[i] < width:
                break
            state[i] = 0
            i += 1
        if i == n:
            return best, best_utility >= 0.0
