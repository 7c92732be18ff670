"""Independent check of a plan: figures, calls, constraints and bound are counted again, by code of this room alone.

Where queries conflict, how many calls they need is a question of how they are packed. There the check takes the calls
that the plan forms, looks at each of them, and bills those.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from robatch.instances.arrays import IntArray, read_only
from robatch.instances.errors import InputError
from robatch.instances.problem import Problem
from robatch.solvers.check.calls import check_calls, counted, full_calls
from robatch.solvers.check.constraints import broken
from robatch.solvers.check.raw import MICRO, NO_CODES, VerificationError, raw_arrays, states_of
from robatch.solvers.check.tiers import tier_bill, tier_costs
from robatch.solvers.plan.given import given_plan
from robatch.solvers.plan.plan import Cost, Plan

if TYPE_CHECKING:
    from robatch.solvers.check.kernels import Raw

FIGURES = 1e-9  # relative agreement asked of utility and costs
BUDGET = 1e-12  # the budget may be exceeded by no more than rounding of the sums here
BOUND = 1e-9  # a bound may lie below the utility by no more than this, or above what its shadow price proves
OPTIMAL = 1e-9  # gap at which a plan may be called optimal
LEAST_GAIN = 1e-11  # utility, which goes up to 1 a query: what a query alone gains below this counts as none
COST_ROUNDING = 64 * float(np.finfo(np.float64).eps)  # relative: more than a solver and the check can differ by
DUALS = 1e-10  # accuracy of an LP solver's duals, relative to what the budget is worth at the price


@dataclass(frozen=True, slots=True)
class Verified:
    """What `verify` found by its own count; the figures are None where there is no plan.

    Attributes
    ----------
    utility
        Total utility of the assignment.
    amortized_cost, realized_cost
        USD of the assignment under both cost models.
    dual_bound
        Upper bound on the utility of any plan within the budget that the plan's shadow price alone proves (weak
        duality). Where the plan's own bound is lower, the difference was proven by the solver's search, which is
        not repeated here. None without a shadow price, and where rounding would blur the bound.
    """

    utility: float | None
    amortized_cost: float | None
    realized_cost: float | None
    dual_bound: float | None


def verify(
    problem: Problem,
    plan: Plan | npt.ArrayLike,
    calls: bool = True,
    *,
    budget: float | None = None,
    cost: Cost = "realized",
) -> Verified:
    """Recompute everything that a plan says about itself.

    Parameters
    ----------
    problem
        The problem that it was made for.
    plan
        The plan; or an assignment (N,) of states, which says that it keeps the budget and the constraints.
    calls
        Whether to form the physical calls and check each of them too.
    budget, cost
        For an assignment: USD, None for what it costs, and the cost model. A plan has its own.

    Returns
    -------
    Verified
        The recomputed figures, and the bound as far as the plan's shadow price proves it.

    Raises
    ------
    VerificationError
        If a state is not allowed, a figure is wrong, the budget is exceeded, a constraint is broken, a call is not
        legal, the bound is weaker than what the shadow price proves, or bound, gap, status and limit contradict
        each other.

    Notes
    -----
    Where queries conflict, realized cost and numbers of calls are those of the plan's calls, which are always checked.

    At any price p of at least 0 (utility per USD), no plan whose amortized cost keeps the budget has more utility
    than ``p * budget + sum over queries i of max over states s of (utility[i, s] - p * cost[i, s])``. Realized cost
    is never below amortized cost, so this bounds plans that keep a realized budget too. Constraints and conflicts only
    take plans away.
    """
    from robatch.solvers.check.kernels import recount  # here, as it loads numba

    if not isinstance(plan, Plan):
        plan = given_plan(problem, _array(plan), budget, cost)
    elif budget is not None:
        raise InputError(f"budget is {budget!r}: a plan has its own, only an assignment is checked against another")
    _check_names(problem, plan)
    tiered = any(model.tiers for model in problem.models)
    arrays = raw_arrays(problem, tier_costs(problem, plan.cost == "realized") if tiered else None)
    if plan.status in ("infeasible", "no_solution"):
        return _check_missing(problem, plan, arrays)
    states = _states(problem, plan)
    groups, n_groups = _groups(problem, plan)
    wrong, utility, own, amortized, realized = recount(states, groups, n_groups, arrays)
    if wrong >= 0:
        raise VerificationError(_wrong_state(problem, plan, wrong, int(states[wrong])))
    table, bill = states_of(problem), tier_bill(problem, states, groups, n_groups) if tiered else None
    own, amortized, realized = own / MICRO, amortized / MICRO, realized / MICRO
    if bill is not None:
        groups, n_groups, amortized = bill.codes, bill.n_codes, bill.amortized
        full = full_calls(problem, counted(states, groups, n_groups, problem.n_states))
        realized = bill.realized(full, table.model)
    elif table.write.any():
        realized += math.fsum(table.written(counted(states, groups, n_groups, problem.n_states)).flat)
    formed = None
    if calls or problem.conflicts is not None:
        formed = check_calls(problem, plan, states, groups, n_groups)
        billed = math.fsum((own, *table.billed(formed).flat))
        billed = billed if bill is None else bill.realized(formed, table.model)
        if problem.conflicts is not None:
            realized = billed
        elif abs(billed - realized) > FIGURES * max(realized, 1e-300):
            raise VerificationError(f"the calls bill {billed} USD, not the realized {realized} USD")
    for name, said, true in (
        ("utility", plan.utility, utility),
        ("amortized cost", plan.amortized_cost, amortized),
        ("realized cost", plan.realized_cost, realized),
    ):
        if said is None or not abs(said - true) <= FIGURES * max(abs(true), 1e-300):
            raise VerificationError(f"{name} is said to be {said}, and is {true}")
    spent = amortized if plan.cost == "amortized" else realized
    if spent > plan.budget * (1 + BUDGET):
        raise VerificationError(f"the plan costs {spent} USD ({plan.cost}), over its budget of {plan.budget} USD")
    if problem.constraints is not None:
        if formed is None:
            formed = full_calls(problem, counted(states, groups, n_groups, problem.n_states))
        complaint = broken(problem, states, groups, formed, plan.cost == "realized")
        if complaint is not None:
            raise VerificationError(complaint)
    _check_bound(plan, utility)
    dual = _check_by_duality(problem, plan, states, utility, spent, arrays)
    return Verified(utility, amortized, realized, dual)


def _array(assignment: npt.ArrayLike) -> npt.NDArray[Any]:
    states = np.asarray(assignment)
    if states.ndim != 1:
        raise InputError(
            f"plan is of type {type(assignment).__name__}: a robatch.Plan is needed, or the state of each query"
        )
    return states


def _check_names(problem: Problem, plan: Plan) -> None:
    """Check that the plan was made for this problem and says only what a plan can say."""
    if plan.states != problem.states:
        raise VerificationError("the plan's states are not those of the problem: it was made for another one")
    mine, theirs = problem.query_ids, plan.query_ids
    if mine is None or theirs is None:
        same = mine is theirs or plan.assignment is None
    else:
        same = mine is theirs or np.array_equal(mine, theirs)
    if not same:
        raise VerificationError("the plan's query ids are not those of the problem: it was made for another one")
    for name, said, allowed in (
        ("status", plan.status, ("optimal", "feasible", "infeasible", "no_solution")),
        ("cost", plan.cost, ("amortized", "realized")),
        ("limit", plan.limit, (None, "time", "gap", "memory", "interrupt", "other")),
    ):
        if said not in allowed:
            raise VerificationError(f"{name} is {said!r}, which is not one of {allowed}")
    if not 0 <= plan.budget < math.inf:
        raise VerificationError(f"budget is {plan.budget}: no plan is made for it")
    if plan.runtime < 0 or (plan.shadow_price is not None and not plan.shadow_price >= 0):
        raise VerificationError(f"runtime is {plan.runtime} and shadow price {plan.shadow_price}: neither is below 0")
    if plan.status == "optimal" and plan.limit is not None:
        raise VerificationError(f"called optimal, and stopped by the limit {plan.limit!r}")


def _states(problem: Problem, plan: Plan) -> IntArray:
    states = plan.assignment
    if states is None or states.shape != (problem.n_queries,):
        raise VerificationError(f"a plan of status {plan.status!r} needs one state for each of the queries")
    if states.dtype.kind not in "iu":
        raise VerificationError(f"the assignment holds a state outside 0 to {len(plan.states) - 1}")
    return read_only(states.astype(np.int64, copy=False))


def _wrong_state(problem: Problem, plan: Plan, query: int, state: int) -> str:
    if not 0 <= state < len(plan.states):
        return f"the assignment holds a state outside 0 to {len(plan.states) - 1}"
    where = f"query {query} is in a state of {plan.states[state]}, "
    if problem.forbidden is not None and problem.forbidden[query, state]:
        return f"{where}which is forbidden for it"
    return f"{where}whose calls do not fit the context window"


def _groups(problem: Problem, plan: Plan) -> tuple[IntArray, int]:
    """Return the group of each query as a number and how many groups there are; no numbers if all share one."""
    labels, codes = problem.groups, plan.group_codes
    if labels is None:
        return NO_CODES, 1
    fits = codes is not None and codes.shape == labels.shape and codes.dtype == np.int64
    if codes is not None and fits and codes.min() >= 0 and codes.max() < len(labels):
        # the plan's numbers save a sort of all labels, where one label stands for each number and no other does
        member = np.zeros(int(codes.max()) + 1, dtype=np.int64)
        member[codes] = np.arange(len(codes))
        of_code = labels[member]
        if len(np.unique(of_code)) == len(member) and bool((of_code[codes] == labels).all()):
            return read_only(codes), len(member)
    names, found = np.unique(labels, return_inverse=True)
    return read_only(found.astype(np.int64, copy=False)), len(names)


def _check_missing(problem: Problem, plan: Plan, arrays: Raw) -> Verified:
    said = (plan.assignment, plan.utility, plan.amortized_cost, plan.realized_cost, plan.gap)
    if any(value is not None for value in said):
        raise VerificationError(f"a plan of status {plan.status!r} cannot have an assignment or figures")
    if plan.bound is not None and not 0 <= plan.bound < math.inf:
        raise VerificationError(f"bound is {plan.bound}, which no utility can have")
    if plan.status == "no_solution":
        return Verified(None, None, None, _check_by_duality(problem, plan, NO_CODES, 0.0, 0.0, arrays))
    from robatch.solvers.check.kernels import cheapest, recount

    states, (groups, n_groups) = read_only(cheapest(arrays)), _groups(problem, plan)
    wrong, _, own, amortized, realized = recount(states, groups, n_groups, arrays)
    queries = counted(states, groups, n_groups, problem.n_states)
    calls, table = full_calls(problem, queries), states_of(problem)
    realized += math.fsum(table.written(queries).flat) * MICRO
    if problem.conflicts is not None:  # at worst, a call for each query
        calls, realized = queries, own + math.fsum(table.billed(queries).flat) * MICRO
    if any(model.tiers for model in problem.models):
        bill = tier_bill(problem, states, groups, n_groups)
        queries = counted(states, bill.codes, bill.n_codes, problem.n_states)
        calls = queries if problem.conflicts is not None else full_calls(problem, queries)
        amortized, realized = bill.amortized * MICRO, bill.realized(calls, table.model) * MICRO
    least = (amortized if plan.cost == "amortized" else realized) / MICRO
    keeps = wrong < 0 and broken(problem, states, groups, calls, plan.cost == "realized") is None
    if keeps and least < plan.budget * (1 - BUDGET):
        raise VerificationError(f"called infeasible, but a plan costs {least} USD within {plan.budget} USD")
    return Verified(None, None, None, None)


def _check_bound(plan: Plan, utility: float) -> None:
    bound = plan.bound
    if bound is None:
        if plan.status == "optimal":
            raise VerificationError("a plan without a bound cannot be called optimal")
        return
    if not math.isfinite(bound) or bound < utility * (1 - BOUND):
        raise VerificationError(f"bound is {bound}, below the utility {utility} that was reached")
    if plan.status == "optimal" and bound - utility > OPTIMAL * abs(bound) * (1 + 1e-6):
        raise VerificationError(f"called optimal with utility {utility} and bound {bound}")


def _check_by_duality(
    problem: Problem, plan: Plan, states: IntArray, utility: float, spent: float, arrays: Raw
) -> float | None:
    """Check bound and utility by weak duality, and that in an optimal plan no query alone can do better.

    What a query alone can do is not looked at where a constraint, or calls that conflicts add, may forbid it.
    Returns the bound that the shadow price proves: None without one, or if rounding may change nine digits of it.
    """
    price = plan.shadow_price
    spend = None if price is None else price * plan.budget
    priced = spend is not None and spend < math.inf
    coupled = (
        problem.constraints is not None
        or any(model.tiers for model in problem.models)
        or (problem.conflicts is not None and plan.cost == "realized")
    )
    optimal = plan.status == "optimal" and not coupled
    if not priced and not optimal:
        return None
    from robatch.solvers.check.kernels import weigh

    found, query, state, gain = weigh(
        spend if priced else 0.0,
        price / MICRO if price is not None and priced else 0.0,
        states if optimal else NO_CODES,
        (plan.budget * (1 - BOUND) - spent) * MICRO,
        max(OPTIMAL * 10 * utility, LEAST_GAIN),
        plan.cost == "amortized",
        arrays,
    )
    if query >= 0:
        raise VerificationError(
            f"called optimal, but query {query} alone gains {gain} in state {state} within the budget"
        )
    dual = float(found)
    if spend is None or not math.isfinite(dual) or COST_ROUNDING * spend > BOUND * abs(dual):
        return None
    # amortized cost is at most realized cost, so under either the budget bounds it, but for the rounding let pass
    if utility > dual + BOUND * abs(dual) + BUDGET * spend:
        raise VerificationError(f"utility is {utility}, above the {dual} that the shadow price {price} allows")
    if plan.bound is not None and plan.bound > dual + BOUND * abs(dual) + DUALS * spend:
        raise VerificationError(f"bound is {plan.bound}, above the {dual} that the shadow price {price} proves")
    return dual
