"""Proven optima of the amortized problem at any size.

The linear relaxation gives a shadow price, a bound and the greedy plan. At that price, every state of every query
has a loss against the query's best one; no plan that beats the incumbent has a state whose loss reaches the
incumbent's shortfall from the bound, so nearly all states are fixed (reduced-cost fixing). What is left, the
core, is searched by two lists that meet in the middle, see `core`. Where the lists outgrow their space, which
takes a query whose steps are a large part of the budget, the search branches on the states of the query that the
relaxation splits. Sources: Pisinger, "A minimal algorithm for the multiple-choice knapsack problem", European
Journal of Operational Research 83, 1995; Kellerer, Pferschy and Pisinger, "Knapsack Problems", 2004, chapter 11.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from robatch.instances.kernels import Flat, flat, tally
from robatch.instances.problem import IntArray
from robatch.solvers import core, sweeps
from robatch.solvers.plan import Limit
from robatch.solvers.registry import Answer, Request
from robatch.solvers.relaxation import ROUNDING, Relaxation, Relaxer, over_chunks, thread_count

EDGE = 1e-13  # relative to the budget: closer to it, the problem's own sum decides whether a plan keeps it
FIRST_CUT = 8  # the first search leaves out states whose loss is above the shortfall over this
MOST_ITEMS = 3_000_000  # states in the core, at most
SMALLEST_LIST, LARGEST_LIST = 1 << 10, 1 << 18  # partial plans in a list, before the search branches
DEPTH = 4  # queries that are branched on, one below the other


@dataclass
class Work:
    """What a search did, and what stopped it.

    Attributes
    ----------
    deadline
        When to stop, as `time.perf_counter` counts.
    threads
        Threads of each pass over the utilities.
    limit
        What stopped it, None if nothing did.
    counts
        States and queries in the core, nodes, branches, partial plans in the longest list.
    """

    deadline: float
    threads: int
    limit: Limit | None = None
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("core_queries", "core_states", "nodes", "longest_list", "branches"), 0)
    )

    def add(self, **counts: int) -> None:
        """Count what was done; of sizes, the greatest stands."""
        for name, count in counts.items():
            self.counts[name] = (
                self.counts[name] + count if name in ("nodes", "branches") else max(self.counts[name], count)
            )

    @property
    def late(self) -> bool:
        """Whether the time is up."""
        if time.perf_counter() > self.deadline:
            self.limit = "time"
        return self.limit is not None


def run(request: Request) -> Answer:
    """Return a plan that is proven best to the requested gap, or the best one found and its bound."""
    begin = time.perf_counter()
    problem, budget = request.problem, request.budget
    work = Work(math.inf if request.time_limit is None else begin + request.time_limit, thread_count(request.threads))
    relaxer = Relaxer(flat(problem), work.threads)
    relaxation = relaxer.at(budget)

    def keeps(states: IntArray) -> bool:
        return problem.amortized_cost(states) <= budget

    best, incumbent = None, -math.inf
    if request.initial is not None and keeps(request.initial):
        best, incumbent = request.initial, problem.total_utility(request.initial)
    found, bound = close(relaxer.flat, budget, relaxation, incumbent, request.gap, keeps, work)
    if found is None and best is None:  # the sums differ in the last digits: a budget a little smaller
        relaxer.at(budget * (1 - EDGE))
        found = next(filter(keeps, (relaxer.schedule(budget * (1 - EDGE)), problem.cheapest_assignment)), None)
    return Answer(
        best if found is None else found,
        bound=bound,
        limit=work.limit,
        shadow_price=relaxation.price,
        statistics=work.counts,
    )


def evaluate(flat: Flat, states: IntArray) -> tuple[float, float]:
    """Return utility and amortized USD of an assignment."""
    queries = np.zeros((1, len(flat.share)), dtype=np.int64)
    _, utility, sent, received = tally(states, np.empty(0, dtype=np.int64), queries, *flat)
    return utility, float(np.sum(flat.prices[0] * sent) + np.sum(flat.prices[1] * received) + queries[0] @ flat.share)


def close(
    flat: Flat,
    budget: float,
    relaxation: Relaxation,
    incumbent: float,
    gap: float,
    keeps: Callable[[IntArray], bool],
    work: Work,
    fixed: float = 0.0,
    depth: int = 0,
) -> tuple[IntArray | None, float]:
    """Find the best assignment of more utility than an incumbent's, and a bound on all assignments.

    Parameters
    ----------
    flat, budget, relaxation
        A problem, an amortized budget in USD, and the relaxation at it.
    incumbent
        Utility to beat, -inf if there is no plan yet.
    gap
        Relative gap at which to stop.
    keeps
        Whether an assignment keeps the budget to the last digit.
    work
        Limits and counts.
    fixed
        Utility of queries that are fixed and not in `flat`; the gap is relative to all.
    depth
        Queries that are fixed by branching.

    Returns
    -------
    tuple
        The assignment (N,), None if none was found, and the bound.
    """
    best: IntArray | None = None
    states = relaxation.plan()
    utility, _ = evaluate(flat, states)
    if utility > incumbent and keeps(states):
        best, incumbent = states, utility
    bound, price = relaxation.bound, relaxation.price
    # without a binding budget there is nothing to search; a price may overflow where a step costs next to nothing
    if not 0.0 < price < math.inf or incumbent == -math.inf:
        return best, bound
    states = relaxation.whole_steps()
    utility, cost = evaluate(flat, states)
    margin = ROUNDING * (abs(utility) + price * budget)  # what the sums here can err at most
    cut = (bound - incumbent) / FIRST_CUT
    first: Core | None = None
    while not work.late:
        tolerance = max(gap * (fixed + incumbent), 4 * margin)
        if bound - incumbent <= tolerance:
            return best, bound
        columns = _near(flat, price, cut, states, work)
        if columns is None:
            break
        first = Core(columns, price, budget * (1 + EDGE) - cost, utility, cut, work)
        first.search(incumbent, tolerance - 2 * margin, depth)
        for room in (first.room_usd, first.room_usd - 2 * EDGE * budget):
            attempt = first if room == first.room_usd else first.with_room(room)
            if attempt is not first:
                attempt.search(incumbent, tolerance - 2 * margin, depth)
            if not attempt.found:
                break
            found = attempt.apply(states)
            if keeps(found):
                value, _ = evaluate(flat, found)
                if value > incumbent:
                    best, incumbent = found, value
                break
        bound = max(min(bound, first.bound + margin), incumbent)
        shortfall = first.linear_bound - incumbent
        if first.incomplete or cut >= shortfall:
            break
        cut = shortfall * (1 + 1e-9)
    tolerance = max(gap * (fixed + incumbent), 4 * margin)
    if bound - incumbent > tolerance and first is not None and depth < DEPTH and not work.late:
        return _branch(flat, budget, relaxation, best, incumbent, bound, gap, keeps, work, fixed, depth)
    return best, bound


def _near(
    flat: Flat, price: float, cut: float, states: IntArray, work: Work
) -> list[npt.NDArray[np.float64]] | None:
    """Return the states that lose less than `cut` at a price; None if they are too many."""
    parts = over_chunks(
        lambda begin, end: sweeps.near(begin, end, price, cut, MOST_ITEMS, states, *flat),
        flat.n_queries,
        work.threads,
    )
    columns = [np.concatenate([part[i] for part in parts]) for i in range(5)] if len(parts) > 1 else list(parts[0][:5])
    if len(columns[0]) > MOST_ITEMS:
        work.limit = "memory"
        return None
    return columns


def _branch(
    flat: Flat,
    budget: float,
    relaxation: Relaxation,
    best: IntArray | None,
    incumbent: float,
    bound: float,
    gap: float,
    keeps: Callable[[IntArray], bool],
    work: Work,
    fixed: float,
    depth: int,
) -> tuple[IntArray | None, float]:
    """Fix the query that the relaxation splits to each of its states in turn, the most promising one first."""
    query = relaxation.split
    if query is None or flat.n_queries < 2:
        return best, bound
    others = np.delete(np.arange(flat.n_queries), query)
    rest = flat.take(others)
    relaxer = Relaxer(rest, work.threads, (relaxation.price * 1.01, relaxation.price * 0.99))
    costs, utilities = np.empty(len(flat.share)), np.empty(len(flat.share))
    sweeps.load_row(query, costs, utilities, *flat)
    branches = []
    for state in np.flatnonzero(utilities >= 0.0):
        left = budget - costs[state]
        if left > 0.0:
            split = relaxer.at(left)
            if split.steps.cost <= left * (1 + EDGE):
                branches.append((split.bound + utilities[state], int(state), split))
    branches.sort(key=lambda branch: (-branch[0], branch[1]))
    work.add(branches=len(branches))
    proven = incumbent
    for above, state, split in branches:
        if above - incumbent > gap * (fixed + incumbent):

            def keeps_it(part: IntArray, state: int = state) -> bool:
                return keeps(np.insert(part, query, state))

            value = float(utilities[state])
            found, above = close(
                rest, budget - costs[state], split, incumbent - value, gap, keeps_it, work, fixed + value, depth + 1
            )
            above += value
            if found is not None:
                best = np.insert(found, query, state)
                incumbent = evaluate(flat, best)[0]
        proven = max(proven, above)
    return best, min(bound, max(proven, incumbent))


class Core:
    """The core at one shadow price, and the search of it.

    Parameters
    ----------
    columns
        Query, state, loss, USD and utility of each state, as `sweeps.near` finds them.
    price, room
        The shadow price, and USD between the cost of the assignment that `columns` count from and the budget.
    utility
        Utility of that assignment.
    cut
        The loss above which states are left out.
    work
        Where to count.

    Attributes
    ----------
    bound
        Proven upper bound on utility, but for rounding.
    found
        The items of the best assignment found, empty if none is better than the incumbent.
    incomplete
        Whether the search was ended for want of space or time.
    """

    def __init__(
        self, columns: list[Any], price: float, room: float, utility: float, cut: float, work: Work
    ) -> None:
        self._given = columns, price, room, utility, cut, work
        columns = core.classes(*columns)
        self.query, self.base, self.least, self.first, self.state, self.extra, self.gain, cost, worth = columns
        self.room_usd, self.utility, self.work = room, utility + worth, work
        self.linear_bound = self.bound = self.utility + price * (room - cost)
        self.left_out = self.linear_bound - cut  # bounds every plan with a state that is not in the core
        self.price, self.room = price, room - cost
        self.found: list[int] = []
        self.incomplete = False
        self._count_in_grains()
        work.add(core_queries=len(self.least), core_states=len(self.extra))

    def with_room(self, room: float) -> Core:
        """Return the same core with another room in USD."""
        columns, price, _, utility, cut, work = self._given
        return Core(columns, price, room, utility, cut, work)

    def _count_in_grains(self) -> None:
        """Where all costs are multiples of a grain, count in grains: less than one of them buys nothing."""
        if not len(self.extra):
            return
        some = self.extra[:: max(1, len(self.extra) // 1000)]
        unit, _ = core.grain(some, float(np.abs(some).max()) * 1e-9)
        if unit == 0.0:
            return
        grains = self.extra / unit
        whole = np.rint(grains)
        error = float(np.abs(grains - whole).max()) * len(self.least) + 1e-9
        if error < 0.01:
            self.extra, self.price, self.room = whole, self.price * unit, math.floor(self.room / unit + error)

    def search(self, incumbent: float, tolerance: float, depth: int) -> None:
        """Search until nothing is left that is better by more than the tolerance, or a limit is reached."""
        top = self.utility + self.price * self.room
        lists = _Lists(SMALLEST_LIST)
        whole, real = np.zeros(7, dtype=np.int64), np.zeros(7)
        whole[[core.SIZE_A, core.SIZE_B, core.NODES]] = 1
        whole[[core.BEST_A, core.BEST_B]] = -1
        real[core.SHORTFALL], real[core.TOLERANCE] = top - incumbent, tolerance
        real[core.CUT] = top - self.left_out if self.left_out < top else math.inf
        code = core.BUSY
        while code != core.DONE and not self.work.late:
            code = core.search(
                self.price, self.room, self.first, self.least, self.extra, self.gain, *lists.arrays, whole, real
            )
            if code == core.NODES_FULL:
                lists.grow(nodes=True)
            elif code == core.LISTS_FULL and lists.capacity < LARGEST_LIST:
                lists.grow()
            elif code == core.LISTS_FULL:
                self.incomplete = True
                if depth < DEPTH:
                    break
                core.drop_worst(lists.capacity // 8, self.price, *lists.arrays[:3], whole, real)
        self.work.add(nodes=int(whole[core.NODES]), longest_list=int(whole[core.LARGEST]))
        if whole[core.BEST_A] >= 0:
            self.found = lists.items(int(whole[core.BEST_A])) + lists.items(int(whole[core.BEST_B]))
        if code != core.DONE:
            self.incomplete, self.bound = True, max(top, self.left_out)
            return
        reached = top - real[core.SHORTFALL]
        self.bound = max(reached, min(reached + tolerance, top), top - real[core.CUT], self.left_out)

    def apply(self, states: IntArray) -> IntArray:
        """Return an assignment with the bases and the items that were found."""
        changed = states.copy()
        changed[self.query] = self.base
        for j in self.found:
            changed[self.query[np.searchsorted(self.first, j, side="right") - 1]] = self.state[j]
        return changed


class _Lists:
    """The arrays of a search: four lists of partial plans, and their nodes."""

    def __init__(self, capacity: int, nodes: int = 0) -> None:
        self.capacity = capacity
        self.cost, self.worth = np.zeros((4, capacity)), np.zeros((4, capacity))
        self.node, self.item = np.zeros((4, capacity), dtype=np.int64), np.zeros((4, capacity), dtype=np.int64)
        nodes = max(nodes, 4 * capacity)
        self.parent, self.taken = np.zeros(nodes, dtype=np.int32), np.zeros(nodes, dtype=np.int32)

    @property
    def arrays(self) -> tuple[npt.NDArray[Any], ...]:
        """The arrays in the order of `core.search`."""
        return self.cost, self.worth, self.node, self.item, self.parent, self.taken

    def grow(self, nodes: bool = False) -> None:
        """Make room for four times as many partial plans in a list, or nodes."""
        bigger = _Lists(self.capacity, 4 * len(self.parent)) if nodes else _Lists(4 * self.capacity, len(self.parent))
        for mine, theirs in zip(self.arrays, bigger.arrays, strict=True):
            theirs[..., : mine.shape[-1]] = mine
        self.__dict__.update(bigger.__dict__)

    def items(self, node: int) -> list[int]:
        """Return the items that lead to a node."""
        items = []
        while node > 0:
            items.append(int(self.taken[node]))
            node = int(self.parent[node])
        return items
