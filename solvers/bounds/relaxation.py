"""The linear relaxation at one budget, without a global sort: shadow price, bound, and the greedy plan.

The relaxation of the multiple-choice knapsack has one dual value, the shadow price. At any price above it, each
query's best state for itself makes a plan within the budget; at any price below, one over it. So two prices that
bracket it decide all queries whose best state is the same at both, and only the steps of the others are sorted
(after Dyer, "An O(n) algorithm for the multiple-choice knapsack linear program", Mathematical Programming 29,
1984, and Zemel, Information Processing Letters 18, 1984, who halve the bracket; here a sample sets it).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from robatch.instances.arrays import FloatArray, IntArray
from robatch.instances.kernels import Flat
from robatch.solvers.bounds import relaxation_kernels
from robatch.solvers.bounds.threads import over_chunks

DIRECT = 2_048  # queries up to which all steps are sorted
SAMPLE = 64  # one query in so many is in the sample that sets the bracket
EDGE = 1e-12  # relative: what sums of costs, or of utilities, may err at most
FARTHEST = 1e4  # a high price is moved up to so many times the first one, then to infinity
DEVIATIONS = 3.0  # width of the bracket to each side, in standard deviations of the sample's cost
DEVIATION = 1 / 3  # of a sample's utility a query: more than any that is from 0 to 1 is likely to have
DUAL_ROUNDING = 16 * float(np.finfo(np.float64).eps)  # relative to all that is summed: what a bound can err at most


@dataclass(frozen=True, slots=True)
class Steps:
    """Each query's best state at a high price, and the steps from there to a low price, in order of slope.

    Attributes
    ----------
    states
        State of each query at the high price: (N,).
    cost, utility, deviation
        USD and utility of these states, and the standard deviation of their USD over the queries.
    query, owner, state, slope, cost_above, utility_above
        Of each step: its query, a number for that query among those with steps, the state that it leads to,
        utility per USD, and USD and utility above the query's first state: (steps,).
    step_cost, step_utility
        Incremental USD and utility of each step: (steps,).
    high, low
        The prices.
    """

    states: npt.NDArray[np.signedinteger[Any]]
    cost: float
    utility: float
    deviation: float
    query: IntArray
    owner: IntArray
    state: npt.NDArray[np.int32]
    slope: FloatArray
    cost_above: FloatArray
    utility_above: FloatArray
    step_cost: FloatArray
    step_utility: FloatArray
    high: float
    low: float

    def taken(self, number: int) -> IntArray:
        """Return the assignment (N,) after the first of the steps."""
        states = self.states.astype(np.int64)
        states[self.query[:number]] = self.state[:number]  # of a query's steps, the last one stays
        return states


@dataclass(frozen=True, slots=True)
class Goal:
    """What steps are taken up to: USD of a budget, or a target utility.

    Attributes
    ----------
    amount
        USD or utility.
    least, most
        The first states may come to no more than `least`, and all steps must come to `most`: clear of rounding.
    by_utility
        Whether it is utility.
    """

    amount: float
    least: float
    most: float
    by_utility: bool = False

    @classmethod
    def budget(cls, usd: float) -> Goal:
        """Return the goal to spend a budget in USD."""
        return cls(usd, usd * (1 - 4 * EDGE), usd)

    @classmethod
    def target(cls, utility: float) -> Goal:
        """Return the goal to reach a utility."""
        return cls(utility, utility * (1 - EDGE), utility * (1 + EDGE), by_utility=True)

    def first(self, steps: Steps) -> float:
        """Return what the first states come to."""
        return steps.utility if self.by_utility else steps.cost

    def each(self, steps: Steps) -> FloatArray:
        """Return what each step adds: (steps,)."""
        return steps.step_utility if self.by_utility else steps.step_cost

    def bracketed(self, steps: Steps) -> bool:
        """Whether the shadow price lies between the prices of steps."""
        first = self.first(steps)
        high = first <= self.least or steps.high == np.inf
        return high and (first + float(self.each(steps).sum()) >= self.most or steps.low == 0.0)


def find_steps(flat: Flat, high: float, low: float, threads: int = 1) -> Steps:
    """Return the steps of all queries between two prices, in order of slope: ties by query."""
    small = np.dtype(np.int16 if len(flat.share) < 2**15 else np.int32)
    states: npt.NDArray[np.signedinteger[Any]] = np.empty(flat.n_queries, dtype=small)
    plain = flat.plain
    parts = over_chunks(
        lambda begin, end: relaxation_kernels.steps(begin, end, high, low, plain, states, flat), len(states), threads
    )
    query, state, slope, cost_above, utility_above = (
        parts[0][i] if len(parts) == 1 else np.concatenate([part[i] for part in parts]) for i in range(5)
    )
    cost, utility, squares = (math.fsum(float(x) for part in parts for x in part[5][i]) for i in range(3))
    step_cost, step_utility = cost_above.copy(), utility_above.copy()
    new = np.ones(len(query), dtype=np.bool_)
    new[1:] = query[1:] != query[:-1]
    again = np.flatnonzero(~new)  # a query's second step comes on top of its first
    step_cost[again] -= cost_above[again - 1]
    step_utility[again] -= utility_above[again - 1]
    owner = np.cumsum(new) - 1
    order = falling(slope)
    mean = cost / len(states)
    return Steps(
        states, cost, utility, math.sqrt(max(squares / len(states) - mean * mean, 0.0)),
        query[order], owner[order], state[order], slope[order], cost_above[order],
        utility_above[order], step_cost[order], step_utility[order], high, low,
    )  # fmt: skip


def falling(values: FloatArray) -> IntArray:
    """Return the order of falling values, ties in the order in which they stand: fast where there are none."""
    order = np.argsort(-values)  # any kind: without ties there is one order
    ranked = values[order]
    return np.argsort(-values, kind="stable") if (ranked[1:] == ranked[:-1]).any() else order


def steps_around(flat: Flat, goal: Goal, threads: int = 1, prices: tuple[float, float] | None = None) -> Steps:
    """Return the steps between two prices that bracket the shadow price at a goal.

    Unless a high and a low price are given, a stratified sample sets them. A pass over all queries shows whether they
    hold; where they do not, they are moved apart.
    """
    if flat.n_queries <= DIRECT:
        return find_steps(flat, np.inf, 0.0)
    high, low = prices = prices or _sampled_prices(flat, goal, threads)
    while True:
        found = find_steps(flat, high, low, threads)
        if goal.bracketed(found):
            return found
        width = max(high - low, 1e-6 * high)
        if goal.first(found) > goal.least:
            high = high + 8 * width if high < FARTHEST * prices[0] else np.inf
        else:
            low = low - 8 * width if low > 8 * width else 0.0


def _sampled_prices(flat: Flat, goal: Goal, threads: int) -> tuple[float, float]:
    """Return a high and a low price between which the shadow price lies, very likely, from a sample."""
    rows = flat.n_queries
    chosen = sample(rows, max(rows // SAMPLE, DIRECT // 2))
    n = len(chosen)
    if goal.by_utility:  # whose deviation is not known: its band may be wider than what part of the steps reach
        steps = find_steps(flat.take(chosen), np.inf, 0.0, threads)
        band = DEVIATIONS * DEVIATION * math.sqrt(n)
    else:
        steps = steps_around(flat.take(chosen), Goal.budget(goal.amount * (n / rows)), threads)
        band = DEVIATIONS * steps.deviation * math.sqrt(n)
    first, aim = goal.first(steps), goal.amount / rows * n
    last = len(steps.slope) - 1
    above, below = np.searchsorted(first + np.cumsum(goal.each(steps)), (aim - band, aim + band))
    above = min(above, last)  # the goal may take all that there is, or nearly
    high = steps.high if first > aim - band or above < 0 else float(steps.slope[above])
    low = steps.low if below > last else float(steps.slope[below])
    return (high, low) if high > low else (high * (1 + 1e-9), low * (1 - 1e-9))


def sample(rows: int, count: int) -> IntArray:
    """Return a row from each of `count` equal ranges, at a place that looks random and is always the same."""
    edges = np.arange(count + 1, dtype=np.int64) * rows // count
    jitter = (np.arange(count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(40)
    places: IntArray = edges[:-1] + (jitter.astype(np.int64) % np.diff(edges))
    return places


@dataclass(frozen=True, slots=True)
class Relaxation:
    """The linear relaxation at a budget.

    Attributes
    ----------
    steps
        The steps around the shadow price.
    price
        The shadow price: utility per USD, 0 if the budget buys all that there is.
    bound
        Utility that no plan within the budget exceeds, rounding included.
    slack
        USD between the cost of the steps' first states and the budget.
    break_step
        The first step that is not paid in full; the number of steps if there is none.
    """

    steps: Steps
    price: float
    bound: float
    slack: float
    break_step: int

    @property
    def break_query(self) -> int | None:
        """The query whose next step is paid in part only; None if the budget buys all steps."""
        return int(self.steps.query[self.break_step]) if self.break_step < len(self.steps.query) else None

    def break_solution(self) -> IntArray:
        """Take the steps that are paid in full: an assignment (N,) that is best at the shadow price."""
        return self.steps.taken(self.break_step)

    def plan(self) -> tuple[IntArray, float, float]:
        """Take the steps in order, passing over those that do not fit: but for rounding, up to `EDGE`.

        Returns
        -------
        tuple
            The greedy assignment (N,), its utility, and its USD; both but for rounding.
        """
        steps, states = self.steps, self.steps.states.astype(np.int64)
        slack = self.slack + EDGE * (steps.cost + self.slack)  # a step that just fits does not fail by rounding
        paid, gained = relaxation_kernels.fill(
            slack, steps.query, steps.owner, steps.state, steps.cost_above, steps.utility_above, states
        )
        return states, steps.utility + gained, steps.cost + paid


class Relaxer:
    """Solves the relaxation of one problem at several budgets: near the last one it needs no more than one pass.

    Parameters
    ----------
    flat
        The problem.
    threads
        Threads of each pass.
    prices
        A high and a low price that are thought to bracket the first shadow price; None to take a sample.
    """

    def __init__(self, flat: Flat, threads: int = 1, prices: tuple[float, float] | None = None) -> None:
        self.flat, self.threads, self.prices = flat, threads, prices
        self.steps: Steps | None = None

    def at(self, budget: float) -> Relaxation:
        """Solve it at an amortized budget in USD; below the cheapest plan, that plan is what is left."""
        return at_budget(self.around(Goal.budget(budget), self.prices), budget)

    def around(self, goal: Goal, prices: tuple[float, float] | None = None) -> Steps:
        """Return steps whose prices bracket the shadow price at a goal: those at hand, if they do."""
        if self.steps is None or not goal.bracketed(self.steps):
            self.steps = steps_around(self.flat, goal, self.threads, prices)
        return self.steps

    def schedule(self, budget: float) -> IntArray:
        """Return the greedy assignment at an amortized budget in USD."""
        return self.at(budget).plan()[0]


def at_budget(steps: Steps, budget: float) -> Relaxation:
    """Solve the relaxation from steps whose prices bracket the shadow price at a budget in USD."""
    slack = max(budget - steps.cost, 0.0)
    paid = int(np.searchsorted(np.cumsum(steps.step_cost), slack, side="right"))  # steps that are paid in full
    utility = steps.utility + float(np.sum(steps.step_utility[:paid]))
    left = max(slack - float(np.sum(steps.step_cost[:paid])), 0.0)
    price = steps.low
    if paid < len(steps.slope):
        price = float(steps.slope[paid])
        utility += min(price * left, float(steps.step_utility[paid])) if left > 0.0 else 0.0
    bound = utility + DUAL_ROUNDING * (abs(utility) + (price * budget if price < np.inf else 0.0))
    return Relaxation(steps, price, bound, slack, paid)
