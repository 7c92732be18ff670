"""Numba kernels that fit an assignment to the budget as billed: single moves, swaps, and pairs of these.

At a price at which an assignment is nearly best, moves lose little; those that lose least are put in a pool. From above
the budget many are made that save USD, from within it many that gain utility, then the best pair that fits is made,
which is found by one walk over the pool in order of USD (as in the meet in the middle of Horowitz and Sahni, Journal of
the ACM 21, 1974).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from robatch.instances.arrays import Array
from robatch.instances.compilation import njit
from robatch.solvers.greedy.call_tree_kernels import Core

FAR = 1e300
LEAST = 1e-13  # utility: less is rounding
SAVE, GAIN, ANY = 0, 1, 2  # what moves are collected
SMALL_SWAP = 0.02  # of what an excess is worth: what a swap that saves may lose
FEW = 0.002  # relative change of price: an excess of less is left to pairs of moves
STEPS = 12  # sets of moves that are made one after another, at most
TRIES = 12  # second moves that are tried with a first


MOVE = np.dtype(
    [(name, np.int64) for name in ("query", "to", "other", "back", "which")]
    + [(name, np.float64) for name in ("usd", "loss", "key", "best")]
)
"""A query to a state; another one back, or -1. In the order of USD: the best move so far. USD, and loss at the price;
what the move of this rank gains, and the best of these so far."""

RANK = np.dtype([("order", np.int64), ("key", np.float64)])
"""The move of each rank, and the key of each move."""


class Pool(NamedTuple):
    """Moves that are compared."""

    moves: Array  # of MOVE
    ranks: Array  # of RANK


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def ranked(ranks: Array, length: int) -> None:
    """Write the order of rising keys (heapsort, Williams, Communications of the ACM 7, 1964)."""
    for x in range(length):
        ranks[x].order = x
    start, end = length // 2, length
    while end > 1:
        if start > 0:
            start -= 1
            item = ranks[start].order
        else:
            end -= 1
            item = ranks[end].order
            ranks[end].order = ranks[0].order
        root, child = start, 2 * start + 1
        while child < end:
            if child + 1 < end and ranks[ranks[child + 1].order].key > ranks[ranks[child].order].key:
                child += 1
            if ranks[ranks[child].order].key <= ranks[item].key:
                break
            ranks[root].order = ranks[child].order
            root, child = child, 2 * child + 1
        ranks[root].order = item


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def ready(price: float, core: Core) -> float:
    """Set up values, lists, sums and what a place is worth at a price; return the bill."""
    queries, options, pairs, value = core.queries, core.options, core.pairs, core.value
    cells, losses, distance, now = core.cells, core.loss, core.distance, core.now[0]
    width = pairs.shape[1]
    for c in range(cells.size):
        cells[c].count, cells[c].head, distance[c] = cells[c].fixed, -1, 0.0
        for t in range(width):
            losses[c, t] = FAR
    utility, bill = 0.0, 0.0
    for i in range(queries.size - 1, -1, -1):
        s = queries[i].state
        c = queries[i].first + s
        utility += pairs[i, s].utility
        bill += pairs[i, s].own
        cells[c].count += 1
        queries[i].after, cells[c].head = cells[c].head, i
        here = pairs[i, s].utility - price * pairs[i, s].own
        for z in range(queries[i].begin, queries[i].end):
            t = options[z]
            value[i, t] = pairs[i, t].utility - price * pairs[i, t].own
            if t != s:
                losses[c, t] = min(losses[c, t], here - value[i, t])
    for _ in range(width + 2):
        changed = False
        for c in range(cells.size):
            base = c - c % width
            for t in range(width):
                way = losses[c, t] + distance[base + t]
                if way < distance[c] - LEAST:
                    distance[c], changed = way, True
        if not changed:
            break
    for c in range(cells.size):
        bill += cells[c].price * (-(-cells[c].count // cells[c].places))
    now.utility = utility
    return bill


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def useful(kind: int, usd: float, loss: float, price: float, room: float, most: float) -> bool:
    """Whether a move is of the kind that is collected."""
    if kind == SAVE:
        return usd < 0.0
    if kind == GAIN:
        return 0.0 < usd <= room and loss < price * usd - LEAST
    return loss < most


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def collect(  # long: singles and swaps
    kind: int, price: float, room: float, most: float, core: Core, pool: Pool
) -> int:
    """Fill the pool with moves of a kind that lose less than `most`; return how many there are.

    Moves that save or gain open no call. Those of any kind may open or end one.
    """
    moves, ranks = pool.moves, pool.ranks
    queries, options, pairs, cells = core.queries, core.options, core.pairs, core.cells
    value, distance = core.value, core.distance
    width, found, limit = pairs.shape[1], 0, moves.size
    for i in range(queries.size):
        queries[i].before = 0
        s, base = queries[i].state, queries[i].first
        c = base + s
        ends = cells[c].price if kind == ANY and (cells[c].count - 1) % cells[c].places == 0 else 0.0
        for z in range(queries[i].begin, queries[i].end):
            t = options[z]
            d = base + t
            if t == s or found == limit:
                continue
            opens = cells[d].price if cells[d].count % cells[d].places == 0 else 0.0
            if kind != ANY and opens > 0.0:
                continue
            usd = pairs[i, t].own - pairs[i, s].own + opens - ends
            loss = value[i, s] - value[i, t] + price * (opens - ends)
            if useful(kind, usd, loss, price, room, most):
                moves[found].usd, moves[found].loss = usd, loss
                moves[found].query, moves[found].to, moves[found].other = i, t, -1
                found += 1
    least = SMALL_SWAP * most if kind == SAVE else most
    if kind == SAVE and found >= limit // 2:
        return found
    for base in range(0, cells.size, width):
        for s in range(width):
            for t in range(s + 1, width):
                c, d = base + s, base + t
                if cells[c].head < 0 or cells[d].head < 0 or (kind == SAVE and cells[c].price + cells[d].price == 0.0):
                    continue
                apart = distance[d] - distance[c]
                most_gain = FAR if kind != GAIN else -FAR  # in utility, of a query there; then of one back
                i = cells[c].head if kind == GAIN else -1
                while i >= 0:
                    most_gain = max(most_gain, pairs[i, t].utility - pairs[i, s].utility)
                    i = queries[i].after
                others, other_gain = 0, -FAR
                j = cells[d].head
                while j >= 0:
                    loss = value[j, t] - value[j, s] - apart
                    gain = pairs[j, s].utility - pairs[j, t].utility
                    if loss < least and gain + most_gain > LEAST:
                        other_gain = max(other_gain, gain)
                        ranks[others].order, ranks[others].key = j, loss
                        others += 1
                        if others == moves.size:
                            break
                    j = queries[j].after
                i = cells[c].head if others > 0 else -1
                while i >= 0 and found < limit:
                    mine = value[i, s] - value[i, t] + apart
                    gain = pairs[i, t].utility - pairs[i, s].utility + other_gain
                    for x in range(others if mine < least and (kind != GAIN or gain > LEAST) else 0):
                        j, loss = ranks[x].order, mine + ranks[x].key
                        usd = pairs[i, t].own - pairs[i, s].own + pairs[j, s].own - pairs[j, t].own
                        if loss < least and found < limit and useful(kind, usd, loss, price, room, most):
                            moves[found].usd, moves[found].loss = usd, loss
                            moves[found].query, moves[found].to, moves[found].other, moves[found].back = i, t, j, s
                            found += 1
                    i = queries[i].after
    return found


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def many(kind: int, price: float, room: float, found: int, core: Core, pool: Pool) -> int:
    """Make moves of the pool that do not touch each other, least loss per USD first; return how many.

    From above the budget `room` is below 0, and moves are made until it is not.
    """
    moves, ranks = pool.moves, pool.ranks
    queries, cells = core.queries, core.cells
    for x in range(found):
        usd, loss = moves[x].usd, moves[x].loss
        if kind == SAVE:
            ranks[x].key = (loss + price * max(room - usd, 0.0)) / min(-usd, -room)
        else:
            ranks[x].key = loss / usd
    ranked(ranks, found)
    made = 0
    for x in range(found):
        o = ranks[x].order
        i, t, j = moves[o].query, moves[o].to, moves[o].other
        if queries[i].before != 0 or (j >= 0 and queries[j].before != 0) or (kind == GAIN and moves[o].usd > room):
            continue
        if j < 0:
            c, d = queries[i].first + queries[i].state, queries[i].first + t
            if cells[d].price > 0.0 and cells[d].count % cells[d].places == 0:
                continue
            cells[c].count -= 1
            cells[d].count += 1
        else:
            queries[j].state, queries[j].before = moves[o].back, 1
        queries[i].state, queries[i].before = t, 1
        room -= moves[o].usd
        made += 1
        if kind == SAVE and room >= 0.0:
            break
    return made


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def apart(first: int, second: int, pool: Pool) -> bool:
    """Whether two moves do not touch each other, even if they open or end calls."""
    moves = pool.moves
    i, j, k, m = moves[first].query, moves[first].other, moves[second].query, moves[second].other
    return bool((j >= 0 or m >= 0) and i != k and i != m and j != k and (j < 0 or j != m))


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def pair(price: float, room: float, found: int, core: Core, pool: Pool) -> float:
    """Make the move, or the pair of moves, of most utility that lands within the budget; return its gain, or -FAR."""
    moves, ranks = pool.moves, pool.ranks
    queries = core.queries
    for x in range(found):
        ranks[x].key = moves[x].usd
    ranked(ranks, found)
    best, which = -FAR, -1
    for x in range(found):
        o = ranks[x].order
        moves[x].key = price * moves[o].usd - moves[o].loss  # what it gains
        if moves[x].key > best:
            best, which = moves[x].key, o
        moves[x].best, moves[x].which = best, which
    gain, one, two = 0.0 if room >= 0.0 else -FAR, -1, -1
    y = found - 1
    for x in range(found):
        o = ranks[x].order
        mine, left = moves[x].key, room - moves[o].usd
        if left >= 0.0 and mine > gain + LEAST:
            gain, one, two = mine, o, -1
        while y >= 0 and moves[ranks[y].order].usd > left:
            y -= 1
        if y < 0:
            break
        z, tries = y, 0
        while z >= 0 and tries < TRIES and mine + moves[z].best > gain + LEAST:
            other = moves[z].which
            tries += 1
            if apart(o, other, pool):
                gain, one, two = mine + moves[z].best, o, other
                break
            while z >= 0 and moves[z].which == other:
                z -= 1
    if one < 0:
        return -FAR
    for x in (one, two):
        if x >= 0:
            queries[moves[x].query].state = moves[x].to
            if moves[x].other >= 0:
                queries[moves[x].other].state = moves[x].back
    return gain


@njit(cache=True, nogil=True, error_model="numpy", small=True)
def improve(price: float, bound: float, core: Core, pool: Pool, best: Array, top: float) -> float:
    """Fit the assignment at hand to the budget, and raise its utility.

    Parameters
    ----------
    price
        At which it is nearly best.
    bound
        Utility that no assignment in its calls exceeds.
    core
        With the assignment, which changes.
    best, top
        Receives the best assignment within the budget if it has more utility than `top` (M,).

    Returns
    -------
    float
        Utility of `best`.
    """
    queries, now = core.queries, core.now[0]
    kind = GAIN
    for step in range(STEPS):
        room = now.budget - ready(price, core)
        if room >= 0.0 and now.fixed + now.utility > top:
            top = now.fixed + now.utility
            for i in range(queries.size):
                best[i] = queries[i].state
        if room < 0.0:
            if kind == SAVE:
                return top
            kind = SAVE if step == 0 and (-now.first_curve * room > FEW or top == -FAR) else ANY
        elif kind == SAVE:
            kind = GAIN
        most = price * abs(room) if room >= 0.0 or kind == SAVE else bound - max(now.reached, top)
        found = collect(kind, price, room, most, core, pool)
        if kind == ANY:
            gain = pair(price, room, found, core, pool) if found > 0 else -FAR
            if gain == -FAR or (gain <= LEAST and room >= 0.0):
                return top
        elif found == 0 or many(kind, price, room, found, core, pool) == 0:
            kind = ANY
    return top
