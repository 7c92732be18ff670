"""Uniform plans, one for each state, and the hull of their totals: what peers know that compare whole models."""

from __future__ import annotations

from dataclasses import dataclass

from robatch.instances.arrays import FloatArray, IntArray
from robatch.instances.kernels import flat
from robatch.instances.problem import Problem
from robatch.solvers.bounds.relaxation import EDGE
from robatch.solvers.reference.peers import kernels


@dataclass(frozen=True, slots=True)
class Uniform:
    """All queries in one state, but for those that are not allowed in it.

    Attributes
    ----------
    states, costs, utilities
        State of each query, its amortized USD and its utility: (N,).
    cost, utility
        The totals.
    """

    states: IntArray
    costs: FloatArray
    utilities: FloatArray
    cost: float
    utility: float


def uniform_hull(problem: Problem, budget: float) -> list[Uniform]:
    """Return the uniform plans on the non-decreasing convex hull of total cost and total utility, cheapest first.

    A query that is not allowed in a state takes its own cheapest one. Where no uniform plan keeps the budget (USD,
    amortized), the cheapest plan stands in as one more, so that there is a plan wherever the cheapest one keeps it.
    """
    arrays, cheapest = flat(problem), problem.cheapest_assignment

    def plan(state: int) -> Uniform:
        states, costs, utilities = kernels.uniform(state, cheapest, arrays)
        return Uniform(states, costs, utilities, float(costs.sum()), float(utilities.sum()))

    totals = {state: (one.cost, one.utility) for state in range(problem.n_states) for one in (plan(state),)}
    if min(totals.values())[0] > budget * (1 + EDGE):
        one = plan(-1)
        totals[-1] = one.cost, one.utility
    corners: list[int] = []
    for state in sorted(totals, key=lambda state: (totals[state][0], -totals[state][1])):
        cost, utility = totals[state]
        if corners and utility <= totals[corners[-1]][1]:
            continue
        while len(corners) > 1:
            (c0, u0), (c1, u1) = totals[corners[-2]], totals[corners[-1]]
            if (utility - u1) * (c1 - c0) < (u1 - u0) * (cost - c1):
                break
            corners.pop()
        corners.append(state)
    return [plan(state) for state in corners]
