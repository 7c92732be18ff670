"""A Numba kernel that finds the best assignment of a leaf, whose calls are fixed: depth-first search, exact.

Few queries have more than one candidate whose loss, at the leaf's price and what places are worth, is less than the
distance from bound to incumbent. These are searched, those whose cost differs most first.
"""

from __future__ import annotations

import numpy as np

from robatch.instances.arrays import Array
from robatch.instances.compilation import njit
from robatch.solvers.greedy.call_tree_kernels import Core

FAR = 1e300
LEAST = 1e-12  # utility that a better assignment gains at least
SLIGHT, EDGE = 1e-13, 1e-15  # what sums may err a query: utility, and relative to what the USD are worth


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def ranked(key: Array, order: Array, length: int) -> None:
    """Write the order of rising keys (insertion: they are few)."""
    for x in range(length):
        y = x
        while y > 0 and key[order[y - 1]] > key[x]:
            order[y] = order[y - 1]
            y -= 1
        order[y] = x


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def pause() -> None:
    """Do nothing: where the search runs as Python, it may be given up here."""


@njit(cache=True, nogil=True, error_model="numpy", small=True)
def search(  # long: one depth-first search
    price: float, room: float, reached: float, limit: int, core: Core, states: Array
) -> tuple[float, float, int]:
    """Find the best assignment in given calls whose token cost is within `room`.

    Parameters
    ----------
    price
        Utility per USD.
    room
        USD for the token cost.
    reached
        Utility that an assignment has to exceed.
    limit
        Steps of the search, at most.
    core
        With the calls of each cell and what a place there is thought to be worth, FAR where there is none.
    states
        Receives the assignment, if there is one: (M,).

    Returns
    -------
    tuple
        Its utility, or -FAR; the utility that no assignment exceeds; and the steps that were made.
    """
    queries, options, pairs, cells, now = core.queries, core.options, core.pairs, core.cells, core.now[0]
    count = queries.size
    worth, left = np.empty(count), np.empty(cells.size, dtype=np.int64)
    bound = now.fixed + price * room
    for c in range(cells.size):
        left[c] = cells[c].calls * cells[c].places - cells[c].fixed
        if 0.0 < cells[c].rate < FAR:
            bound += cells[c].rate * left[c]
    for i in range(count):
        worth[i] = -FAR
        for z in range(queries[i].begin, queries[i].end):
            s = options[z]
            c = queries[i].first + s
            if cells[c].rate < FAR and cells[c].calls > 0:
                worth[i] = max(worth[i], pairs[i, s].utility - price * pairs[i, s].own - cells[c].rate)
        bound += worth[i]
    bound += (SLIGHT + EDGE * price * abs(room)) * count
    gap = bound - reached - LEAST
    none = min(bound, reached + LEAST)  # the bound if there is no better one
    if gap <= 0.0:
        return -FAR, bound, 0
    free, total = 0, 0
    query, spread = np.empty(count, dtype=np.int64), np.empty(count)
    first = np.empty(count + 1, dtype=np.int64)
    state, lost = np.empty(options.size, dtype=np.int64), np.empty(options.size)
    spent = 0.0
    for i in range(count):
        begin, low, high = total, FAR, -FAR
        for z in range(queries[i].begin, queries[i].end):
            s = options[z]
            c = queries[i].first + s
            if cells[c].rate >= FAR or cells[c].calls == 0:
                continue
            loss = worth[i] - (pairs[i, s].utility - price * pairs[i, s].own - cells[c].rate)
            if loss < gap:
                x = total
                while x > begin and lost[x - 1] > loss:
                    lost[x], state[x] = lost[x - 1], state[x - 1]
                    x -= 1
                lost[x], state[x] = loss, s
                total += 1
                low, high = min(low, pairs[i, s].own), max(high, pairs[i, s].own)
        if total == begin:
            return -FAR, none, 0
        if total == begin + 1:
            s = state[begin]
            states[i] = s
            left[queries[i].first + s] -= 1
            spent += pairs[i, s].own
            gap -= lost[begin]
            total = begin
            if left[queries[i].first + s] < 0:
                return -FAR, none, 0
        else:
            query[free], spread[free], first[free] = i, low - high, begin
            free += 1
    first[free] = total
    if gap <= 0.0:
        return -FAR, none, 0
    order = np.empty(free, dtype=np.int64)
    ranked(spread, order, free)
    least, most = np.zeros(free + 1), np.zeros(free + 1)  # token cost of those that follow
    for depth in range(free - 1, -1, -1):
        v = order[depth]
        low, high = FAR, -FAR
        for x in range(first[v], first[v + 1]):
            own = pairs[query[v], state[x]].own
            low, high = min(low, own), max(high, own)
        least[depth], most[depth] = least[depth + 1] + low, most[depth + 1] + high
    losses, costs = np.zeros(free + 1), np.zeros(free + 1)
    pick, chosen = np.empty(free + 1, dtype=np.int64), np.empty(free, dtype=np.int64)
    costs[0] = spent
    found, steps, depth = False, 0, 0
    if free > 0:
        pick[0] = first[order[0]] - 1
    while depth >= 0:
        if depth == free:
            slack = room - costs[depth]
            loss = losses[depth] + price * slack
            for c in range(cells.size):
                if left[c] > 0 and 0.0 < cells[c].rate < FAR:
                    loss += cells[c].rate * left[c]
            if slack >= 0.0 and loss < gap:
                found, gap = True, loss - SLIGHT
                for x in range(free):
                    chosen[x] = pick[x]
            depth -= 1
            if depth >= 0:
                v = order[depth]
                left[queries[query[v]].first + state[pick[depth]]] += 1
            continue
        steps += 1
        if steps % 256 == 0:
            pause()
        if steps > limit:
            break
        v = order[depth]
        i = query[v]
        pick[depth] += 1
        x = pick[depth]
        if x >= first[v + 1] or losses[depth] + lost[x] >= gap:
            depth -= 1
            if depth >= 0:
                v = order[depth]
                left[queries[query[v]].first + state[pick[depth]]] += 1
            continue
        c = queries[i].first + state[x]
        cost = costs[depth] + pairs[i, state[x]].own
        loss = losses[depth] + lost[x]
        unused = room - cost - most[depth + 1]
        if left[c] <= 0 or cost + least[depth + 1] > room or (unused > 0.0 and loss + price * unused >= gap):
            continue
        left[c] -= 1
        depth += 1
        losses[depth], costs[depth] = loss, cost
        if depth < free:
            pick[depth] = first[order[depth]] - 1
    utility = -FAR
    if found:
        for x in range(free):
            states[query[order[x]]] = state[chosen[x]]
        utility = now.fixed
        for i in range(count):
            utility += pairs[i, states[i]].utility
    return utility, max(none, min(bound, utility + LEAST)) if steps <= limit else bound, steps
