"""The best single upgrade, which keeps the greedy scheduler from losing more than half.

The linear bound is at most the utility of the steps that are paid in full and the gain of one step more. Where no state
is dearer than the budget allows with all other queries in their cheapest states, that one step alone, from the cheapest
plan, is within the budget; so the better of the two plans has at least half of the bound (Kellerer, Pferschy and
Pisinger, "Knapsack Problems", 2004, sections 2.5 and 11.2). Dearer states are in no plan within the budget, and are
left out first.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from robatch.instances.kernels import flat
from robatch.solvers.bounds.fit_to_budget import within
from robatch.solvers.bounds.relaxation import EDGE, Relaxer
from robatch.solvers.plan.incumbent import Incumbent
from robatch.solvers.registry import Request

SMALL = 100_000  # queries times states up to which the upgrade is always looked for
HALF = 0.5  # of the bound: with so much, more is not needed


def at_least_half(request: Request, found: Incumbent) -> Incumbent:
    """Return the better of a greedy plan and the best single upgrade, under amortized cost.

    Its utility is at least half of the greatest within the budget. Where the problem is large, the upgrade is only
    looked for if the plan may be worth less than that.
    """
    problem = request.problem
    short = found.utility < HALF * found.bound
    if not short and problem.n_queries * problem.n_states > SMALL:
        return found
    base = problem.cheapest_assignment
    room = (request.budget - problem.cheapest_budget) * (1 + EDGE) + EDGE * request.budget
    best, query, state = 0.0, -1, -1
    dear = np.zeros((problem.n_queries, problem.n_states), dtype=np.bool_)
    for rows in problem.blocks():
        lines, chosen = np.arange(rows.stop - rows.start), base[rows]
        costs, utilities = problem.amortized_costs(rows), problem.utilities(rows).astype(np.float64)
        dear[rows] = costs - costs[lines, chosen][:, None] > room
        gain = utilities - utilities[lines, chosen][:, None]
        gain = np.where(dear[rows] | ~problem.allowed(rows), 0.0, gain)
        place = int(np.argmax(gain))
        if gain.flat[place] > best:
            best, query, state = float(gain.flat[place]), rows.start + place // gain.shape[1], place % gain.shape[1]
    if query >= 0:
        upgraded = base.copy()
        upgraded[query] = state
        found = found.evaluated(upgraded, problem.evaluate(upgraded), request.cost, request.budget)
    if short and dear.any():
        rest = problem.replace(forbidden=dear if problem.forbidden is None else dear | problem.forbidden)
        relaxer = Relaxer(flat(rest))
        plan = within(replace(request, problem=rest, bounds=None), relaxer.schedule)
        found = found.offered(plan.assignment, plan.utility, plan.cost, evaluation=plan.evaluation)
        found = found.bounded(relaxer.at(request.budget).bound)
    return found
