"""Numba kernels of the exact search in the core: two half-lists with dominance that meet in the middle.

A class is a query with the states that it may have instead of its best one at the shadow price, its base. Each of
these items has USD and utility above the base, and a loss: ``price * USD - utility``, never below 0. A plan
within the budget falls short of the linear bound by the sum of its losses and ``price`` times the USD it leaves.
So a plan that beats the incumbent has a sum of losses below the incumbent's shortfall, and classes and items
enter in the order of their losses until none below it is left.

Each class enters one of two lists of partial plans, the shorter one. A list holds only partial plans that no
other of it dominates (no more USD and no less utility), by rising USD. The best pair of the two lists is found
in one walk along both (Horowitz and Sahni, "Computing partitions with applications to the knapsack problem",
Journal of the ACM 21, 1974; lists with dominance: Dyer, Riha and Walker, "A hybrid dynamic programming/
branch-and-bound algorithm for the multiple-choice knapsack problem", Journal of Computational and Applied
Mathematics 58, 1995; expanding the core: Pisinger, European Journal of Operational Research 83, 1995).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from robatch.instances.arrays import Array

WORK = 20_000_000  # list entries looked at before the search comes back to look at the clock

LONG = 10 * WORK  # entries after which a class that is not through is given up

# nothing left to enter; out of work for this call; a list is full; the nodes are; a class takes too long
DONE, BUSY, LISTS_FULL, NODES_FULL, TOO_LONG = 0, 1, 2, 3, 4

# places in the arrays `whole` and `real`, which hold the state of a search between calls
POSITION, SIZE_A, SIZE_B, NODES, BEST_A, BEST_B, LARGEST = 0, 1, 2, 3, 4, 5, 6
SHORTFALL, TOLERANCE, CUT, UP_A, UP_B, DOWN_A, DOWN_B = 0, 1, 2, 3, 4, 5, 6


@njit(cache=True, nogil=True)
def classes(
    query: Array, state: Array, loss: Array, extra: Array, gain: Array
) -> tuple[Array, Array, Array, Array, Array, Array, Array, float, float]:
    """Sort the states near the relaxation's optimum, as `sweeps.near` finds them, into classes.

    Returns
    -------
    tuple
        Query and base state of each class, its least loss, by rising loss: (classes,). First item of each class:
        (classes + 1,). State, USD and utility above the base of each item: (items,). And USD and utility of all
        bases together, counted from where `extra` and `gain` are.
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
        # among states that lose nothing, the one that is counted from: then little room is left over
        own = extra[j] == 0.0 and gain[j] == 0.0
        base = bases[count - 1]
        if own or (loss[j] < loss[base] and not (extra[base] == 0.0 and gain[base] == 0.0)):
            bases[count - 1] = j
    begins[count] = n
    for c in range(count):
        least[c] = np.inf
        for j in range(begins[c], begins[c + 1]):
            if j != bases[c]:
                least[c] = min(least[c], loss[j])
    order = np.argsort(least[:count], kind="mergesort")
    first = np.zeros(count + 1, dtype=np.int64)
    item_state = np.empty(n - count, dtype=np.int64)
    item_extra, item_gain = np.empty(n - count), np.empty(n - count)
    cost = worth = 0.0
    place = 0
    for c in range(count):
        base = bases[order[c]]
        cost += extra[base]
        worth += gain[base]
        for j in range(begins[order[c]], begins[order[c] + 1]):
            if j != base:
                item_state[place] = state[j]
                item_extra[place] = extra[j] - extra[base]
                item_gain[place] = gain[j] - gain[base]
                place += 1
        first[c + 1] = place
    chosen = bases[:count][order]
    return query[chosen], state[chosen], least[:count][order], first, item_state, item_extra, item_gain, cost, worth


@njit(cache=True, nogil=True)
def merge(
    size: int, cost: Array, worth: Array, node: Array, item: Array,
    other_size: int, other_cost: Array, other_worth: Array, other_node: Array, j: int, run: float, rise: float,
    out_cost: Array, out_worth: Array, out_node: Array, out_item: Array,
    price: float, limit: float, room: float, window: float, up: float, down: float,
) -> int:  # fmt: skip
    """Merge a list with another one in which every partial plan takes item j; drop what is dominated or hopeless.

    Hopeless is a partial plan that loses `limit` or more, that stays above `room` even with `down` USD less, or
    that leaves so much of it, even with `up` USD more, that its shortfall reaches `limit`. One that is further than
    `window` from the bases is dropped too.
    Returns the size of the result, -1 if it does not fit.
    """
    p = q = kept = 0
    top = -np.inf
    while p < size or q < other_size:
        c = w = np.inf
        if q < other_size:
            c, w = other_cost[q] + run, other_worth[q] + rise
        if p < size and (cost[p] < c or (cost[p] == c and worth[p] >= w)):
            c, w, n, k = cost[p], worth[p], node[p], item[p]
            p += 1
        else:
            n, k = other_node[q], j
            q += 1
        if w <= top:
            continue
        loss = price * c - w
        if loss >= limit or abs(c) > window or c + down > room or loss + price * (room - c - up) >= limit:
            continue
        if kept == out_cost.size:
            return -1
        out_cost[kept], out_worth[kept], out_node[kept], out_item[kept] = c, w, n, k
        top = w
        kept += 1
    return kept


@njit(cache=True, nogil=True)
def meet(room: float, size_a: int, size_b: int, cost: Array, worth: Array) -> tuple[float, int, int]:
    """Return the greatest utility of a pair of partial plans within `room` USD, and the pair."""
    best, best_a, best_b = -np.inf, -1, -1
    b = size_b - 1
    for a in range(size_a):
        while b >= 0 and cost[0, a] + cost[1, b] > room:
            b -= 1
        if b < 0:
            break
        if worth[0, a] + worth[1, b] > best:
            best, best_a, best_b = worth[0, a] + worth[1, b], a, b
    return best, best_a, best_b


@njit(cache=True, nogil=True)
def search(
    price: float, room: float, window: float, first: Array, least_loss: Array, extra: Array, gain: Array,
    cost: Array, worth: Array, node: Array, item: Array, parent: Array, taken: Array, whole: Array, real: Array,
) -> int:  # fmt: skip
    """Enter classes until the search is done, or a limit is reached; it goes on where it stopped.

    Parameters
    ----------
    price, room
        The shadow price, and USD between the bases and the budget.
    window
        USD from the bases beyond which partial plans are dropped: a search for a good plan, not for a proof. inf for
        a proof.
    first, least_loss
        First item of each class (classes + 1,), and least loss of its items (classes,), in rising order.
    extra, gain
        USD and utility of each item above its class's base.
    cost, worth, node, item
        USD, utility, last node and last item of partial plans: two lists, and two spare ones: (4, capacity).
    parent, taken
        Node before each node, and the item that it takes: (nodes,). Node 0 takes nothing.
    whole, real
        The state of the search, see the names above. `CUT` is the least loss of a partial plan that was
        dropped for want of space.
    """
    up = down = 0.0
    for q in range(least_loss.size):
        most = least = 0.0
        for j in range(first[q], first[q + 1]):
            most, least = max(most, extra[j]), min(least, extra[j])
        up += most
        down += least
    work = 0
    capacity = cost.shape[1]
    while whole[POSITION] < least_loss.size:
        q = whole[POSITION]
        limit = min(real[SHORTFALL] - real[TOLERANCE], real[CUT])
        if least_loss[q] >= limit:
            break
        if work > WORK:
            return BUSY
        side = 0 if whole[SIZE_A] <= whole[SIZE_B] else 1
        size = whole[SIZE_A + side]
        if whole[NODES] + capacity > parent.size:
            return NODES_FULL
        most = least = 0.0
        for j in range(first[q], first[q + 1]):
            most, least = max(most, extra[j]), min(least, extra[j])
        rest_up, rest_down = up - real[UP_A + side] - most, down - real[DOWN_A + side] - least
        # the base comes first: its copies are pruned again, now that less can follow
        item[2, :size] = -1
        kept = merge(
            size, cost[side], worth[side], node[side], item[2],
            0, cost[side], worth[side], node[side], -1, 0.0, 0.0,
            cost[3], worth[3], node[3], item[3], price, limit, room, window, rest_up, rest_down,
        )  # fmt: skip
        here, there = 3, 2
        before = work
        for j in range(first[q], first[q + 1]):
            if price * extra[j] - gain[j] >= limit:
                continue
            if work - before > LONG:
                return TOO_LONG
            work += kept + size
            kept = merge(
                kept, cost[here], worth[here], node[here], item[here],
                size, cost[side], worth[side], node[side], j, extra[j], gain[j],
                cost[there], worth[there], node[there], item[there], price, limit, room, window, rest_up, rest_down,
            )  # fmt: skip
            if kept < 0:
                return LISTS_FULL
            here, there = there, here
        real[UP_A + side] += most
        real[DOWN_A + side] += least
        for a in range(kept):
            n = node[here, a]
            if item[here, a] >= 0:
                parent[whole[NODES]], taken[whole[NODES]] = n, item[here, a]
                n = whole[NODES]
                whole[NODES] += 1
            cost[side, a], worth[side, a], node[side, a] = cost[here, a], worth[here, a], n
        whole[SIZE_A + side] = kept
        whole[LARGEST] = max(whole[LARGEST], kept)
        whole[POSITION] = q + 1
        work += whole[SIZE_A] + whole[SIZE_B]
        value, a, b = meet(room, whole[SIZE_A], whole[SIZE_B], cost, worth)
        if price * room - value < real[SHORTFALL]:
            real[SHORTFALL] = price * room - value
            whole[BEST_A], whole[BEST_B] = node[0, a], node[1, b]
    return DONE


@njit(cache=True, nogil=True)
def drop_worst(keep: int, price: float, cost: Array, worth: Array, node: Array, whole: Array, real: Array) -> None:
    """Drop the partial plans that lose most, until at most `keep` are left in each list."""
    for side in range(2):
        size = whole[SIZE_A + side]
        if size <= keep:
            continue
        losses = price * cost[side, :size] - worth[side, :size]
        cut = np.partition(losses, keep)[keep]
        kept = 0
        for a in range(size):
            if losses[a] < cut:
                cost[side, kept], worth[side, kept], node[side, kept] = cost[side, a], worth[side, a], node[side, a]
                kept += 1
        whole[SIZE_A + side] = kept
        real[CUT] = min(real[CUT], max(cut, 0.0))
