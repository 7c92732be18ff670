"""Every assignment of a tiny problem: the oracle that the other solvers are tested against."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from robatch.instances.errors import InputError
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
    problem, realized = request.problem, request.cost == "realized"
    allowed = problem.allowed()
    if np.sum(np.log(allowed.sum(axis=1))) > np.log(MOST):
        raise InputError(
            f"brute-force is given {problem.n_queries} queries with up to {problem.n_states} states: "
            f"at most {MOST:,} assignments are allowed"
        )
    states, found, edge = enumerate_all(
        request.budget * (1 - ROUNDING),
        request.budget * (1 + ROUNDING),
        np.asarray(problem.utilities(), dtype=np.float64),
        problem.query_costs()[:, problem.state_model] if realized else problem.amortized_costs(),
        allowed,
        problem.call_price if realized else np.zeros(problem.n_states),
        problem.state_batch_size,
        problem.group_codes,
    )
    # sums in the kernel and in the problem round differently: on the edge of the budget the problem decides
    plans = [states] if found else []
    plans += [plan for plan in edge if problem.cost(plan, request.cost) <= request.budget]
    if not plans:
        return Answer(infeasible=True)
    best = max(plans, key=problem.total_utility)
    return Answer(best, bound=problem.total_utility(best))


@njit(cache=True)
def enumerate_all(
    within: float,
    edge: float,
    utilities: Array,
    costs: Array,
    allowed: Array,
    call_price: Array,
    batch_size: Array,
    groups: Array,
) -> tuple[Array, bool, Array]:
    """Return the best assignment that costs at most `within`, whether there is one, and those up to `edge`.

    Those on the edge are listed where they are worth no less than what was found before them.
    """
    n, width = utilities.shape
    state = np.zeros(n, dtype=np.int64)
    best = np.zeros(n, dtype=np.int64)
    best_utility = -1.0
    listed = np.zeros((16, n), dtype=np.int64)
    count_listed = 0
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
            if cost <= within and utility > best_utility:
                best[:] = state
                best_utility = utility
            elif within < cost <= edge and utility > best_utility:
                if count_listed == len(listed):
                    grown = np.zeros((2 * count_listed, n), dtype=np.int64)
                    grown[:count_listed] = listed
                    listed = grown
                listed[count_listed] = state
                count_listed += 1
        i = 0
        while i < n:  # an odometer over the states
            state[i] += 1
            if state[i] < width:
                break
            state[i] = 0
            i += 1
        if i == n:
            return best, best_utility >= 0.0, listed[:count_listed]
