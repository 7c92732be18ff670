"""The scheduler of the RoBatch paper (arXiv 2605.28268), as reconstructed from its abstract.

The paper's full text was not at hand. What is built here: every query starts in its cheapest state; the
scheduler repeatedly takes the upgrade to the next state of some query's cost-utility Pareto frontier that
has the best utility per USD, until the budget is exhausted. A query whose next upgrade does not fit any
more is done; the others go on.
"""

from __future__ import annotations

import numpy as np

from robatch.instances.arrays import IntArray
from robatch.instances.kernels import flat
from robatch.solvers.bounds.fit_to_budget import within
from robatch.solvers.reference import frontier_kernels as kernels
from robatch.solvers.registry import Answer, Request


def run(request: Request) -> Answer:
    """Climb the raw Pareto frontiers; nothing is proven."""
    first, state, costs, utilities = kernels.frontiers(flat(request.problem))

    def schedule(budget: float) -> IntArray:
        point = kernels.climb_heap(budget, first, costs, utilities)
        return np.asarray(state[point], dtype=np.int64)

    return Answer.of(within(request, schedule))
