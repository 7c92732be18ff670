"""A weak and a strong state, and a threshold on what a query gains from the strong one, after RouteLLM.

Source: Ong, Almahairi, Wu, Chiang, Wu, Gonzalez, Kadous and Stoica, "RouteLLM: Learning to Route LLMs with Preference
Data", 2024, arXiv 2406.18665; known from its abstract and summaries. There a router learned from preferences estimates
how likely the strong model's answer is the better one, and a query goes to the strong model where that is above a
threshold, which is set for a share of queries.

Adapted: states take the place of models; the gain in utility, which the problem gives, takes that of the learned
probability; the threshold is set by the budget. The pair is not given but chosen: of all pairs of states on the convex
hull of the uniform plans, the one of most utility within the budget. That flatters the method. Queries of equal gain
go in order of what the strong state costs them more, then of their position, so that a threshold may split them.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from robatch.instances.arrays import IntArray
from robatch.solvers.reference.peers.answer import answered
from robatch.solvers.reference.peers.uniform import Uniform, uniform_hull
from robatch.solvers.registry import Answer, Request


def run(request: Request) -> Answer:
    """Send those that gain most to the strong state, as far as the budget pays, for the best pair of states."""
    hull = uniform_hull(request.problem, request.budget)

    def schedule(budget: float) -> IntArray:
        fitting = [one for one in hull if one.cost <= budget]
        if not fitting:
            return request.problem.cheapest_assignment
        best, utility = fitting[-1].states, fitting[-1].utility
        for weak, strong in combinations(hull, 2):
            if weak.cost > budget:
                break
            sent = _sent(weak, strong, budget)
            total = weak.utility + float((strong.utilities - weak.utilities)[sent].sum())
            if total > utility:
                best, utility = weak.states.copy(), total
                best[sent] = strong.states[sent]
        return best

    return answered(request, schedule, "no pair of states was found to keep the budget")


def _sent(weak: Uniform, strong: Uniform, budget: float) -> IntArray:
    """Return the queries that go to the strong state: those above the lowest threshold that the budget pays for."""
    gain, extra = strong.utilities - weak.utilities, strong.costs - weak.costs
    order = np.lexsort((extra, -gain))
    order = order[: np.count_nonzero(gain > 0.0)]
    paid = np.flatnonzero(np.cumsum(extra[order]) <= budget - weak.cost)
    sent: IntArray = order[: paid[-1] + 1 if len(paid) else 0]
    return sent
