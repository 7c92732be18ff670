"""Numba kernels that read a whole problem: each looks at every utility once.

At a price of `p` utility per USD, a query is best served in the state of greatest `utility - p * cost`. What a
kernel finds for a range of rows is independent of every other range, so that threads change nothing.

Rows are read in tiles that stay in the first-level cache, turned so that rows are vector lanes, and screened in
float32: a row whose best state stands out by more than float32 can err is decided, and only the others, a few in a
hundred, are looked at again in float64. All sums, and all that is found, are in float64.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from robatch.instances.arrays import Array

TILE = 64  # rows
SECOND, REACH, STATE = TILE, 2 * TILE, 3 * TILE  # where what is kept of each lane begins, after its best

# The screened worths of two states differ from the true ones by at most this times (2 - worth): float32 rounds by
# 2**-24, no more than 4 times in a utility and 8 times in a price times a cost, which is at most 1 - worth.
ERROR = 18 * 2.0**-24
GUARD = 8  # the screen's bracket is wider than the one asked for, by one part in so many
SAFE = 1e24  # prices beyond are not screened: float32 keeps few digits of prices per token below 1e-38 USD


@njit(cache=True, nogil=True)
def lanes(count: int) -> Array:
    """Return zeros of float32 that begin where a vector register does."""
    pool = np.zeros(count + 16, dtype=np.float32)
    skip = (64 - pool.ctypes.data % 64) % 64 // 4
    return pool[skip : skip + count]


@njit(cache=True, nogil=True, error_model="numpy")
def load_tile(
    plain: bool, least: float, tokens: Array, own: Array, utility: Array,
    dense: Array, base: Array, retention: Array, inputs: Array, outputs: Array, prices: Array,
    state_model: Array, limit: Array,
) -> bool:  # fmt: skip
    """Write own USD of a tile's rows by model, and utilities by state; -inf where a state is not allowed.

    Where `plain` says that utilities are base utilities times numbers from 0 to 1 that are the same for all rows,
    and no row has more tokens than the `least` limit, only the base utilities are written, by model. Returns
    whether that was so. `tokens` is space for a tile's input and output tokens.
    """
    rows = inputs.shape[0]
    short = True
    for k in range(prices.shape[1]):
        if k == 0 or inputs.shape[1] > 1:
            for r in range(rows):
                tokens[r] = inputs[r, k]
        if k == 0 or outputs.shape[1] > 1:
            for r in range(rows):
                tokens[TILE + r] = outputs[r, k]
        price_in, price_out, own_ = np.float32(prices[0, k]), np.float32(prices[1, k]), own[k]
        for r in range(TILE):
            own_[r] = tokens[r] * price_in + tokens[TILE + r] * price_out
        if least < np.inf:
            i, o = (k if inputs.shape[1] > 1 else 0), (k if outputs.shape[1] > 1 else 0)
            for r in range(rows):
                if np.float64(inputs[r, i]) + np.float64(outputs[r, o]) > least:
                    short = False
    if plain and short:
        for r in range(rows):
            for k in range(base.shape[1]):
                utility[k, r] = base[r, k]
        return True
    if dense.shape[0] > 0:
        for r in range(rows):
            for s in range(dense.shape[1]):
                utility[s, r] = dense[r, s]
    else:
        for r in range(rows):
            kept = r if retention.shape[0] > 1 else 0
            for s in range(state_model.size):
                utility[s, r] = min(np.float64(base[r, state_model[s]] * retention[kept, s]), 1.0)
    if not short:
        for s in range(state_model.size):
            k = state_model[s]
            i, o = (k if inputs.shape[1] > 1 else 0), (k if outputs.shape[1] > 1 else 0)
            for r in range(rows):
                if np.float64(inputs[r, i]) + np.float64(outputs[r, o]) > limit[s]:
                    utility[s, r] = -np.inf
    return False


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def screen(
    high: float, low: float, plain: bool, state_model: Array, share: Array, kept: Array, own: Array, utility: Array,
    found: Array,
) -> None:  # fmt: skip
    """Find each lane's best worth at a high price, the second best, that at a low price, and the best's state.

    All numbers are float32; loops have a fixed length and no branches, so that they become vector instructions.
    """
    for r in range(3 * TILE):
        found[r] = -np.inf
    for r in range(STATE, STATE + TILE):
        found[r] = 0.0
    one = np.float32(1.0)
    for s in range(share.size):
        k = state_model[s]
        utility_, own_ = utility[k if plain else s], own[k]
        factor, part, state = kept[s] if plain else one, share[s], np.float32(s)
        for r in range(TILE):
            u, c = utility_[r] * factor, own_[r] + part
            worth, top = u - high * c, found[r]
            better = worth > top
            lower = top if better else worth
            found[r] = worth if better else top
            found[SECOND + r] = lower if lower > found[SECOND + r] else found[SECOND + r]
            found[STATE + r] = state if better else found[STATE + r]
            worth = u - low * c
            found[REACH + r] = worth if worth > found[REACH + r] else found[REACH + r]


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def screen_two(
    price: float, plain: bool, state_model: Array, share: Array, kept: Array, own: Array, utility: Array, found: Array
) -> None:  # fmt: skip
    """Find each lane's best and second best worth at a price; otherwise as `screen`."""
    for r in range(2 * TILE):
        found[r] = -np.inf
    one = np.float32(1.0)
    for s in range(share.size):
        k = state_model[s]
        utility_, own_ = utility[k if plain else s], own[k]
        factor, part = kept[s] if plain else one, share[s]
        for r in range(TILE):
            worth, top = utility_[r] * factor - price * (own_[r] + part), found[r]
            lower = top if worth > top else worth
            found[r] = worth if worth > top else top
            found[SECOND + r] = lower if lower > found[SECOND + r] else found[SECOND + r]


@njit(cache=True, nogil=True, error_model="numpy")
def by_state(prices: Array, state_model: Array) -> Array:
    """Return the prices of each state, (2, S), from those of each model."""
    paid = np.empty((2, state_model.size))
    for s in range(state_model.size):
        paid[0, s], paid[1, s] = prices[0, state_model[s]], prices[1, state_model[s]]
    return paid


@njit(cache=True, nogil=True, error_model="numpy")
def load_row(
    i: int, paid: Array, cost: Array, utility: Array,
    dense: Array, base: Array, retention: Array, inputs: Array, outputs: Array,
    state_model: Array, share: Array, limit: Array,
) -> None:  # fmt: skip
    """Write USD and utility of a query in every state, priced as in `paid`; utility -inf where it is not allowed."""
    longest = 0.0
    if inputs.shape[1] == 1 and outputs.shape[1] == 1:
        t_in, t_out = np.float64(inputs[i, 0]), np.float64(outputs[i, 0])
        longest = t_in + t_out
        for s in range(share.size):
            cost[s] = (t_in * paid[0, s] + t_out * paid[1, s]) + share[s]
    else:
        for s in range(share.size):
            t_in = np.float64(inputs[i, state_model[s] if inputs.shape[1] > 1 else 0])
            t_out = np.float64(outputs[i, state_model[s] if outputs.shape[1] > 1 else 0])
            longest = max(longest, t_in + t_out)
            cost[s] = (t_in * paid[0, s] + t_out * paid[1, s]) + share[s]
    if dense.shape[0] > 0:
        for s in range(share.size):
            utility[s] = dense[i, s]
    else:
        kept = i if retention.shape[0] > 1 else 0
        for s in range(share.size):
            utility[s] = min(np.float64(base[i, state_model[s]] * retention[kept, s]), 1.0)
    for s in range(share.size):
        if longest > limit[s]:
            t_in = np.float64(inputs[i, state_model[s] if inputs.shape[1] > 1 else 0])
            t_out = np.float64(outputs[i, state_model[s] if outputs.shape[1] > 1 else 0])
            if t_in + t_out > limit[s]:
                utility[s] = -np.inf


@njit(cache=True, nogil=True, error_model="numpy")
def hull(order: Array, cost: Array, utility: Array, corner: Array) -> int:
    """Write the corners of a row's concave hull, from its cheapest state to its best; return how many.

    `order` is any permutation of the states: best is that of a row before, which is nearly sorted by cost.
    """
    for a in range(1, order.size):
        s, b = order[a], a - 1
        while b >= 0 and (cost[order[b]] > cost[s] or (cost[order[b]] == cost[s] and utility[order[b]] < utility[s])):
            order[b + 1] = order[b]
            b -= 1
        order[b + 1] = s
    count = 0
    for s in order:
        c, u = cost[s], utility[s]
        if u == -np.inf or (count > 0 and u <= utility[corner[count - 1]]):
            continue
        while count > 1:
            b, a = corner[count - 1], corner[count - 2]
            if (u - utility[b]) * (cost[b] - cost[a]) < (utility[b] - utility[a]) * (c - cost[b]):
                break
            count -= 1
        corner[count] = s
        count += 1
    return count


@njit(cache=True, nogil=True, error_model="numpy")
def ascend(high: float, low: float, cost: Array, utility: Array, corner: Array) -> int:
    """Write the corners of a row's concave hull from its best state at a high price to that at a low price.

    Between two corners, the state furthest above the line through them is a corner too. Returns how many there are.
    """
    top = reach = -np.inf
    first = last = 0
    for t in range(cost.size):  # no branches, as nobody could foretell them
        worth = utility[t] - high * cost[t]
        first, top = (t if worth > top else first), (worth if worth > top else top)
        worth = utility[t] - low * cost[t]
        last, reach = (t if worth > reach else last), (worth if worth > reach else reach)
    corner[0] = first
    if cost[last] <= cost[first] or utility[last] <= utility[first]:
        return 1
    corner[1] = last
    count, a = 2, 0
    while a + 1 < count:
        here, there = corner[a], corner[a + 1]
        incline = (utility[there] - utility[here]) / (cost[there] - cost[here])
        top, between = -np.inf, here
        for t in range(cost.size):
            worth = utility[t] - incline * cost[t]
            between, top = (t if worth > top else between), (worth if worth > top else top)
        c, u = cost[between], utility[between]
        if (
            cost[here] < c < cost[there]
            and utility[here] < u <= utility[there]
            and top > utility[here] - incline * cost[here]
        ):
            for b in range(count, a + 1, -1):
                corner[b] = corner[b - 1]
            corner[a + 1] = between
            count += 1
        else:
            a += 1
    return count


@njit(cache=True, nogil=True)
def add(total: Array, value: float) -> None:
    """Add to a sum that carries its own rounding error along: total[0] + total[1] (Neumaier, 1974)."""
    new = total[0] + value
    if abs(total[0]) >= abs(value):
        total[1] += (total[0] - new) + value
    else:
        total[1] += (value - new) + total[0]
    total[0] = new


@njit(cache=True, nogil=True)
def grown(array: Array) -> Array:
    """Return a copy of twice the size."""
    copy = np.empty(2 * array.size, dtype=array.dtype)
    copy[: array.size] = array
    return copy


@njit(cache=True, nogil=True, error_model="numpy")
def steps(
    begin: int, end: int, high: float, low: float, plain: bool, states: Array,
    dense: Array, base: Array, retention: Array, inputs: Array, outputs: Array, prices: Array,
    state_model: Array, share: Array, limit: Array,
) -> tuple[Array, Array, Array, Array, Array, Array]:  # fmt: skip
    """Find each query's best state at a high price, and its steps up the concave hull until a low price.

    Parameters
    ----------
    begin, end
        Range of rows.
    high, low
        Utility per USD, `high` above `low`. An infinite `high` begins at the cheapest states.
    plain
        Whether utilities are base utilities times numbers from 0 to 1 that are the same for all queries.
    states
        Receives the state of each query at the high price: (N,).

    Returns
    -------
    tuple
        Query, state, slope (utility per USD), and USD and utility above the query's first state, of each step,
        by query and by falling slope: (steps,). Then USD and utility of the first states, and the sum of
        squares of these USD, as sums and the rounding errors of these sums: (3, 2).
    """
    width, models = share.size, prices.shape[1]
    tokens, own = lanes(2 * TILE), lanes(models * TILE).reshape(models, TILE)
    utility, found = lanes(width * TILE).reshape(width, TILE), lanes(4 * TILE)
    kept = retention[0].astype(np.float32) if retention.shape[0] > 0 else lanes(width)
    part, least = share.astype(np.float32), limit.min()
    below = low - (high - low) / (GUARD - 1) if high < np.inf else low
    screened = 1.0 / SAFE < high < SAFE
    paid, row_cost, row_utility = by_state(prices, state_model), np.empty(width), np.empty(width)
    order, corner = np.arange(width), np.empty(width, dtype=np.int64)
    undecided = np.arange(TILE)
    query = np.empty(1024, dtype=np.int64)
    state = np.empty(1024, dtype=np.int32)
    slope, extra, gain = np.empty(1024), np.empty(1024), np.empty(1024)
    count = 0
    sums = np.zeros((3, 2))
    for tile in range(begin, end, TILE):
        stop = min(tile + TILE, end)
        left = stop - tile
        spent = worth = squares = 0.0
        if screened:
            # views of the tile: an index into them needs no check against negative numbers
            dense_, base_, inputs_, outputs_ = dense[tile:stop], base[tile:stop], inputs[tile:stop], outputs[tile:stop]
            retention_ = retention[tile:stop] if retention.shape[0] > 1 else retention
            short = load_tile(
                plain, least, tokens, own, utility,
                dense_, base_, retention_, inputs_, outputs_, prices, state_model, limit,
            )  # fmt: skip
            screen(np.float32(high), np.float32(below), short, state_model, part, kept, own, utility, found)
            left = 0
            for r in range(stop - tile):
                s = np.int64(found[STATE + r])
                k = state_model[s]
                t_in = np.float64(inputs_[r, k if inputs.shape[1] > 1 else 0])
                t_out = np.float64(outputs_[r, k if outputs.shape[1] > 1 else 0])
                c = (t_in * paid[0, s] + t_out * paid[1, s]) + share[s]
                if dense.shape[0] > 0:
                    u = np.float64(dense_[r, s])
                else:
                    product = base_[r, k] * retention_[r if retention.shape[0] > 1 else 0, s]
                    u = min(np.float64(product), np.float64(1.0))
                error = ERROR * (2.0 - found[r])
                if found[r] - found[SECOND + r] >= GUARD * error and u - below * c >= found[REACH + r] - error / 2:
                    states[tile + r] = s
                    spent += c
                    worth += u
                    squares += c * c
                else:
                    undecided[left] = r
                    left += 1
        for j in range(left):
            i = tile + undecided[j]
            load_row(
                i, paid, row_cost, row_utility, dense, base, retention, inputs, outputs, state_model, share, limit,
            )  # fmt: skip
            if high == np.inf:
                corners = hull(order, row_cost, row_utility, corner)
            else:
                corners = ascend(high, low, row_cost, row_utility, corner)
            s = corner[0]
            c, u = row_cost[s], row_utility[s]
            states[i] = s
            spent += c
            worth += u
            squares += c * c
            incline = np.inf
            for a in range(1, corners):
                here, there = corner[a - 1], corner[a]
                # rounding must not turn the order of two steps
                incline = min(incline, (row_utility[there] - row_utility[here]) / (row_cost[there] - row_cost[here]))
                if incline <= low:
                    break
                if count == query.size:
                    query, state = grown(query), grown(state)
                    slope, extra, gain = grown(slope), grown(extra), grown(gain)
                query[count], state[count], slope[count] = i, there, incline
                extra[count], gain[count] = row_cost[there] - c, row_utility[there] - u
                count += 1
        add(sums[0], spent)
        add(sums[1], worth)
        add(sums[2], squares)
    return query[:count], state[:count], slope[:count], extra[:count], gain[:count], sums


@njit(cache=True, nogil=True, error_model="numpy")
def climb(cost: Array, utility: Array, at: Array) -> bool:
    """Find the steepest step of each lane, from where it is; return whether there is one.

    `at` holds USD and utility of each lane's state, and receives USD and utility of its step: (4 * TILE,).
    """
    for r in range(TILE):
        at[2 * TILE + r], at[3 * TILE + r] = 1.0, 0.0
    for s in range(cost.shape[0]):
        cost_, utility_ = cost[s], utility[s]
        for r in range(TILE):
            c, u = cost_[r] - at[r], utility_[r] - at[TILE + r]
            run, rise = at[2 * TILE + r], at[3 * TILE + r]
            steeper = (c > 0.0) & (u * run > rise * c)  # slopes are compared without a division
            at[2 * TILE + r] = c if steeper else run
            at[3 * TILE + r] = u if steeper else rise
    some = 0.0
    for r in range(TILE):
        some += at[3 * TILE + r]
    return some > 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def histogram(
    begin: int, end: int, shift: int, lowest: int, bins: Array,
    dense: Array, base: Array, retention: Array, inputs: Array, outputs: Array, prices: Array,
    state_model: Array, share: Array, limit: Array,
) -> Array:  # fmt: skip
    """Climb every query's concave hull, all rows of a tile at once, and count the steps by their slope.

    The bin of a slope is given by the leading bits of its floating-point number, `shift` of them left out,
    less `lowest`: equal parts of each power of two. Slopes beyond the bins count in the first or the last.

    Parameters
    ----------
    begin, end
        Range of rows.
    shift, lowest
        See above.
    bins
        Receives USD and utility of the steps in each bin, and their least and greatest slope: (bins, 4).

    Returns
    -------
    ndarray
        USD and utility of the cheapest states, as sums and the rounding errors of these sums: (2, 2).
    """
    width = share.size
    cost, utility, own = np.zeros((width, TILE)), np.zeros((width, TILE)), np.zeros(TILE)
    at, slope = np.zeros(4 * TILE), np.empty(TILE)
    bits = slope.view(np.int64)
    last = bins.shape[0] - 1
    sums = np.zeros((2, 2))
    for tile in range(begin, end, TILE):
        stop = min(tile + TILE, end)
        rows = stop - tile
        # views of the tile: an index into them needs no check against negative numbers
        inputs_, outputs_, dense_, base_ = inputs[tile:stop], outputs[tile:stop], dense[tile:stop], base[tile:stop]
        if dense.shape[0] > 0:
            for r in range(rows):
                for s in range(width):
                    utility[s, r] = dense_[r, s]
        for r in range(TILE):
            at[r], at[TILE + r] = np.inf, -1.0
        for s in range(width):
            k = state_model[s]
            i, o = (k if inputs.shape[1] > 1 else 0), (k if outputs.shape[1] > 1 else 0)
            if s == 0 or k > state_model[s - 1]:
                for r in range(rows):
                    own[r] = np.float64(inputs_[r, i]) * prices[0, k] + np.float64(outputs_[r, o]) * prices[1, k]
            cost_, utility_, part = cost[s], utility[s], share[s]
            if dense.shape[0] == 0:
                for r in range(rows):
                    product = base_[r, k] * retention[tile + r if retention.shape[0] > 1 else 0, s]
                    utility_[r] = min(np.float64(product), 1.0)
            for r in range(TILE):
                cost_[r] = own[r] + part if utility_[r] >= 0.0 else np.inf  # -inf where a pair is forbidden
            if limit[s] < np.inf:
                for r in range(rows):
                    if np.float64(inputs_[r, i]) + np.float64(outputs_[r, o]) > limit[s]:
                        cost_[r], utility_[r] = np.inf, -np.inf
            for r in range(TILE):
                c, u = cost_[r], utility_[r]
                better = (c < at[r]) | ((c == at[r]) & (u > at[TILE + r]))
                at[r] = c if better else at[r]
                at[TILE + r] = u if better else at[TILE + r]
        for r in range(rows, TILE):  # no state is dearer
            at[r] = np.inf
        spent = worth = 0.0
        for r in range(rows):
            spent += at[r]
            worth += at[TILE + r]
        add(sums[0], spent)
        add(sums[1], worth)
        while climb(cost, utility, at):
            for r in range(TILE):
                slope[r] = at[3 * TILE + r] / at[2 * TILE + r]
            for r in range(rows):
                run, rise = at[2 * TILE + r], at[3 * TILE + r]
                if rise > 0.0:
                    place = min(max((bits[r] >> shift) - lowest, 0), last)
                    bins[place, 0] += run
                    bins[place, 1] += rise
                    bins[place, 2] = min(bins[place, 2], slope[r])
                    bins[place, 3] = max(bins[place, 3], slope[r])
                    at[r] += run
                    at[TILE + r] += rise
    return sums


@njit(cache=True, nogil=True, error_model="numpy")
def margins(
    begin: int, end: int, price: float, states: Array, margin: Array, next_state: Array,
    dense: Array, base: Array, retention: Array, inputs: Array, outputs: Array, prices: Array,
    state_model: Array, share: Array, limit: Array,
) -> None:  # fmt: skip
    """Write by how much each query's state is better at a price than its next best one, and which that is.

    Parameters
    ----------
    begin, end
        Range of rows.
    price
        Utility per USD.
    states
        State of each query: (N,).
    margin, next_state
        Receive utility, inf where there is no other state, and a state, -1 where there is none: (N,).
    """
    width = share.size
    paid, row_cost, row_utility = by_state(prices, state_model), np.empty(width), np.empty(width)
    for i in range(begin, end):
        load_row(
            i, paid, row_cost, row_utility, dense, base, retention, inputs, outputs, state_model, share, limit,
        )  # fmt: skip
        mine = row_utility[states[i]] - price * row_cost[states[i]]
        other, best = -1, -np.inf
        for s in range(width):
            worth = row_utility[s] - price * row_cost[s]
            if s != states[i] and worth > best:
                other, best = s, worth
        margin[i], next_state[i] = mine - best, other


@njit(cache=True, nogil=True, error_model="numpy")
def near(
    begin: int, end: int, price: float, threshold: float, most: int, plain: bool, states: Array,
    dense: Array, base: Array, retention: Array, inputs: Array, outputs: Array, prices: Array,
    state_model: Array, share: Array, limit: Array,
) -> tuple[Array, Array, Array, Array, Array]:  # fmt: skip
    """Find the states that lose at most `threshold` against their query's best state at a price.

    Parameters
    ----------
    begin, end
        Range of rows.
    price, threshold
        Utility per USD, and utility.
    most
        States to find at most; where there are more, the search ends.
    plain
        Whether utilities are base utilities times numbers from 0 to 1 that are the same for all queries.
    states
        A state of each query (N,), from which USD and utility are counted.

    Returns
    -------
    tuple
        Query, state, loss, USD and utility above the query's state in `states`, of each state found, by query,
        for the queries that have two or more: (found,).
    """
    width, models = share.size, prices.shape[1]
    tokens, own = lanes(2 * TILE), lanes(models * TILE).reshape(models, TILE)
    utility, found = lanes(width * TILE).reshape(width, TILE), lanes(2 * TILE)
    kept = retention[0].astype(np.float32) if retention.shape[0] > 0 else lanes(width)
    part, least = share.astype(np.float32), limit.min()
    screened = price < SAFE
    paid, row_cost, row_utility = by_state(prices, state_model), np.empty(width), np.empty(width)
    query = np.empty(1024, dtype=np.int64)
    state = np.empty(1024, dtype=np.int32)
    loss, extra, gain = np.empty(1024), np.empty(1024), np.empty(1024)
    count = 0
    for tile in range(begin, end, TILE):
        stop = min(tile + TILE, end)
        if screened:
            short = load_tile(
                plain, least, tokens, own, utility, dense[tile:stop], base[tile:stop],
                retention[tile:stop] if retention.shape[0] > 1 else retention,
                inputs[tile:stop], outputs[tile:stop], prices, state_model, limit,
            )  # fmt: skip
            screen_two(np.float32(price), short, state_model, part, kept, own, utility, found)
        for r in range(stop - tile):
            if screened and found[r] - found[SECOND + r] > threshold + ERROR * (2.0 - found[r]):
                continue
            load_row(
                tile + r, paid, row_cost, row_utility,
                dense, base, retention, inputs, outputs, state_model, share, limit,
            )  # fmt: skip
            best = -np.inf
            for t in range(width):
                best = max(best, row_utility[t] - price * row_cost[t])
            s, before = states[tile + r], count
            for t in range(width):
                lost = best - (row_utility[t] - price * row_cost[t])
                if lost > threshold:
                    continue
                if count == query.size:
                    query, state = grown(query), grown(state)
                    loss, extra, gain = grown(loss), grown(extra), grown(gain)
                query[count], state[count], loss[count] = tile + r, t, max(lost, 0.0)
                extra[count] = row_cost[t] - row_cost[s]
                gain[count] = row_utility[t] - row_utility[s]
                count += 1
            if count == before + 1:
                count = before
        if count > most:
            break
    return query[:count], state[:count], loss[:count], extra[:count], gain[:count]


@njit(cache=True, nogil=True)
def fill(
    room: float, query: Array, owner: Array, state: Array, extra: Array, gain: Array, states: Array
) -> tuple[float, float]:
    """Take steps in their order while the room lasts; those that do not fit are passed over.

    Parameters
    ----------
    room
        USD.
    query, owner
        Query of each step, and a number for it from 0.
    state, extra, gain
        State of each step, and USD and utility above its query's first state.
    states
        State of each query (N,), which is changed.

    Returns
    -------
    tuple
        USD and utility of the steps taken.
    """
    taken = np.full(query.size, -1)  # last step taken by number
    used, won = np.zeros(2), np.zeros(2)
    for j in range(query.size):
        last = taken[owner[j]]
        cost, worth = extra[j], gain[j]
        if last >= 0:
            cost -= extra[last]
            worth -= gain[last]
        if used[0] + cost <= room:
            add(used, cost)
            add(won, worth)
            taken[owner[j]] = j
            states[query[j]] = state[j]
    return used[0] + used[1], won[0] + won[1]
