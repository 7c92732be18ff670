"""One trade-off between utility and cost for all queries, after CARROT.

Source: Somerstep, Maia Polo, Melo de Oliveira, Mangal, Silva, Bhardwaj, Yurochkin and Maity, "CARROT: A Cost Aware Rate
Optimal Router", 2025, arXiv 2502.03261; known from its abstract and summaries. It predicts utility and cost of a query
in every model, and takes the model of the best weighted sum of the two. R2-Router (Huang et al., 2026, arXiv
2602.02823; known from its abstract) takes the best pair of model and limit of output length by such a sum.

Adapted: the choice is among states, so that model and batch size are chosen together, and no output lengths are;
utilities and costs are those of the problem. The weight lambda (utility per USD) is not given but the smallest whose
plan keeps the budget; what is left of it then stays unspent. The smallest one is the shadow price of the linear
relaxation, so it is read there, exactly and in a few linear passes, instead of being searched for by bisection. Where
two states are worth the same, the cheaper one is taken.
"""

from __future__ import annotations

import numpy as np

from robatch.instances.arrays import IntArray
from robatch.solvers.bounds.shared import Bounds
from robatch.solvers.reference.peers.answer import answered
from robatch.solvers.registry import Answer, Request


def run(request: Request) -> Answer:
    """Take every query's state of greatest ``utility - lambda * cost``, at the smallest lambda within the budget."""
    relaxer = Bounds.of(request).relaxer

    def schedule(budget: float) -> IntArray:
        relaxation = relaxer.at(budget)
        steps = relaxation.steps
        # of steps as steep as the price, a budget may pay for some: one lambda takes all or none
        taken = int(np.count_nonzero(steps.slope[: relaxation.break_step] > relaxation.price))
        return steps.taken(taken)

    return answered(request, schedule, "no trade-off was found to keep the budget")
