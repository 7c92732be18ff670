"""The linear relaxation at one budget, without a global sort: shadow price, bound, and the greedy plan.

The relaxation of the multiple-choice knapsack has one dual value, the shadow price. At any price above it, each
query's best state for itself makes a plan within the budget; at any price below, one over it. So two prices that
bracket it decide all queries whose best state is the same at both, and only the steps of the others are sorted
(after Dyer, "An O(n) algorithm for the multiple-choice knapsack linear program", Mathematical Programming 29,
1984, and Zemel, Information Processing Letters 18, 1984, who halve the bracket; here a sample sets it).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from robatch.instances.arrays import FloatArray, IntArray
from robatch.instances.kernels import Flat
from robatch.solvers.bounds import relaxation_kernels as sweeps

CHUNK = 32_768  # rows that a thread takes at a time
DIRECT = 2_048  # queries up to which all steps are sorted
SAMPLE = 64  # one query in so many is in the sample that sets the bracket
EDGE = 1e-12  # relative: what sums of costs, or of utilities, may err at most
FARTHEST = 1e4  # a high price is moved up to so many times the first one, then to infinity
DEVIATIONS = 3.0  # width of the bracket to each side, in standard deviations of the sample's cost
ROUNDING = 16 * float(np.finfo(np.float64).eps)  # relative to all that is summed: what a bound can err at most


@dataclass(frozen=True, slots=True)
class Steps:
    """Each query's best state at a high price, and the steps from there to a low price, in order of slope.

    Attributes
    ----------
    states
        State of each query at the high price: (N,).
    cost, utility, deviation
        USD and utility of these states, and the standard deviation of their USD over the queries.
    query, owner, state, slope, extra, gain
        Of each step: its query, a number for that query among those with steps, the state that it leads to,
        utility per USD, and USD and utility above the query's first state: (steps,).
    step_cost, step_gain
        USD and utility of each step itself: (steps,).
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
    extra: FloatArray
    gain: FloatArray
    step_cost: FloatArray
    step_gain: FloatArray
    high: float
    low: float

    @property
    def most_cost(self) -> float:
        """USD of every query's state at the low price."""
        return self.cost + float(self.step_cost.sum())

    def bracket(self, budget: float) -> bool:
        """Whether the shadow price at a budget in USD lies between the prices, and clear of the high one."""
        high = self.cost <= budget * (1 - 4 * EDGE) or self.high == np.inf
        return high and (self.most_cost >= budget or self.low == 0.0)


def over_chunks(run: Callable[[int, int], Any], rows: int, threads: int) -> list[Any]:
    """Return what a kernel finds in each chunk of rows, in order; the chunks do not depend on the threads."""
    return over_ranges(run, [(begin, min(begin + CHUNK, rows)) for begin in range(0, rows, CHUNK)], threads)


def over_ranges(run: Callable[[int, int], Any], ranges: list[tuple[int, int]], threads: int) -> list[Any]:
    """Return what a kernel finds in each range of rows, in order."""
    if threads == 1 or len(ranges) == 1:
        return [run(*part) for part in ranges]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda part: run(*part), ranges))


def thread_count(threads: int | None) -> int:
    """Return the threads to use: those asked for, or as many as this process has cores."""
    if threads is not None:
        return threads
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def find_steps(flat: Flat, high: float, low: float, threads: int = 1) -> Steps:
    """Return the steps of all queries between two prices, in order of slope: ties by query."""
    small = np.dtype(np.int16 if len(flat.share) < 2**15 else np.int32)
    states: npt.NDArray[np.signedinteger[Any]] = np.empty(flat.n_queries, dtype=small)
    plain = flat.plain
    parts = over_chunks(
        lambda begin, end: sweeps.steps(begin, end, high, low, plain, states, flat), len(states), threads
    )
    query, state, slope, extra, gain = (
        parts[0][i] if len(parts) == 1 else np.concatenate([part[i] for part in parts]) for i in range(5)
    )
    cost, utility, squares = (math.fsum(float(x) for part in parts for x in part[5][i]) for i in range(3))
    step_cost, step_gain = extra.copy(), gain.copy()
    new = np.ones(len(query), dtype=np.bool_)
    new[1:] = query[1:] != query[:-1]
    again = np.flatnonzero(~new)  # a query's second step comes on top of its first
    step_cost[again] -= extra[again - 1]
    step_gain[again] -= gain[again - 1]
    owner = np.cumsum(new) - 1
    order = falling(slope)
    mean = cost / len(states)
    return Steps(
        states, cost, utility, math.sqrt(max(squares / len(states) - mean * mean, 0.0)),
        query[order], owner[order], state[order], slope[order], extra[order], gain[order],
        step_cost[order], step_gain[order], high, low,
    )  # fmt: skip


def falling(values: FloatArray) -> IntArray:
    """Return the order of falling values, ties in the order in which they stand: fast where there are none."""
    order = np.argsort(-values)
    ranked = values[order]
    return np.argsort(-values, kind="stable") if (ranked[1:] == ranked[:-1]).any() else order


def steps_around(flat: Flat, budget: float, threads: int = 1, prices: tuple[float, float] | None = None) -> Steps:
    """Return the steps between two prices that bracket the shadow price at a budget in USD.

    Unless a high and a low price are given, a stratified sample, solved the same way, sets them. A pass over all
    queries shows whether they hold; where they do not, they are moved apart.
    """
    rows = flat.n_queries
    if rows <= DIRECT:
        return find_steps(flat, np.inf, 0.0)
    if prices is None:
        chosen = sample(rows, max(rows // SAMPLE, DIRECT // 2))
        part = steps_around(flat.take(chosen), budget * (len(chosen) / rows), threads)
        prices = bracket(part, budget / rows)
    high, low = prices
    while True:
        found = find_steps(flat, high, low, threads)
        if found.bracket(budget):
            return found
        width = max(high - low, 1e-6 * high)
        if found.cost > budget * (1 - 4 * EDGE):
            high = high + 8 * width if high < FARTHEST * prices[0] else np.inf
        else:
            low = low - 8 * width if low > 8 * width else 0.0


def sample(rows: int, count: int) -> IntArray:
    """Return a row from each of `count` equal ranges, at a place that looks random and is always the same."""
    edges = np.arange(count + 1, dtype=np.int64) * rows // count
    jitter = (np.arange(count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(40)
    places: IntArray = edges[:-1] + (jitter.astype(np.int64) % np.diff(edges))
    return places


def bracket(steps: Steps, budget: float) -> tuple[float, float]:
    """Return a high and a low price between which the shadow price of the sampled problem lies, very likely.

    Parameters
    ----------
    steps
        Of the sample, around its own shadow price.
    budget
        USD a query.
    """
    n = len(steps.states)
    spent = steps.cost + np.cumsum(steps.step_cost)
    band = DEVIATIONS * steps.deviation * math.sqrt(n)
    above, below = np.searchsorted(spent, (budget * n - band, budget * n + band))
    beyond = len(steps.slope)
    if above >= beyond:  # the budget buys all that there is, or nearly
        above = beyond - 1
    high = steps.high if steps.cost > budget * n - band or above < 0 else float(steps.slope[above])
    low = steps.low if below >= beyond else float(steps.slope[below])
    return (high, low) if high > low else (high * (1 + 1e-9), low * (1 - 1e-9))


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
    room
        USD between the cost of the steps' first states and the budget.
    whole
        Number of steps that are paid in full.
    """

    steps: Steps
    price: float
    bound: float
    room: float
    whole: int

    @property
    def split(self) -> int | None:
        """The query whose next step is paid in part only; None if the budget buys all steps."""
        return int(self.steps.query[self.whole]) if self.whole < len(self.steps.query) else None

    def whole_steps(self) -> IntArray:
        """Take the steps that are paid in full: an assignment (N,) that is best at the shadow price."""
        steps, states = self.steps, self.steps.states.astype(np.int64)
        states[steps.query[: self.whole]] = steps.state[: self.whole]  # of a query's steps, the last one stays
        return states

    def plan(self) -> tuple[IntArray, float, float]:
        """Take the steps in order, passing over those that do not fit: but for rounding, up to `EDGE`.

        Returns
        -------
        tuple
            The greedy assignment (N,), its utility, and its USD; both but for rounding.
        """
        steps, states = self.steps, self.steps.states.astype(np.int64)
        room = self.room + EDGE * (steps.cost + self.room)  # a step that just fits does not fail by rounding
        paid, gained = sweeps.fill(room, steps.query, steps.owner, steps.state, steps.extra, steps.gain, states)
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
        steps = self.steps
        if steps is None or not steps.bracket(budget):
            steps = self.steps = steps_around(self.flat, budget, self.threads, self.prices)
        return at_budget(steps, budget)

    def schedule(self, budget: float) -> IntArray:
        """Return the greedy assignment at an amortized budget in USD."""
        return self.at(budget).plan()[0]


def at_budget(steps: Steps, budget: float) -> Relaxation:
    """Solve the relaxation from steps whose prices bracket the shadow price at a budget in USD."""
    room = max(budget - steps.cost, 0.0)
    whole = int(np.searchsorted(np.cumsum(steps.step_cost), room, side="right"))  # steps that are paid in full
    worth = steps.utility + float(np.sum(steps.step_gain[:whole]))
    left = max(room - float(np.sum(steps.step_cost[:whole])), 0.0)
    price = steps.low
    if whole < len(steps.slope):
        price = float(steps.slope[whole])
        worth += min(price * left, float(steps.step_gain[whole])) if left > 0.0 else 0.0
    bound = worth + ROUNDING * (abs(worth) + (price * budget if price < np.inf else 0.0))
    return Relaxation(steps, price, bound, room, whole)
