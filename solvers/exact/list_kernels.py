"""Numba kernels of the search of a knapsack's core: two lists of partial plans that meet, bounded by slopes.

A partial plan has a weight and a profit above the bases. What it loses against the line at the shadow price, and what
the classes that are not in its list yet must lose at least to make up for its distance from the capacity, bounds every
plan that it is part of: each such class gives weight up or down at no better than its best slope, so that the loss of
some room is that of the best slopes that make it up. A partial plan whose bound is no better than the incumbent is
dropped. Classes enter by their slopes, those that go up and those that go down in turn. One list where weights are
whole and dense, two that meet (Horowitz and Sahni, Journal of the ACM 21, 1974) where they are not. Dominance: Dyer,
Riha and Walker, Journal of Computational and Applied Mathematics 58, 1995.
"""

from __future__ import annotations

import numpy as np

from robatch.instances.arrays import Array
from robatch.instances.compilation import njit

EDGES = 40  # pieces of the bound of what is still to come


@njit(cache=True, nogil=True, error_model="numpy")
def gather(  # wide: the core's columns
    profits: Array, weights: Array, rows: Array, price: float, limit: float, bp: Array, bw: Array,
    first: Array, weight: Array, profit: Array, item: Array, edge: Array,
) -> int:  # fmt: skip
    """Write the items near the bases of some classes, without those that another one dominates; return how many.

    Parameters
    ----------
    rows, price, limit
        The classes, and what an item may lose at a price.
    first, weight, profit, item
        Receive where each class begins, (classes + 1,), and weight and profit above the base, and item.
    edge
        Receives, of each class, best slope and width of its steps up, best slope and width of those down, and the
        least loss of each: (6, classes).
    """
    n = profits.shape[0]
    at = 0
    first[0] = 0
    for q in range(rows.size):
        r = rows[q]
        up = up_width = down_width = 0.0
        down = low_up = low_down = np.inf
        for s in range(n):
            x, y = weights[s, r] - bw[r], profits[s, r] - bp[r]
            loss = price * x - y
            if loss > limit or (x >= 0.0 and y <= 0.0):
                continue
            dominated = False
            for t in range(n):
                x2, y2 = weights[t, r] - bw[r], profits[t, r] - bp[r]
                if x2 <= x and y2 >= y and (x2 < x or y2 > y or t < s):
                    dominated = True
                    break
            if dominated:
                continue
            weight[at], profit[at], item[at] = x, y, s
            at += 1
            if x > 0.0:
                low_up, up, up_width = min(low_up, loss), max(up, y / x), max(up_width, x)
            else:
                low_down, down, down_width = min(low_down, loss), min(down, y / x), max(down_width, -x)
        edge[0, q], edge[1, q], edge[2, q], edge[3, q] = up, up_width, down, down_width
        edge[4, q], edge[5, q] = low_up, low_down
        first[q + 1] = at
    return at


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def pieces(  # wide: a side of the bound
    order: Array, side: Array, mine: int, now: int, slope: Array, width: Array, price: float, sign: float, line: Array
) -> tuple[int, float]:
    """Write room and least loss at each corner of the bound of classes that are not in a list: (2, EDGES + 1).

    `sign` is 1 for more weight, -1 for less. Returns the pieces, and the loss per weight beyond the last one.
    """
    count = 0
    line[0, 0] = line[1, 0] = 0.0
    for q in order:
        if q == now or side[q] == mine or width[q] == 0.0:
            continue
        loss = max(sign * (price - slope[q]), 0.0)
        if count == EDGES:
            return count, loss
        line[0, count + 1] = line[0, count] + width[q]
        line[1, count + 1] = line[1, count] + width[q] * loss
        count += 1
    return count, (price if sign > 0 else np.inf)


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def merge(  # wide: two lists, and what bounds them
    size: int, here: int, other: int, there: int, out: int, j: int, dw: float, dp: float,
    w: Array, p: Array, node: Array, taken: Array, price: float, limit: float, room: float,
    n_up: int, up: Array, beyond_up: float, n_down: int, down: Array, beyond_down: float,
) -> int:  # fmt: skip
    """Merge list `here` with list `there`, whose partial plans take item `j`, into `out`; return its size.

    All lists have rising weight and profit; what is dominated or hopeless is dropped.
    """
    w1, p1, c1, i1 = w[here], p[here], node[here], taken[here]
    w2, p2, c2 = w[there], p[there], node[there]
    ow, op, oc, oi = w[out], p[out], node[out], taken[out]
    a = b = kept = 0
    top = -np.inf
    at_up, at_down = n_up, 0
    while a < size or b < other:
        x, y = np.inf, 0.0
        if b < other:
            x, y = w2[b] + dw, p2[b] + dp
        if a < size and (w1[a] < x or (w1[a] == x and p1[a] >= y)):
            x, y, c, i = w1[a], p1[a], c1[a], i1[a]
            a += 1
        else:
            c, i = c2[b], j
            b += 1
        if y <= top:
            continue
        loss = price * x - y
        if loss > limit:
            continue
        far = room - x
        if far >= 0.0:
            while at_up > 0 and far < up[0, at_up]:
                at_up -= 1
            steep = beyond_up
            if at_up < n_up:
                steep = (up[1, at_up + 1] - up[1, at_up]) / (up[0, at_up + 1] - up[0, at_up])
            if loss + up[1, at_up] + (far - up[0, at_up]) * steep > limit:
                continue
        else:
            far = -far
            while at_down < n_down and far > down[0, at_down + 1]:
                at_down += 1
            steep = beyond_down
            if at_down < n_down:
                steep = (down[1, at_down + 1] - down[1, at_down]) / (down[0, at_down + 1] - down[0, at_down])
            if steep == np.inf or loss + down[1, at_down] + (far - down[0, at_down]) * steep > limit:
                continue
        ow[kept], op[kept], oc[kept], oi[kept] = x, y, c, i
        top = y
        kept += 1
    return kept


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def meet(room: float, na: int, nb: int, w: Array, p: Array) -> tuple[float, int, int]:
    """Return the greatest profit of a pair of partial plans of lists 0 and 1 within the room, and the pair."""
    best, best_a, best_b = -np.inf, -1, -1
    b = nb - 1
    for a in range(na):
        while b >= 0 and w[0, a] + w[1, b] > room:
            b -= 1
        if b < 0:
            break
        x = p[0, a] + p[1, b]
        if x > best:
            best, best_a, best_b = x, a, b
    return best, best_a, best_b


@njit(cache=True, nogil=True, inner=True)
def wider(old: Array, size: int) -> Array:
    """Return the lists (4, size) that begin with what others hold."""
    new = np.empty((old.shape[0], size), old.dtype)
    for i in range(old.shape[0]):
        for j in range(old.shape[1]):
            new[i, j] = old[i, j]
    return new


@njit(cache=True, nogil=True, inner=True)
def longer(old: Array, size: int) -> Array:
    """Return an array that begins with what another one holds."""
    new = np.empty(size, old.dtype)
    for j in range(old.size):
        new[j] = old[j]
    return new


@njit(cache=True, nogil=True, error_model="numpy")
def search(  # long: one search whose lists grow in it; # wide: its core
    price: float, room: float, gain: float, enough: float, bound: float, step: float, first: Array, weight: Array,
    profit: Array, edge: Array, up: Array, down: Array, cap: int, most_work: float, one_list: int, found: Array,
    figures: Array,
) -> float:  # fmt: skip
    """Look for a plan whose profit above the bases exceeds `gain`, up to `enough`; return the best profit known.

    Parameters
    ----------
    price, room
        The shadow price, and the weight between the bases and the capacity.
    bound, step
        The linear bound above the bases, and by how much a plan must be better to matter.
    first, weight, profit, edge
        The core, as `gather` writes it.
    up, down
        Its classes by their slopes up, falling, and down, rising.
    cap, most_work, one_list
        Most partial plans in a list; most list entries looked at; and the length up to which the second list grows.
    found
        Receives 1 for each item that a better plan takes: (items,).
    figures
        Receives whether nothing better is left, entries looked at, the longest list, and weight a list entry.
    """
    m = first.size - 1
    size = 256
    w, p = np.zeros((4, size)), np.zeros((4, size))
    node, taken = np.zeros((4, size), np.int32), np.zeros((4, size), np.int32)
    parent, takes = np.zeros(4 * size, np.int32), np.zeros(4 * size, np.int32)
    side = np.full(m, -1, np.int8)
    line_up, line_down = np.empty((2, EDGES + 1)), np.empty((2, EDGES + 1))
    count, full = np.ones(2, np.int64), np.zeros(2, np.bool_)
    nodes, longest, work = 1, 1, 0
    best_a, best_b, better, proven = 0, 0, False, True
    heads, turn = np.zeros(2, np.int64), 0
    limit = bound - gain - step
    while True:
        q = -1
        for _ in range(2):
            h, by = heads[turn], up if turn == 0 else down
            while h < m and (side[by[h]] >= 0 or edge[4 + turn, by[h]] > limit):
                h += 1
            heads[turn] = h
            if h < m:
                q = by[h]
            turn = 1 - turn
            if q >= 0:
                break
        if q < 0:
            break
        x = 0 if count[0] <= count[1] or count[1] >= one_list else 1
        if full[x] or work > most_work:
            proven = False
            if full[1 - x] or work > most_work:
                break
            x = 1 - x
        need = count[x] * (first[q + 1] - first[q] + 1)
        if need > w.shape[1]:
            if need > cap:
                full[x], proven = True, False
                if full[1 - x]:
                    break
                side[q] = 2
                continue
            size = max(need, 2 * w.shape[1])
            w, p, node, taken = wider(w, size), wider(p, size), wider(node, size), wider(taken, size)
        n_up, beyond_up = pieces(up, side, x, q, edge[0], edge[1], price, 1.0, line_up)
        n_down, beyond_down = pieces(down, side, x, q, edge[2], edge[3], price, -1.0, line_down)
        have = count[x]
        for a in range(have):
            taken[x, a] = -1
        kept, here, there = have, x, 3
        for j in range(first[q] - 1, first[q + 1]):  # the base first: its copies are pruned again
            base = j < first[q]
            dw, dp = (0.0, 0.0) if base else (weight[j], profit[j])
            if price * dw - dp > limit:
                continue
            work += kept + have
            kept = merge(
                kept, here, 0 if base else have, x, there, j, dw, dp, w, p, node, taken, price, limit, room,
                n_up, line_up, beyond_up, n_down, line_down, beyond_down,
            )  # fmt: skip
            here, there = there, 5 - there
        if nodes + kept > parent.size:
            size = max(2 * parent.size, nodes + kept)
            parent, takes = longer(parent, size), longer(takes, size)
        for a in range(kept):
            c = node[here, a]
            if taken[here, a] >= 0:
                parent[nodes], takes[nodes] = c, taken[here, a]
                c = nodes
                nodes += 1
            w[x, a], p[x, a], node[x, a] = w[here, a], p[here, a], c
        count[x], side[q], longest = kept, x, max(longest, kept)
        if kept == 0:
            break
        work += count[0] + count[1]
        value, a, b = meet(room, count[0], count[1], w, p)
        if value > gain:
            gain, limit = value, bound - value - step
            best_a, best_b, better = node[0, a], node[1, b], True
            if gain >= enough:
                break
    x = 0 if count[0] >= count[1] else 1
    figures[0], figures[1], figures[2] = proven, work, longest
    figures[3] = (w[x, count[x] - 1] - w[x, 0]) / count[x] if count[x] > 0 else 0.0
    if better:
        for end in (best_a, best_b):
            c = end
            while c > 0:
                found[takes[c]] = 1
                c = parent[c]
    return gain
