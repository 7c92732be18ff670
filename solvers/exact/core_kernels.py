"""Numba kernels of the exact search in the core: two half-lists with dominance that meet in the middle.

A class is a query with the states that it may have instead of its best one at the shadow price, its base. Each of
these items has an incremental cost and utility, above the base, and a reduced cost: ``price * cost - utility``,
never below 0. A plan within the budget falls short of the linear bound by the sum of its reduced costs and ``price``
times the USD it leaves. So a plan that beats the incumbent has a sum of reduced costs below the incumbent's
shortfall, and classes and items enter in the order of their reduced costs until none below it is left.

Each class enters one of two lists of partial plans, the shorter one. A list holds only partial plans that no
other of it dominates (no more USD and no less utility), by rising USD. The best pair of the two lists is found
in one walk along both (Horowitz and Sahni, "Computing partitions with applications to the knapsack problem",
Journal of the ACM 21, 1974; lists with dominance: Dyer, Riha and Walker, "A hybrid dynamic programming/
branch-and-bound algorithm for the multiple-choice knapsack problem", Journal of Computational and Applied
Mathematics 58, 1995; expanding the core: Pisinger, European Journal of Operational Research 83, 1995).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from robatch.instances.arrays import Array, IntArray
from robatch.instances.compilation import njit

WORK = 20_000_000  # list entries looked at before the search comes back to look at the clock

LONG = 10 * WORK  # entries after which a class that is not through is given up

# nothing left to enter; out of work for this call; a list is full; the nodes are; a class takes too long
DONE, BUSY, LISTS_FULL, NODES_FULL, TOO_LONG = 0, 1, 2, 3, 4

# places in the arrays `whole` and `real`, which hold the state of a search between calls
POSITION, SIZE_A, SIZE_B, NODES, BEST_A, BEST_B, LARGEST = 0, 1, 2, 3, 4, 5, 6
SHORTFALL, TOLERANCE, CUT, UP_A, UP_B, DOWN_A, DOWN_B = 0, 1, 2, 3, 4, 5, 6


class Items(NamedTuple):
    """The classes of a core, by rising reduced cost, and their items."""

    first: Array  # first item of each class: (classes + 1,)
    least: Array  # least reduced cost of its items: (classes,)
    cost: Array  # incremental cost of each item: (items,)
    utility: Array  # and utility

    @property
    def owner(self) -> IntArray:
        """Class of each item: (items,)."""
        return np.repeat(np.arange(len(self.least)), np.diff(self.first))


class Lists(NamedTuple):
    """Two lists of partial plans and two spare ones (4, capacity), and their nodes (nodes,)."""

    cost: Array  # above the bases, as the utility
    utility: Array
    node: Array  # last node of each partial plan
    item: Array  # item that it takes beyond that node, -1 for none
    parent: Array  # node before each node; node 0 takes nothing
    taken: Array  # item that each node takes


class Bounds(NamedTuple):
    """What a partial plan has to keep to be of use."""

    price: float  # the shadow price
    limit: float  # its reduced cost, and its shortfall whatever follows, are below this
    slack: float  # USD between the bases and the budget
    window: float  # most USD from the bases
    up: float  # most USD that can be added
    down: float  # least, below 0


class Step(NamedTuple):
    """An item that partial plans take, and its incremental cost and utility."""

    item: int
    cost: float
    utility: float


@njit(cache=True, nogil=True, small=True)
def classes(
    query: Array, state: Array, reduced: Array, cost: Array, utility: Array
) -> tuple[Array, Array, Array, Array, Array, Array, Array, float, float]:
    """Sort the states near the relaxation's optimum, as `relaxation_kernels.near` finds them, into classes.

    Returns
    -------
    tuple
        Query and base state of each class, and its least reduced cost, which rises: (classes,). First item of each
        class: (classes + 1,). State, USD and utility above the base of each item: (items,). And USD and utility of
        all bases together, counted from where `cost` and `utility` are.
    """
    n = query.size
    begins = np.empty(n + 1, dtype=np.int64)
    bases = np.empty(n, dtype=np.int64)
    least = np.empty(n)
    count = 0
    for j in range(n):
        if j == 0 or query[j] != query[j - 1]:
            begins[count], bases[count] = j, j
            count += 1
        # among states that lose nothing, the one that is counted from: then little slack is left
        own = cost[j] == 0.0 and utility[j] == 0.0
        base = bases[count - 1]
        if own or (reduced[j] < reduced[base] and not (cost[base] == 0.0 and utility[base] == 0.0)):
            bases[count - 1] = j
    begins[count] = n
    for c in range(count):
        least[c] = np.inf
        for j in range(begins[c], begins[c + 1]):
            if j != bases[c]:
                least[c] = min(least[c], reduced[j])
    order = np.argsort(least[:count], kind="mergesort")
    first = np.zeros(count + 1, dtype=np.int64)
    item_state = np.empty(n - count, dtype=np.int64)
    item_cost, item_utility = np.empty(n - count), np.empty(n - count)
    total_cost = total_utility = 0.0
    place = 0
    for c in range(count):
        base = bases[order[c]]
        total_cost += cost[base]
        total_utility += utility[base]
        for j in range(begins[order[c]], begins[order[c] + 1]):
            if j != base:
                item_state[place] = state[j]
                item_cost[place] = cost[j] - cost[base]
                item_utility[place] = utility[j] - utility[base]
                place += 1
        first[c + 1] = place
    chosen = bases[:count][order]
    return (
        query[chosen], state[chosen], least[:count][order], first, item_state, item_cost, item_utility, total_cost,
        total_utility,
    )  # fmt: skip


@njit(cache=True, nogil=True, inner=True)
def merge(here: int, size: int, there: int, other_size: int, out: int, step: Step, lists: Lists, bounds: Bounds) -> int:
    """Merge list `here` with list `there`, in which every partial plan takes a step; drop dominated and hopeless ones.

    Hopeless is what `bounds` says; with most USD added, its shortfall is what it leaves of the slack at the price.
    Returns the size of the result, list `out`, or -1 if it does not fit.
    """
    cost, utility, node, item = lists.cost[here], lists.utility[here], lists.node[here], lists.item[here]
    other_cost, other_utility, other_node = lists.cost[there], lists.utility[there], lists.node[there]
    out_cost, out_utility, out_node, out_item = lists.cost[out], lists.utility[out], lists.node[out], lists.item[out]
    price, limit, slack, window, up, down = bounds
    p = q = kept = 0
    top = -np.inf
    while p < size or q < other_size:
        c = u = np.inf
        if q < other_size:
            c, u = other_cost[q] + step.cost, other_utility[q] + step.utility
        if p < size and (cost[p] < c or (cost[p] == c and utility[p] >= u)):
            c, u, n, k = cost[p], utility[p], node[p], item[p]
            p += 1
        else:
            n, k = other_node[q], step.item
            q += 1
        if u <= top:
            continue
        reduced = price * c - u
        if reduced >= limit or abs(c) > window or c + down > slack or reduced + price * (slack - c - up) >= limit:
            continue
        if kept == out_cost.size:
            return -1
        out_cost[kept], out_utility[kept], out_node[kept], out_item[kept] = c, u, n, k
        top = u
        kept += 1
    return kept


@njit(cache=True, nogil=True, inner=True)
def meet(slack: float, size_a: int, size_b: int, cost: Array, utility: Array) -> tuple[float, int, int]:
    """Return the greatest utility of a pair of partial plans within `slack` USD, and the pair."""
    best, best_a, best_b = -np.inf, -1, -1
    b = size_b - 1
    for a in range(size_a):
        while b >= 0 and cost[0, a] + cost[1, b] > slack:
            b -= 1
        if b < 0:
            break
        if utility[0, a] + utility[1, b] > best:
            best, best_a, best_b = utility[0, a] + utility[1, b], a, b
    return best, best_a, best_b


@njit(cache=True, nogil=True, inner=True)
def spread(q: int, items: Items) -> tuple[float, float]:
    """Return the most and the least USD that a class can add to its base's."""
    most = least = 0.0
    for j in range(items.first[q], items.first[q + 1]):
        most, least = max(most, items.cost[j]), min(least, items.cost[j])
    return most, least


@njit(cache=True, nogil=True, inner=True)
def store(side: int, here: int, size: int, lists: Lists, whole: Array) -> None:
    """Make a merged list one of the two lists, with a node for each item taken."""
    for a in range(size):
        n = lists.node[here, a]
        if lists.item[here, a] >= 0:
            lists.parent[whole[NODES]], lists.taken[whole[NODES]] = n, lists.item[here, a]
            n = whole[NODES]
            whole[NODES] += 1
        lists.cost[side, a], lists.utility[side, a] = lists.cost[here, a], lists.utility[here, a]
        lists.node[side, a] = n
    whole[SIZE_A + side] = size
    whole[LARGEST] = max(whole[LARGEST], size)


@njit(cache=True, nogil=True, small=True)
def search(price: float, slack: float, window: float, items: Items, lists: Lists, whole: Array, real: Array) -> int:
    """Enter classes until the search is done, or a limit is reached; it goes on where it stopped.

    Parameters
    ----------
    price, slack
        The shadow price, and USD between the bases and the budget.
    window
        USD from the bases beyond which partial plans are dropped: a search for a good plan, not for a proof. inf for
        a proof.
    whole, real
        The state of the search, see the names above. `CUT` is the least reduced cost of a partial plan that was
        dropped for want of space.
    """
    up = down = 0.0
    for q in range(items.least.size):
        most, least = spread(q, items)
        up += most
        down += least
    work = 0
    capacity = lists.cost.shape[1]
    while whole[POSITION] < items.least.size:
        q = whole[POSITION]
        limit = min(real[SHORTFALL] - real[TOLERANCE], real[CUT])
        if items.least[q] >= limit:
            break
        if work > WORK:
            return BUSY
        side = 0 if whole[SIZE_A] <= whole[SIZE_B] else 1
        size = whole[SIZE_A + side]
        if whole[NODES] + capacity > lists.parent.size:
            return NODES_FULL
        most, least = spread(q, items)
        rest_up, rest_down = up - real[UP_A + side] - most, down - real[DOWN_A + side] - least
        bounds = Bounds(price, limit, slack, window, rest_up, rest_down)
        # the base comes first: its copies are pruned again, now that less can follow
        lists.item[side, :size] = -1
        kept = merge(side, size, side, 0, 3, Step(-1, 0.0, 0.0), lists, bounds)
        here, there = 3, 2
        before = work
        for j in range(items.first[q], items.first[q + 1]):
            if price * items.cost[j] - items.utility[j] >= limit:
                continue
            if work - before > LONG:
                return TOO_LONG
            work += kept + size
            step = Step(j, items.cost[j], items.utility[j])
            kept = merge(here, kept, side, size, there, step, lists, bounds)
            if kept < 0:
                return LISTS_FULL
            here, there = there, here
        real[UP_A + side] += most
        real[DOWN_A + side] += least
        store(side, here, kept, lists, whole)
        whole[POSITION] = q + 1
        work += whole[SIZE_A] + whole[SIZE_B]
        value, a, b = meet(slack, whole[SIZE_A], whole[SIZE_B], lists.cost, lists.utility)
        if price * slack - value < real[SHORTFALL]:
            real[SHORTFALL] = price * slack - value
            whole[BEST_A], whole[BEST_B] = lists.node[0, a], lists.node[1, b]
    return DONE


@njit(cache=True, nogil=True, small=True)
def drop_worst(keep: int, price: float, lists: Lists, whole: Array, real: Array) -> None:
    """Drop the partial plans of greatest reduced cost, until at most `keep` are left in each list."""
    cost, utility, node = lists.cost, lists.utility, lists.node
    for side in range(2):
        size = whole[SIZE_A + side]
        if size <= keep:
            continue
        reduced = price * cost[side, :size] - utility[side, :size]
        cut = np.partition(reduced, keep)[keep]
        kept = 0
        for a in range(size):
            if reduced[a] < cut:
                cost[side, kept], utility[side, kept], node[side, kept] = cost[side, a], utility[side, a], node[side, a]
                kept += 1
        whole[SIZE_A + side] = kept
        real[CUT] = min(real[CUT], max(cut, 0.0))
