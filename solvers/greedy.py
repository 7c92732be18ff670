"""The greedy scheduler on concave hulls, which also solves the linear relaxation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from robatch.instances.problem import IntArray, Problem
from robatch.solvers import kernels
from robatch.solvers.registry import Answer, Request
from robatch.solvers.schedule import within

ROUNDING = 1e-12  # relative; the linear bound is raised by this, and by what a sum of float64 can err at most

EPSILON = 2 * float(np.finfo(np.float64).eps)


class Hulls:
    """The concave hulls of a problem's queries, their steps in order of utility per USD.

    The multiple-choice knapsack's linear relaxation is solved by taking the steps in this order (Sinha and
    Zoltners, "The multiple-choice knapsack problem", Operations Research 27(3), 1979).

    Parameters
    ----------
    problem
        The problem.
    states
        The states that may be used, as a mask (S,); None for all.
    """

    def __init__(self, problem: Problem, states: npt.NDArray[np.bool_] | None = None) -> None:
        self.first, self.state, self.costs, self.utilities = kernels.frontiers(*kernels.flat(problem, states), True)
        self.slope = kernels.slopes(self.first, self.costs, self.utilities)
        later = np.ones(len(self.slope), dtype=np.bool_)
        later[self.first[:-1]] = False
        steps = np.flatnonzero(later)
        self.order = steps[np.argsort(-self.slope[steps], kind="stable")]
        self.query = np.repeat(np.arange(problem.n_queries, dtype=np.int32), np.diff(self.first))

    def climb(self, budget: float) -> tuple[IntArray, float, float]:
        """Return an assignment, the linear bound and the shadow price at an amortized budget in USD."""
        point, bound, price = kernels.climb(
            budget, self.order, self.query, self.first, self.costs, self.utilities, self.slope
        )
        return np.asarray(self.state[point], dtype=np.int64), bound * (1 + ROUNDING + len(self.state) * EPSILON), price

    def assign(self, budget: float) -> IntArray:
        """Return the assignment alone."""
        return self.climb(budget)[0]


def run(request: Request) -> Answer:
    """Upgrade along the hulls by utility per USD until the budget is spent.

    The bound is the linear relaxation's. It holds for realized cost too, which is never below amortized cost.
    """
    hulls = Hulls(request.problem)
    _, bound, price = hulls.climb(request.budget)
    return Answer(within(request, hulls.assign), bound=bound, shadow_price=price)
