"""Every assignment of a tiny problem: the oracle that the other solvers are tested against."""

from __future__ import annotations

import numpy as np

from robatch.instances.arrays import Array, IntArray
from robatch.instances.compilation import njit
from robatch.instances.errors import InputError
from robatch.instances.problem import Problem
from robatch.solvers.limits import entries, legal, needs
from robatch.solvers.plan.plan import Cost
from robatch.solvers.registry import Answer, Request

MAX_ASSIGNMENTS = 50_000_000
MAX_ASSIGNMENTS_COUPLED = 5_000_000  # where constraints or conflicts are to be kept
COST_ROUNDING = 1e-12  # relative: what sums of cost may err at most
UNSURE = 1e-9  # relative: closer to a limit, the last digits decide, which `legal` looks at
BLOCK = 1 << 16  # assignments that are weighed at once


def run(request: Request) -> Answer:
    """Enumerate all assignments.

    Raises
    ------
    InputError
        If there are more than 50 million of them, or 5 million with constraints that couple queries.
    """
    problem, realized = request.problem, request.cost == "realized"
    allowed = problem.allowed()
    coupled = bool(needs(problem, request.cost))
    most = MAX_ASSIGNMENTS_COUPLED if coupled else MAX_ASSIGNMENTS
    if np.sum(np.log(allowed.sum(axis=1))) > np.log(most):
        raise InputError(
            f"brute-force is given {problem.n_queries} queries with up to {problem.n_states} states: "
            f"at most {most:,} assignments are allowed"
        )
    if coupled:
        found = best_legal(problem, request.budget, request.cost)
        return Answer(infeasible=True) if found is None else Answer(found, bound=problem.total_utility(found))
    states, any_, edge = enumerate_all(
        request.budget * (1 - COST_ROUNDING),
        request.budget * (1 + COST_ROUNDING),
        np.asarray(problem.utilities(), dtype=np.float64),
        problem.own_costs() if realized else problem.amortized_costs(),
        allowed,
        problem.call_price if realized else np.zeros(problem.n_states),
        problem.state_batch_size,
        problem.group_codes,
        (problem.write_charge if realized else np.zeros(problem.n_models))[problem.state_model],
        problem.state_model,
    )
    # sums in the kernel and in the problem round differently: on the edge of the budget the problem decides
    plans = [states] if any_ else []
    plans += [plan for plan in edge if problem.cost(plan, request.cost) <= request.budget]
    if not plans:
        return Answer(infeasible=True)
    best = max(plans, key=problem.total_utility)
    return Answer(best, bound=problem.total_utility(best))


def best_legal(problem: Problem, budget: float, cost: Cost) -> IntArray | None:
    """Return the best of all assignments that keep the budget, the constraints and the conflicts, or None.

    What is clearly over a limit is dropped by sums over many assignments at once; what remains is looked at one by
    one, from the greatest utility down.
    """
    choices = [np.flatnonzero(row) for row in problem.allowed()]
    shape = [len(states) for states in choices]
    best: IntArray | None = None
    top = -np.inf
    for begin in range(0, int(np.prod(shape)), BLOCK):
        codes = np.arange(begin, min(begin + BLOCK, int(np.prod(shape))))
        places = np.unravel_index(codes, shape)
        states = np.stack([states[place] for states, place in zip(choices, places, strict=True)], axis=1)
        utility, clear = _weigh(problem, states, budget, cost)
        for row in np.argsort(-utility, kind="stable"):
            if utility[row] <= top:
                break
            if clear[row] and legal(problem, states[row], budget, cost):
                best, top = states[row], utility[row]
                break
    return best


def _weigh(problem: Problem, states: IntArray, budget: float, cost: Cost) -> tuple[Array, Array]:
    """Return the utility of each of many assignments (M, N), and whether it may be legal: (M,).

    Calls are counted as if no queries were in conflict, and so never too many.
    """
    queries, realized = np.arange(problem.n_queries), cost == "realized"
    model, groups = problem.state_model[states], problem.group_codes
    utilities = problem.utilities().astype(np.float64)[queries, states]
    paid = problem.own_costs()[queries, states] if realized else problem.amortized_costs()[queries, states]
    cells = np.arange(problem.n_states) == states[:, :, None]  # (M, N, S)
    in_group = np.arange(problem.n_groups) == groups[:, None]  # (N, G)
    calls = -(-np.einsum("mns,ng->mgs", cells, in_group, dtype=np.int64) // problem.state_batch_size)
    billed = calls * (problem.call_price if realized else 0.0)
    written = np.zeros((len(states), problem.n_groups, problem.n_models))
    if realized:
        used = np.einsum("mgs,sk->mgk", calls, problem.state_model[:, None] == np.arange(problem.n_models)) > 0
        written = used * problem.write_charge
    clear = paid.sum(axis=1) + billed.sum(axis=(1, 2)) + written.sum(axis=(1, 2)) <= budget * (1 + UNSURE)
    for entry in entries(problem):
        k = entry.place
        columns, inside = problem.state_model == k, groups == k
        if entry.kind == "max_queries":
            clear &= (model == k).sum(axis=1) <= entry.limit
        elif entry.kind == "max_calls":
            clear &= calls[:, :, columns].sum(axis=(1, 2)) <= entry.limit
        elif entry.kind == "max_cost":
            spent = (paid * (model == k)).sum(axis=1) + billed[:, :, columns].sum(axis=(1, 2))
            clear &= spent + written[:, :, k].sum(axis=1) <= entry.limit * (1 + UNSURE)
        elif entry.kind == "group_budget":
            spent = paid[:, inside].sum(axis=1) + billed[:, k].sum(axis=1) + written[:, k].sum(axis=1)
            clear &= spent <= entry.limit * (1 + UNSURE)
        else:
            clear &= utilities[:, inside].mean(axis=1) >= entry.limit * (1 - UNSURE)
    return utilities.sum(axis=1), clear


@njit(cache=True)
def enumerate_all(  # wide: one array of queries, or of states, each
    within: float,
    edge: float,
    utilities: Array,
    costs: Array,
    allowed: Array,
    call_price: Array,
    batch_size: Array,
    groups: Array,
    write: Array,
    model: Array,
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
    used = np.zeros((groups.max() + 1, model.max() + 1), dtype=np.bool_)
    while True:
        legal, utility, cost = True, 0.0, 0.0
        for i in range(n):
            legal = legal and allowed[i, state[i]]
            utility += utilities[i, state[i]]
            cost += costs[i, state[i]]
        if legal:
            count[:] = 0
            used[:] = False
            for i in range(n):
                s = state[i]
                if count[groups[i], s] % batch_size[s] == 0:  # a new call begins
                    cost += call_price[s]
                if not used[groups[i], model[s]]:  # the prompt is written to a cache
                    cost += write[s]
                    used[groups[i], model[s]] = True
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
