"""Queries one at a time, at a shadow price learned from the first few, after PORT.

Source: Wu and Silwal, "Efficient Training-Free Online Routing for High-Volume Multi-LLM Serving", 2025, arXiv
2509.02718; known from its abstract, summaries and from reading its public code, none of which is used. The first
queries, 2.5 per cent of those expected, are routed at random and observed. The dual of the linear relaxation of these,
with their part of the budget, gives one price for each model's budget; every later query takes the model of greatest
estimated utility less price times cost.

Adapted: states take the place of models, and there is one budget and so one price, solved for exactly. Utilities are
those of the problem, not means over similar queries of the past. Queries come in an order drawn by the seed. Those
observed are not routed at random: each takes the most utility that its cheapest cost and an equal part of the slack
(what the budget leaves above the cheapest plan) buy. A query is never refused: each may spend what is left when the
cheapest state of all to come is paid for, whose total cost is taken as known, as is their number. Calls that fill up
over time are not modelled, so this is for amortized cost only.
"""

from __future__ import annotations

import math

import numpy as np

from robatch.instances.arrays import IntArray
from robatch.instances.kernels import flat
from robatch.solvers.bounds.relaxation import Relaxer
from robatch.solvers.bounds.threads import thread_count
from robatch.solvers.reference.peers import kernels
from robatch.solvers.reference.peers.answer import answered
from robatch.solvers.registry import Answer, Request

OBSERVED_SHARE = 0.025  # of the queries
MAX_PRICE = 1e200  # utility per USD; at an infinite price, what costs nothing would be worth nothing definite


def run(request: Request, observed_share: float = OBSERVED_SHARE) -> Answer:
    """Observe the first queries, a share of all, fix the price, and serve the others at it."""
    problem, arrays = request.problem, flat(request.problem)
    order = np.random.default_rng(request.seed).permutation(problem.n_queries)
    observed = order[: math.ceil(observed_share * problem.n_queries)]
    cheapest = problem.cheapest_assignment
    _, least, _ = kernels.uniform(-1, cheapest, arrays)
    relaxer = Relaxer(arrays.take(observed), thread_count(request.threads))

    def schedule(budget: float) -> IntArray:
        slack = max(budget - float(least.sum()), 0.0)
        price = relaxer.at(float(least[observed].sum()) + slack * len(observed) / problem.n_queries).price
        states: IntArray = kernels.serve(order, len(observed), min(price, MAX_PRICE), slack, cheapest, least, arrays)
        return states

    return answered(request, schedule, "the queries could not be served within the budget")
