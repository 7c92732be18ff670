"""The greedy scheduler: upgrades along the concave hulls by utility per USD, which also gives the linear bound."""

from __future__ import annotations

from robatch.solvers.bounds.fit_to_budget import within
from robatch.solvers.bounds.relaxation import EDGE
from robatch.solvers.bounds.shared import Bounds
from robatch.solvers.greedy import constrained, realized
from robatch.solvers.greedy.single_upgrade import at_least_half
from robatch.solvers.plan.incumbent import Incumbent
from robatch.solvers.registry import Answer, Request


def run(request: Request) -> Answer:
    """Upgrade along the hulls by utility per USD until the budget is spent, or take the best single upgrade.

    Under amortized cost, a plan has at least half of the greatest utility within the budget, see `single_upgrade`.

    The bound is the linear relaxation's (Sinha and Zoltners, "The multiple-choice knapsack problem", Operations
    Research 27(3), 1979); where the plan is worth less than half of it, that over the states that the budget pays for.
    Realized cost, and constraints that couple queries, have schedulers of their own;
    costs of one's own are kept here, as both cost models are then the same.
    """
    if request.problem.constraints is not None:
        return constrained.run(request)
    if request.cost == "realized" and request.problem.costs is None:
        return realized.run(request)
    relaxer = Bounds.of(request).relaxer
    relaxation = relaxer.at(request.budget)
    states, utility, cost = relaxation.plan()
    if cost > request.budget * (1 - EDGE):  # at the edge, the last digits decide
        found = within(request, relaxer.schedule).bounded(relaxation.bound)
    else:
        found = Incumbent(states, utility, cost, relaxation.bound)
    return Answer.of(at_least_half(request, found), shadow_price=relaxation.price)
