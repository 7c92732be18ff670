"""The linear relaxation read the other way: the least cost of a target utility, its bound and its greedy plan.

The steps of the concave hulls, in order of utility per USD, are taken until the target is reached. At the slope
``p`` of the step that reaches it, every plan of at least the target costs at least
``(target - sum over queries i of max over states s of (utility[i, s] - p * cost[i, s])) / p`` (weak duality).
As with a budget, two prices that bracket that slope decide nearly all queries, and a sample sets them. Source of the
relaxation: Sinha and Zoltners, "The multiple-choice knapsack problem", Operations Research 27(3), 1979.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from robatch.instances.arrays import FloatArray, IntArray
from robatch.instances.problem import Problem
from robatch.solvers.bounds.relaxation import DUAL_ROUNDING, EDGE, Goal, Relaxer, Steps

ATTEMPTS = 12  # plans made for a target raised by what rounding took, before the best plan stands in
CHANGES = 64  # of a single query, that bring the cost down


@dataclass(frozen=True, slots=True)
class Reach:
    """The relaxation at a target utility.

    Attributes
    ----------
    steps
        Steps whose prices bracket the shadow price.
    price
        The shadow price: utility per USD of the step that reaches the target; inf if the cheapest plan does.
    bound
        USD that no plan of the target costs less than, rounding included.
    break_step
        The step that reaches the target: so many steps come before it.
    missing
        Utility that these leave missing.
    """

    steps: Steps
    price: float
    bound: float
    break_step: int
    missing: float

    def plan(self) -> IntArray:
        """Return an assignment (N,) that reaches the target but for rounding, at low cost."""
        steps = self.steps
        if self.missing <= 0.0 or self.break_step >= len(steps.slope):
            return steps.taken(self.break_step)
        ends = [_Ending(self, step) for step in {self.break_step, self._cheapest_last()}]
        last = min(ends, key=lambda end: end.cost).last
        taken = last[last >= 0]
        states = steps.states.astype(np.int64)
        states[steps.query[taken]] = steps.state[taken]
        return states

    def last_steps(self) -> IntArray:
        """Return the last step of each owner before the target is reached, -1 if it has none: (owners,)."""
        owner = self.steps.owner
        last = np.full(int(owner.max()) + 1, -1)
        last[owner[: self.break_step]] = np.arange(self.break_step)  # of an owner's steps, the last one stays
        return last

    def _cheapest_last(self) -> int:
        """Return the step that alone reaches the target from the whole steps at least cost."""
        steps, first = self.steps, self.break_step
        last, owner = self.last_steps(), steps.owner[first:]
        more = steps.utility_above[first:] - _where(last, steps.utility_above)[owner]
        extra = steps.cost_above[first:] - _where(last, steps.cost_above)[owner]
        costs = np.where(more >= self.missing, extra, np.inf)
        return first + int(costs.argmin()) if np.isfinite(costs).any() else first


class _Ending:
    """The steps up to a target, a chosen one last, and then whatever can be undone.

    Parameters
    ----------
    reach
        The relaxation.
    step
        The step that is taken last.

    Attributes
    ----------
    last
        Last step of each owner, -1 if it has none: (owners,).
    cost
        USD above that of the steps' first states.
    """

    def __init__(self, reach: Reach, step: int) -> None:
        owner, cost, utility = reach.steps.owner, reach.steps.cost_above, reach.steps.utility_above
        last = reach.last_steps()
        paid, won = _where(last, cost), _where(last, utility)
        surplus = utility[step] - won[owner[step]] - reach.missing  # utility above the target
        last[owner[step]], paid[owner[step]], won[owner[step]] = step, cost[step], utility[step]
        for _ in range(CHANGES):
            saved = np.where(won[owner] - utility <= surplus, paid[owner] - cost, 0.0)
            dropped = np.where(won <= surplus, paid, 0.0)  # back to the first state
            step, query = int(saved.argmax()), int(dropped.argmax())
            if max(saved[step], dropped[query]) <= 0.0:
                break
            if saved[step] >= dropped[query]:
                query = int(owner[step])
                surplus -= won[query] - utility[step]
                last[query], paid[query], won[query] = step, cost[step], utility[step]
            else:
                surplus -= won[query]
                last[query], paid[query], won[query] = -1, 0.0, 0.0
        self.last, self.cost = last, float(paid.sum())


def _where(last: IntArray, values: FloatArray) -> FloatArray:
    """Return the value of each owner's last step, 0 where it has none."""
    return np.where(last >= 0, values[last], 0.0)


def reach(relaxer: Relaxer, target: float) -> Reach:
    """Solve the relaxation at a target utility, which some plan must reach; the relaxer keeps the steps."""
    steps = relaxer.around(Goal.target(target))
    need = target - steps.utility
    if need <= 0.0:
        return Reach(steps, math.inf, max(steps.cost * (1 - DUAL_ROUNDING), 0.0), 0, 0.0)
    taken = int(np.searchsorted(np.cumsum(steps.step_utility), need, side="left"))
    cost = steps.cost + float(np.sum(steps.step_cost[:taken]))
    missing = max(need - float(np.sum(steps.step_utility[:taken])), 0.0)
    if taken < len(steps.slope):
        price = float(steps.slope[taken])
        cost += min(missing / price, float(steps.step_cost[taken]))
    else:  # but for rounding, all steps reach it
        price = float(steps.slope[-1]) if len(steps.slope) else math.inf
    least = steps.cost * (1 - DUAL_ROUNDING) if steps.high == math.inf else 0.0
    return Reach(steps, price, max(cost - DUAL_ROUNDING * (cost + target / price), least), taken, missing)


def reaching(problem: Problem, relaxer: Relaxer, target: float) -> IntArray:
    """Return an assignment (N,) of low amortized cost whose utility, as the problem sums it, reaches a target."""
    cheapest = problem.cheapest_assignment
    if problem.total_utility(cheapest) >= target:
        return cheapest
    aim = target
    for _ in range(ATTEMPTS):
        states = reach(relaxer, aim).plan()
        short = target - problem.total_utility(states)
        if short <= 0.0:
            return states
        aim += 2 * max(short, EDGE * target)
    return problem.best_assignment
