"""Destroying and rebuilding parts of a plan, from the cheapest and from the best one, after OptLLM.

Source: Liu, Zhang, Miao, Le and Li, "OptLLM: Optimal Assignment of Queries to Large Language Models", 2024, arXiv
2405.15130; known from its abstract and from reading its public code, none of which is used. It begins with the plan of
least cost and that of most predicted accuracy, moves the queries that change most until a tenth of the distance between
the two is bridged, exchanges moves until no increase has more accuracy per cost than a decrease, and so collects
plans between the two extremes, of which users take one.

Adapted: states take the place of models, and one budget that of the collection. From the cheapest plan the greatest
gains are made as long as the budget pays for them, from the best plan the greatest savings until it is kept; each of
the two then goes through a fixed number of rounds. A round destroys the choices of a tenth of the queries, drawn by the
seed (they return to their cheapest states), and rebuilds them greedily, most utility per USD first, from the money that
is left; it counts unless utility falls. The better plan of the two is returned. Predicted accuracy and its uncertainty
are the problem's business. The number of rounds is set, not the time, so that the same seed makes the same plan unless
a time limit ends the rounds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from robatch.instances.arrays import IntArray
from robatch.instances.kernels import flat
from robatch.solvers.bounds.fit_to_budget import within
from robatch.solvers.plan.incumbent import Incumbent
from robatch.solvers.reference.frontier_kernels import frontiers, rebuild
from robatch.solvers.registry import Answer, Request
from robatch.solvers.search_limits import Work

ROUNDS = 100  # from each of the two plans
DESTROYED_SHARE = 0.1  # of the queries, in a round


def run(request: Request) -> Answer:
    """Destroy and rebuild, from both extremes."""
    problem = request.problem
    work = Work(request.time_limit, 1)
    best = problem.best_assignment
    everything = Incumbent().evaluated(best, problem.evaluate(best), request.cost, request.budget)
    if everything.assignment is not None:
        return Answer.of(everything)
    first, state, costs, utilities = frontiers(flat(problem))
    lowest, highest = first[:-1], first[1:] - 1
    count = math.ceil(DESTROYED_SHARE * problem.n_queries)

    def starts(budget: float) -> Iterator[IntArray]:
        """Yield the points of the two plans that the rounds begin with."""
        extra = costs[highest] - costs[lowest]
        gains = np.argsort(utilities[lowest] - utilities[highest], kind="stable")
        raised = gains[: np.searchsorted(np.cumsum(extra[gains]), budget - costs[lowest].sum(), side="right")]
        point = lowest.copy()
        point[raised] = highest[raised]
        yield point
        savings = np.argsort(-extra, kind="stable")
        over = costs[highest].sum() - budget
        needed = np.searchsorted(np.cumsum(extra[savings]), over) + 1 if over > 0.0 else 0
        point = highest.copy()
        point[savings[:needed]] = lowest[savings[:needed]]
        yield point

    def schedule(budget: float) -> IntArray:
        random = np.random.default_rng(request.seed)
        best, most = lowest, -1.0
        for point in starts(budget):
            slack = budget - float(costs[point].sum())
            for _ in range(ROUNDS):
                if work.late:
                    break
                chosen = random.choice(problem.n_queries, count, replace=False, shuffle=False)
                slack, _ = rebuild(chosen, slack, first, costs, utilities, point)
                work.counts["rounds"] = work.counts.get("rounds", 0) + 1
            if slack >= 0.0 and utilities[point].sum() > most:
                best, most = point, float(utilities[point].sum())
        return np.asarray(state[best], dtype=np.int64)

    found = within(request, schedule).stopped(work.limit)
    return Answer.of(found, "no plan was rebuilt that keeps the budget", statistics=work.counts)
