"""A random mix of two uniform plans: the zero router of RouterBench.

Source: Hu, Bieker, Li, Jiang, Keigwin, Ranganath, Keutzer and Upadhyay, "RouterBench: A Benchmark for Multi-LLM Routing
System", 2024, arXiv 2403.12031; known from its abstract and summaries. Each model is a point, mean cost and mean
quality. Between two corners of the points' non-decreasing convex hull, any mean is reached by sending each query to one
of the two at random. A router that knows something of a query has to lie above that line.

Adapted: states take the place of models. The share of queries that the budget pays for is drawn by the seed, as a fixed
number and not query by query; where those drawn cost more than the mean, the last of them are left out, so that the
budget is kept for certain and not in expectation. Under realized cost a mix does not cost what the line says, since a
share of the queries needs more than that share of the calls: this is for amortized cost only.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from robatch.instances.arrays import IntArray
from robatch.solvers.reference.peers.answer import answered
from robatch.solvers.reference.peers.uniform import uniform_hull
from robatch.solvers.registry import Answer, Request


def run(request: Request) -> Answer:
    """Mix the two uniform plans on the hull whose costs enclose the budget."""
    problem = request.problem
    hull = uniform_hull(problem, request.budget)
    drawn = np.random.default_rng(request.seed).permutation(problem.n_queries)

    def schedule(budget: float) -> IntArray:
        if budget >= hull[-1].cost:
            return hull[-1].states
        for low, high in pairwise(hull):
            if low.cost <= budget < high.cost:
                share = (budget - low.cost) / (high.cost - low.cost)
                spent = low.cost + np.cumsum((high.costs - low.costs)[drawn[: int(share * problem.n_queries)]])
                kept = np.flatnonzero(spent <= budget)
                moved = drawn[: kept[-1] + 1 if len(kept) else 0]
                states = low.states.copy()
                states[moved] = high.states[moved]
                return states
        return problem.cheapest_assignment

    return answered(request, schedule, "no mix of two states was found to keep the budget")
