"""Numba kernels of the search of a knapsack's core by a table over weight, for whole weights.

The table holds the greatest profit of every weight above the bases that classes which have entered can make; a class
enters by one maximum a cell and item. It reaches as far from the capacity as the classes to come can make up for
without losing more than the incumbent falls short, see `list_kernels`, so that it narrows as they enter. Dense lists
and tables: Pisinger, "Core problems in knapsack algorithms", Operations Research 47, 1999.
"""

from __future__ import annotations

import numpy as np

from robatch.instances.arrays import Array
from robatch.instances.compilation import njit

PIECES = 256  # of the bound of what is still to come
BLOCK = 2048  # cells that stay in the first-level cache
FARTHEST = 1 << 25  # cells from the bases
NONE = -1e30  # the profit of a weight that nothing makes
PROVEN, FOUND, TOO_LARGE = 0, 1, 2


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def reach(  # wide: a side of the bound
    order: Array, begin: int, side: Array, now: int, slope: Array, width: Array, price: float, sign: float, limit: float
) -> float:
    """Return how far above (`sign` -1) or below (1) the capacity the classes to come can make up for, at least."""
    x = lost = 0.0
    count = 0
    for h in range(begin, order.size):
        q = order[h]
        if q == now or side[q] != 0 or width[q] == 0.0:
            continue
        loss = max(sign * (price - slope[q]), 0.0)
        if count == PIECES:
            return float(x + (limit - lost) / loss) if loss > 0.0 else np.inf
        if lost + width[q] * loss > limit:
            return float(x + (limit - lost) / loss)
        x += width[q]
        lost += width[q] * loss
        count += 1
    return float(x + (limit - lost) / price) if sign > 0 else float(x)


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def enter(  # wide: two tables and a class
    old: Array, new: Array, low: int, high: int, low_before: int, high_before: int, count: int,
    dw: Array, dp: Array, number: Array, zero: int, row: Array,
) -> None:  # fmt: skip
    """Write a table with one class more, from `low` to `high`; weight 0 is at `zero`.

    Where `row` has a place for each cell, it receives the `number` of the item that was taken, -1 for the base.
    """
    keep = row.size > 0
    for b in range(low, high + 1, BLOCK):
        e = min(b + BLOCK, high + 1)
        out = new[zero + b : zero + e]
        for i in range(e - b):
            out[i] = NONE
        f, t = max(b, low_before), min(e, high_before + 1)
        if f < t:
            src, dst = old[zero + f : zero + t], out[f - b : t - b]
            for i in range(t - f):
                dst[i] = src[i]
        if keep:
            for i in range(b - low, e - low):
                row[i] = -1
        for j in range(count):
            d, add = dw[j], dp[j]
            f, t = max(b, low_before + d), min(e, high_before + 1 + d)
            if f >= t:
                continue
            src, dst = old[zero + f - d : zero + t - d], out[f - b : t - b]
            if keep:
                mark = row[f - low : t - low]
                for i in range(t - f):
                    v = src[i] + add
                    if v > dst[i]:
                        dst[i] = v
                        mark[i] = number[j]
            else:
                for i in range(t - f):
                    v = src[i] + add
                    dst[i] = v if v > dst[i] else dst[i]


@njit(cache=True, nogil=True, inner=True)
def longer(old: Array, size: int, used: int) -> Array:
    """Return an array that begins with what is used of another one."""
    new = np.empty(size, old.dtype)
    for j in range(used):
        new[j] = old[j]
    return new


@njit(cache=True, nogil=True, error_model="numpy")
def table(  # long: one search whose table grows in it; # wide: its core
    price: float, room: float, gain: float, enough: float, bound: float, step: float, first: Array, weight: Array,
    profit: Array, edge: Array, up: Array, down: Array, most_cells: float, keep_bytes: int, found: Array,
    figures: Array,
) -> float:  # fmt: skip
    """Look for a plan whose profit above the bases exceeds `gain`, up to `enough`; return the best profit known.

    Parameters are those of `list_kernels.search`, weights in whole units that count from the bases. With `keep_bytes`
    of 0, what a plan takes is not known: `figures` then begins with `FOUND` where there is a better one, which a second
    call finds. Else with `PROVEN` if nothing better is left, `TOO_LARGE` if the table would have more than `most_cells`
    or need more memory; then the cells, and the widest table.
    """
    m = first.size - 1
    side = np.zeros(m, np.int8)  # 0 for what is to come, 1 for what has entered
    heads, turn = np.zeros(2, np.int64), 0
    limit = bound - gain - step
    widest = 1
    for q in range(m):
        widest = max(widest, first[q + 1] - first[q])
    some_w, some_p, some_j = np.empty(widest, np.int64), np.empty(widest), np.empty(widest, np.int16)
    half = 1024
    here, there = np.full(2 * half + 1, NONE), np.full(2 * half + 1, NONE)
    here[half] = 0.0
    low = high = 0
    cells, code = 0.0, PROVEN
    capacity = int(np.floor(room))
    queue, lows = np.empty(m, np.int64), np.empty(m, np.int64)
    keep = keep_bytes > 0
    kept, begins = np.empty(1 << 16 if keep else 0, np.int16), np.zeros(m + 1, np.int64)
    count, best_count, best_w = 0, -1, 0
    while True:
        q = -1
        for _ in range(2):
            h, by = heads[turn], up if turn == 0 else down
            while h < m and (side[by[h]] != 0 or edge[4 + turn, by[h]] > limit):
                h += 1
            heads[turn] = h
            if h < m:
                q = by[h]
            turn = 1 - turn
            if q >= 0:
                break
        if q < 0:
            break
        most = least = items = 0
        for j in range(first[q], first[q + 1]):  # the items that are still of use
            if price * weight[j] - profit[j] <= limit:
                x = int(weight[j])
                most, least = max(most, x), min(least, x)
                some_w[items], some_p[items], some_j[items] = x, profit[j], j - first[q]
                items += 1
        above = reach(down, heads[1], side, q, edge[2], edge[3], price, -1.0, limit)
        below = reach(up, heads[0], side, q, edge[0], edge[1], price, 1.0, limit)
        side[q] = 1
        new_low, new_high = low + least, high + most
        if capacity - below > new_low:
            new_low = int(np.floor(capacity - below))
        if capacity + above < new_high:
            new_high = int(np.ceil(capacity + above))
        if new_high < new_low:
            break
        size = new_high - new_low + 1
        far = max(abs(new_low), abs(new_high))
        cells += size * items
        if far > FARTHEST or cells > most_cells or (keep and 2 * (begins[count] + size) > keep_bytes):
            code = TOO_LARGE
            break
        if far > half:
            grown = np.full(4 * far + 1, NONE)
            for x in range(low, high + 1):
                grown[2 * far + x] = here[half + x]
            half = 2 * far
            here, there = grown, np.full(2 * half + 1, NONE)
        if keep and begins[count] + size > kept.size:
            kept = longer(kept, max(2 * kept.size, begins[count] + size), begins[count])
        row = kept[begins[count] : begins[count] + size] if keep else kept
        enter(here, there, new_low, new_high, low, high, items, some_w, some_p, some_j, half, row)
        begins[count + 1] = begins[count] + size
        queue[count], lows[count] = q, new_low
        count += 1
        here, there = there, here
        low, high = new_low, new_high
        # a better plan leaves less than limit / price
        for x in range(max(low, capacity - int(max(limit, 0.0) / price) - 1), min(high, capacity) + 1):
            if here[half + x] > gain:
                gain = here[half + x]
                best_count, best_w = count, x
                limit = bound - gain - step
        if best_count >= 0 and gain >= enough:
            break
        if count % 16 == 0:  # is anything left that can still lead to a better plan?
            alive = False
            for x in range(low, high + 1):
                alive |= price * x - here[half + x] <= limit
            if not alive:
                break
    figures[0], figures[1], figures[2] = code, cells, half
    if best_count < 0:
        return gain
    if not keep:
        figures[0] = FOUND if code == PROVEN else code
        return gain
    x = best_w
    for i in range(best_count - 1, -1, -1):
        j = kept[begins[i] + x - lows[i]]
        if j >= 0:
            found[first[queue[i]] + j] = 1
            x -= int(weight[first[queue[i]] + j])
    return gain
