"""Independent check of the least cost of a target utility."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from robatch.instances.problem import Problem
from robatch.solvers.check.raw import MICRO, NO_CODES, VerificationError, raw_arrays
from robatch.solvers.check.tiers import tier_costs
from robatch.solvers.check.verify import BOUND, COST_ROUNDING, FIGURES, OPTIMAL, verify

if TYPE_CHECKING:
    from robatch.solvers.cheapest.cheapest import Cheapest
    from robatch.solvers.check.kernels import Raw

REACHED = 1e-12  # relative: what the sum of utilities here and the problem's may differ by


def verify_cheapest(problem: Problem, found: Cheapest, calls: bool = True) -> float | None:
    """Recompute everything that a plan of least cost says about itself.

    Parameters
    ----------
    problem
        The problem that it was made for.
    found
        What `cheapest` returned.
    calls
        Whether to form the physical calls and check each of them too.

    Returns
    -------
    float or None
        Lower bound on the USD of any plan that reaches the target, as far as the shadow price alone proves it. Where
        the bound of `found` is higher, the difference was proven by the solver's search, which is not repeated here.
        None without a shadow price, and where rounding would blur the bound.

    Raises
    ------
    VerificationError
        If the plan is not what it says it is, misses the target, or costs something else than is said, if the bound
        is above the cost or, from ``greedy`` under amortized cost, above what the shadow price proves, or if bound,
        status and limit contradict each other.

    Notes
    -----
    At any price p above 0 (utility per USD), ``utility[i, s] - p * cost[i, s]`` of a query in its state is at most the
    greatest one of all its states. Summed over the queries, a plan that reaches the target has ``target - p * cost <=
    sum over queries i of max over states s of (utility[i, s] - p * cost[i, s])``, which bounds its amortized cost from
    below, and so its realized cost.
    """
    plan, cost, bound = found.plan, found.cost, found.bound
    if found.status not in ("optimal", "feasible", "infeasible", "no_solution"):
        raise VerificationError(f"status is {found.status!r}, which is not known")
    if not 0.0 <= found.target < math.inf:
        raise VerificationError(f"target is {found.target}, which no utility can be")
    if bound is not None and not 0.0 <= bound < math.inf:
        raise VerificationError(f"bound is {bound}, which no cost can be")
    if plan is None or cost is None:
        if found.status in ("optimal", "feasible") or plan is not None or cost is not None:
            raise VerificationError(f"status is {found.status!r}, with the plan {plan} and the cost {cost}")
        if found.status == "infeasible":
            _check_out_of_reach(problem, found)
        return None
    if found.status not in ("optimal", "feasible"):
        raise VerificationError(f"status is {found.status!r}, and there is a plan")
    true = verify(problem, plan, calls=calls)
    spent = true.amortized_cost if plan.cost == "amortized" else true.realized_cost
    if true.utility is None or spent is None:
        raise VerificationError("the plan has no assignment")
    if true.utility < found.target * (1 - REACHED):
        raise VerificationError(f"utility is {true.utility}, below the target {found.target}")
    if not abs(cost - spent) <= FIGURES * spent or abs(plan.budget - cost) > FIGURES * cost + 1e-300:
        raise VerificationError(f"cost is said to be {cost} USD within {plan.budget} USD, and is {spent} USD")
    if bound is not None and bound > cost:
        raise VerificationError(f"bound is {bound} USD, above the cost of {cost} USD")
    if found.status == "optimal" and (
        bound is None or found.limit is not None or cost - bound > OPTIMAL * cost * (1 + 1e-6)
    ):
        raise VerificationError(f"called optimal with cost {cost}, bound {bound} and limit {found.limit!r}")
    dual = _dual(problem, found)
    if dual is not None and cost < dual * (1 - BOUND):
        raise VerificationError(f"cost is {cost} USD, below the {dual} USD that the shadow price allows")
    linear = found.solver == "greedy" and plan.cost == "amortized"
    if dual is not None and linear and bound is not None and bound > dual * (1 + BOUND):
        raise VerificationError(f"bound is {bound} USD, above the {dual} USD that the shadow price proves")
    return dual


def _check_out_of_reach(problem: Problem, found: Cheapest) -> None:
    """Check that every query in its best state misses the target; constraints may put it further out of reach."""
    from robatch.solvers.check.kernels import weigh

    greatest = float(weigh(0.0, 0.0, NO_CODES, 0.0, 0.0, True, _raw(problem, True))[0])
    if problem.constraints is None and greatest > found.target * (1 + FIGURES):
        raise VerificationError(f"called infeasible, but a plan reaches {greatest}, above the target {found.target}")


def _raw(problem: Problem, by_share: bool) -> Raw:
    tiered = any(model.tiers for model in problem.models)
    return raw_arrays(problem, tier_costs(problem, not by_share) if tiered else None)


def _dual(problem: Problem, found: Cheapest) -> float | None:
    """Return the lower bound that the shadow price proves: None without one, or if rounding may change nine digits."""
    from robatch.solvers.check.kernels import weigh

    price = found.shadow_price
    if price is None or not 0.0 < price < math.inf:
        return None
    by_share = found.plan is None or found.plan.cost == "amortized"
    most = float(weigh(0.0, price / MICRO, NO_CODES, 0.0, 0.0, by_share, _raw(problem, by_share))[0])
    dual = (found.target - most) / price
    if not math.isfinite(dual) or COST_ROUNDING * found.target / price > BOUND * abs(dual):
        return None
    return dual
