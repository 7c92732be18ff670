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
from robatch.solvers.bounds.relaxation import (
    DIRECT,
    EDGE,
    FARTHEST,
    ROUNDING,
    SAMPLE,
    Relaxer,
    Steps,
    find_steps,
    sample,
)

ATTEMPTS = 12  # plans made for a target raised by what rounding took, before the best plan stands in
ROUNDS = 64  # changes of a single query that bring the cost down
UNLIKE = 1.0  # width of the bracket to each side: standard deviation of the sample's utility, 3 times a third


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
    whole
        Number of steps before the one that reaches the target.
    missing
        Utility that these leave missing.
    """

    steps: Steps
    price: float
    bound: float
    whole: int
    missing: float

    def plan(self) -> IntArray:
        """Return an assignment (N,) that reaches the target but for rounding, at low cost."""
        steps = self.steps
        states = steps.states.astype(np.int64)
        if self.missing <= 0.0 or self.whole >= len(steps.slope):
            states[steps.query[: self.whole]] = steps.state[: self.whole]
            return states
        ends = [_Ending(self, step) for step in {self.whole, _best_last(self)}]
        best = min(ends, key=lambda end: end.cost)
        places = best.at >= 0
        taken = best.at[places]
        states[steps.query[taken]] = steps.state[taken]
        return states


class _Ending:
    """The steps up to a target, the last one chosen, and then whatever can be undone.

    Parameters
    ----------
    reach
        The relaxation.
    last
        The step that is taken last.

    Attributes
    ----------
    at
        Last step of each owner, -1 if it has none: (owners,).
    cost
        USD above that of the steps' first states.
    """

    def __init__(self, reach: Reach, last: int) -> None:
        steps = reach.steps
        owner, extra, gain = steps.owner, steps.extra, steps.gain
        owners = int(owner.max()) + 1
        at = np.full(owners, -1)
        at[owner[: reach.whole]] = np.arange(reach.whole)  # of an owner's steps, the last one stays
        paid, won = _where(at, extra), _where(at, gain)
        over = gain[last] - won[owner[last]] - reach.missing  # utility above the target
        at[owner[last]], paid[owner[last]], won[owner[last]] = last, extra[last], gain[last]
        for _ in range(ROUNDS):
            saved = np.where(won[owner] - gain <= over, paid[owner] - extra, 0.0)
            dropped = np.where(won <= over, paid, 0.0)  # back to the first state
            step, query = int(saved.argmax()), int(dropped.argmax())
            if max(saved[step], dropped[query]) <= 0.0:
                break
            if saved[step] >= dropped[query]:
                query = int(owner[step])
                over -= won[query] - gain[step]
                at[query], paid[query], won[query] = step, extra[step], gain[step]
            else:
                over -= won[query]
                at[query], paid[query], won[query] = -1, 0.0, 0.0
        self.at, self.cost = at, float(paid.sum())


def _where(at: IntArray, values: FloatArray) -> FloatArray:
    """Return the value of each owner's last step, 0 where it has none."""
    return np.where(at >= 0, values[at], 0.0)


def _best_last(reach: Reach) -> int:
    """Return the step that alone reaches the target from the whole steps at least cost."""
    steps, whole = reach.steps, reach.whole
    owner, extra, gain = steps.owner, steps.extra, steps.gain
    at = np.full(int(owner.max()) + 1, -1)
    at[owner[:whole]] = np.arange(whole)
    more = gain[whole:] - _where(at, gain)[owner[whole:]]
    costs = np.where(more >= reach.missing, extra[whole:] - _where(at, extra)[owner[whole:]], np.inf)
    return whole + int(costs.argmin()) if np.isfinite(costs).any() else whole


def reach(relaxer: Relaxer, target: float) -> Reach:
    """Solve the relaxation at a target utility, which some plan must reach; the relaxer keeps the steps."""
    steps = relaxer.steps
    if steps is None or not _brackets(steps, target):
        steps = relaxer.steps = _steps_around(relaxer, target)
    need = target - steps.utility
    if need <= 0.0:
        return Reach(steps, math.inf, max(steps.cost * (1 - ROUNDING), 0.0), 0, 0.0)
    whole = int(np.searchsorted(np.cumsum(steps.step_gain), need, side="left"))
    cost = steps.cost + float(np.sum(steps.step_cost[:whole]))
    missing = max(need - float(np.sum(steps.step_gain[:whole])), 0.0)
    if whole < len(steps.slope):
        price = float(steps.slope[whole])
        cost += min(missing / price, float(steps.step_cost[whole]))
    else:  # but for rounding, all steps reach it
        price = float(steps.slope[-1]) if len(steps.slope) else math.inf
    error = ROUNDING * (cost + target / price)
    return Reach(steps, price, max(cost - error, steps.cost * (1 - ROUNDING) if steps.high == math.inf else 0.0),
                 whole, missing)  # fmt: skip


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


def _brackets(steps: Steps, target: float) -> bool:
    """Whether the shadow price at a target lies between the prices of steps, clear of rounding."""
    low = steps.utility <= target * (1 - EDGE) or steps.high == math.inf
    return low and (steps.utility + float(steps.step_gain.sum()) >= target * (1 + EDGE) or steps.low == 0.0)


def _steps_around(relaxer: Relaxer, target: float) -> Steps:
    """Return the steps between two prices that bracket the shadow price at a target; a sample sets them."""
    flat, rows = relaxer.flat, relaxer.flat.n_queries
    if rows <= DIRECT:
        return find_steps(flat, math.inf, 0.0)
    chosen = sample(rows, max(rows // SAMPLE, DIRECT // 2))
    first = high, low = _bracket(find_steps(flat.take(chosen), math.inf, 0.0, relaxer.threads), target / rows)
    while True:
        found = find_steps(flat, high, low, relaxer.threads)
        if _brackets(found, target):
            return found
        width = max(high - low, 1e-6 * high)
        if found.utility > target * (1 - EDGE):
            high = high + 8 * width if high < FARTHEST * first[0] else math.inf
        else:
            low = low - 8 * width if low > 8 * width else 0.0


def _bracket(part: Steps, mean: float) -> tuple[float, float]:
    """Return prices between which the shadow price lies, very likely, from all steps of a sample."""
    n = len(part.states)
    if not len(part.slope):
        return math.inf, 0.0
    won, band = part.utility + np.cumsum(part.step_gain), UNLIKE * math.sqrt(n)
    above, below = np.searchsorted(won, (mean * n - band, mean * n + band))
    beyond = len(part.slope)
    high = part.high if part.utility > mean * n - band else float(part.slope[min(int(above), beyond - 1)])
    low = part.low if below >= beyond else float(part.slope[below])
    return (high, low) if high > low else (high * (1 + 1e-9), low * (1 - 1e-9))
