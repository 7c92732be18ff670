"""The incumbent of a search: the best plan found so far, and what is proven about every plan."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from robatch.instances.arrays import IntArray
from robatch.instances.problem_costs import Evaluation
from robatch.solvers.plan.plan import Cost, Limit


@dataclass(frozen=True, eq=False)
class Incumbent:
    """The best plan found so far, and a bound that no plan exceeds.

    Attributes
    ----------
    assignment
        State of each query: (N,). None if no plan is known.
    utility, cost
        Its utility, and its USD under the cost model of the budget; -inf and inf without a plan.
    bound
        Proven upper bound on the utility of any plan, inf if none is known.
    limit
        What ended the search before its proof was complete, or None.
    evaluation
        All figures of the plan, where they come from `Problem.evaluate`.
    """

    assignment: IntArray | None = None
    utility: float = -math.inf
    cost: float = math.inf
    bound: float = math.inf
    limit: Limit | None = None
    evaluation: Evaluation | None = None

    @property
    def shortfall(self) -> float:
        """Utility between the plan and the bound."""
        return self.bound - self.utility

    def proven(self, gap: float) -> bool:
        """Return whether there is a plan that is proven best to a gap, relative to the larger of plan and bound."""
        larger = max(abs(self.bound), abs(self.utility))  # where utility stands for minus USD, the plan's
        return self.assignment is not None and self.bound < math.inf and self.shortfall <= gap * larger

    def offered(
        self,
        assignment: IntArray | None,
        utility: float,
        cost: float = math.inf,
        ties: bool = False,
        evaluation: Evaluation | None = None,
    ) -> Incumbent:
        """Return what is known once a plan is found: the better one stays, of equal ones the older but for `ties`."""
        if assignment is None or not (utility > self.utility or (ties and utility == self.utility)):
            return self
        return replace(self, assignment=assignment, utility=utility, cost=cost, evaluation=evaluation)

    def evaluated(self, assignment: IntArray, found: Evaluation, cost: Cost, budget: float) -> Incumbent:
        """Return what is known once a plan with all its figures is found, if it keeps a budget in USD."""
        spent = found.cost(cost)
        return self if spent > budget else self.offered(assignment, found.utility, spent, evaluation=found)

    def bounded(self, bound: float | None) -> Incumbent:
        """Return what is known once another bound is proven: the lower one stays; None proves nothing."""
        return self if bound is None or bound >= self.bound else replace(self, bound=bound)

    def stopped(self, limit: Limit | None) -> Incumbent:
        """Return the same, ended by a limit."""
        return replace(self, limit=limit)
