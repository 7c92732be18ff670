"""Numba kernels that read a whole problem: each looks at every utility once.

The reduced profit of a state at a price of `p` utility per USD is ``utility - p * cost``; a query is best served in
the state where it is greatest. What a kernel finds for a range of rows is independent of every other range, so that
threads change nothing.

Rows are read in tiles that stay in the first-level cache, turned so that rows are vector lanes, and screened in
float32: a row whose best state stands out by more than float32 can err is decided, and only the others, a few in a
hundred, are looked at again in float64. All sums, and all that is found, are in float64.

Kernels that read the problem take a range of rows, `begin` to `end`, prices in utility per USD, and often `plain`,
see `Flat.plain`. They stand in one file, though it is long, because a kernel calls only helpers of its own file, and
all of these load rows or add sums alike.
"""

from __future__ import annotations

import numpy as np

from robatch.instances.arrays import NOT_ALLOWED, Array
from robatch.instances.compilation import njit
from robatch.instances.kernels import Flat

TILE = 64  # rows
SECOND, REACH, STATE = TILE, 2 * TILE, 3 * TILE  # where what is kept of each lane begins, after its best

# The screened profits of two states differ from the true ones by at most this times (2 - profit): float32 rounds by
# 2**-24, no more than 4 times in a utility and 8 times in a price times a cost, which is at most 1 - profit.
ERROR = 18 * 2.0**-24
GUARD = 8  # the screen's bracket is wider than the one asked for, by one part in so many
SAFE = 1e24  # prices beyond are not screened: float32 keeps few digits of prices per token below 1e-38 USD


@njit(cache=True, nogil=True, inner=True)
def lanes(count: int) -> Array:
    """Return zeros of float32 that begin where a vector register does."""
    pool = np.zeros(count + 16, dtype=np.float32)
    skip = (64 - pool.ctypes.data % 64) % 64 // 4
    return pool[skip : skip + count]


@njit(cache=True, nogil=True, inner=True)
def new_tile(flat: Flat) -> tuple[Array, Array, Array, Array, Array, Array]:
    """Return space in float32 for a tile of rows, and what its screen needs to know of the states.

    Returns
    -------
    tuple
        Space for a model's input and output tokens of each row (2 * TILE,), for the USD of each row's own tokens by
        model (K, TILE), for utilities by state or base utilities by model (S, TILE), and for what the screen finds
        of each lane, see `SECOND`: (4 * TILE,). Then the factor of the base utility, and USD of the shared prompt,
        in each state: (S,).
    """
    width, models = flat.share.size, flat.prices.shape[1]
    own, utility = lanes(models * TILE).reshape(models, TILE), lanes(width * TILE).reshape(width, TILE)
    kept = flat.retention[0].astype(np.float32) if flat.retention.shape[0] > 0 else lanes(width)
    return lanes(2 * TILE), own, utility, lanes(4 * TILE), kept, flat.share.astype(np.float32)


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def load_tile(  # wide: to read the fields of tuples costs a tenth of this
    plain: bool, least: float, tokens: Array, owns: Array, utility: Array,
    dense: Array, base: Array, retention: Array, inputs: Array, outputs: Array,
    prices: Array, state_model: Array, limit: Array,
) -> bool:  # fmt: skip
    """Write USD by model and utilities by state of a tile's rows, `NOT_ALLOWED` where a state is not allowed.

    Where `plain` says that utilities are base utilities times numbers from 0 to 1 that are the same for all rows,
    and no row has more tokens than the `least` limit, only the base utilities are written, by model. Returns
    whether that was so.
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
        price_in, price_out, own = np.float32(prices[0, k]), np.float32(prices[1, k]), owns[k]
        for r in range(TILE):
            own[r] = tokens[r] * price_in + tokens[TILE + r] * price_out
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
                    utility[s, r] = NOT_ALLOWED
    return False


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"}, inner=True)
def screen(  # wide: to read the fields of tuples costs a tenth of this
    high: float, low: float, plain: bool, state_model: Array, shares: Array, factors: Array, owns: Array,
    utilities: Array, found: Array,
) -> None:  # fmt: skip
    """Find each lane's best profit at a high price, the second best, that at a low price, and the best's state.

    All numbers are float32; loops have a fixed length and no branches, so that they become vector instructions.
    """
    for r in range(3 * TILE):
        found[r] = -np.inf
    for r in range(STATE, STATE + TILE):
        found[r] = 0.0
    one = np.float32(1.0)
    for s in range(state_model.size):
        k = state_model[s]
        utility, own = utilities[k if plain else s], owns[k]
        factor, share, state = factors[s] if plain else one, shares[s], np.float32(s)
        for r in range(TILE):
            u, c = utility[r] * factor, own[r] + share
            profit, top = u - high * c, found[r]
            better = profit > top
            lower = top if better else profit
            found[r] = profit if better else top
            found[SECOND + r] = lower if lower > found[SECOND + r] else found[SECOND + r]
            found[STATE + r] = state if better else found[STATE + r]
            profit = u - low * c
            found[REACH + r] = profit if profit > found[REACH + r] else found[REACH + r]


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"}, inner=True)
def screen_two(
    price: float, plain: bool, state_model: Array, shares: Array, factors: Array, owns: Array, utilities: Array,
    found: Array,
) -> None:  # fmt: skip
    """Find each lane's best and second best profit at a price; otherwise as `screen`."""
    for r in range(2 * TILE):
        found[r] = -np.inf
    one = np.float32(1.0)
    for s in range(state_model.size):
        k = state_model[s]
        utility, own = utilities[k if plain else s], owns[k]
        factor, share = factors[s] if plain else one, shares[s]
        for r in range(TILE):
            profit, top = utility[r] * factor - price * (own[r] + share), found[r]
            lower = top if profit > top else profit
            found[r] = profit if profit > top else top
            found[SECOND + r] = lower if lower > found[SECOND + r] else found[SECOND + r]


@njit(cache=True, nogil=True, inner=True)
def by_state(prices: Array, state_model: Array) -> Array:
    """Return the prices of each state, (2, S), from those of each model."""
    found = np.empty((2, state_model.size))
    for s in range(state_model.size):
        found[0, s], found[1, s] = prices[0, state_model[s]], prices[1, state_model[s]]
    return found


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def load_row(  # wide: to read a field of a tuple costs as much as a state, and this is called for every query
    i: int, paid: Array, cost: Array, utility: Array,
    dense: Array, base: Array, retention: Array, inputs: Array, outputs: Array,
    state_model: Array, share: Array, limit: Array,
) -> None:  # fmt: skip
    """Write USD and utility of a query in every state, priced as `paid` (2, S); utility `NOT_ALLOWED` if it is not."""
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
                utility[s] = NOT_ALLOWED


@njit(cache=True, nogil=True, small=True)
def row_of(i: int, flat: Flat) -> tuple[Array, Array]:
    """Return USD and utility of a query in every state, utility `NOT_ALLOWED` where it is not allowed: (S,) each."""
    dense, base, retention, inputs, outputs, prices, state_model, share, limit = flat
    paid, cost, utility = by_state(prices, state_model), np.empty(share.size), np.empty(share.size)
    load_row(i, paid, cost, utility, dense, base, retention, inputs, outputs, state_model, share, limit)
    return cost, utility


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
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
        if u == NOT_ALLOWED or (count > 0 and u <= utility[corner[count - 1]]):
            continue
        while count > 1:
            b, a = corner[count - 1], corner[count - 2]
            if (u - utility[b]) * (cost[b] - cost[a]) < (utility[b] - utility[a]) * (c - cost[b]):
                break
            count -= 1
        corner[count] = s
        count += 1
    return count


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def ascend(high: float, low: float, cost: Array, utility: Array, corner: Array) -> int:
    """Write the corners of a row's concave hull from its best state at a high price to that at a low price.

    Between two corners, the state furthest above the line through them is a corner too. Returns how many there are.
    """
    top = reach = -np.inf
    first = last = 0
    for t in range(cost.size):  # no branches, as nobody could foretell them
        profit = utility[t] - high * cost[t]
        first, top = (t if profit > top else first), (profit if profit > top else top)
        profit = utility[t] - low * cost[t]
        last, reach = (t if profit > reach else last), (profit if profit > reach else reach)
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
            profit = utility[t] - incline * cost[t]
            between, top = (t if profit > top else between), (profit if profit > top else top)
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


@njit(cache=True, nogil=True, inner=True)
def add(total: Array, value: float) -> None:
    """Add to a sum that carries its own rounding error along: total[0] + total[1] (Neumaier, 1974)."""
    new = total[0] + value
    if abs(total[0]) >= abs(value):
        total[1] += (total[0] - new) + value
    else:
        total[1] += (value - new) + total[0]
    total[0] = new


@njit(cache=True, nogil=True, inner=True)
def grown(
    query: Array, state: Array, key: Array, extra: Array, gain: Array
) -> tuple[Array, Array, Array, Array, Array]:
    """Return columns of twice the size that begin with what was found."""
    query, state, key = np.append(query, query), np.append(state, state), np.append(key, key)
    return query, state, key, np.append(extra, extra), np.append(gain, gain)


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def decide(  # wide: to read the fields of tuples costs a tenth of this
    below: float, found: Array, paid: Array, states: Array, undecided: Array, usd: Array, worth: Array,
    dense: Array, base: Array, retention: Array, inputs: Array, outputs: Array, state_model: Array, share: Array,
) -> int:  # fmt: skip
    """Take the screened state of each row of a tile where it stands out, and list the tile's other rows.

    `usd` and `worth` receive USD and utility of the states taken, (TILE,). Returns the number of rows listed.
    """
    left = 0
    for r in range(inputs.shape[0]):
        s = np.int64(found[STATE + r])
        k = state_model[s]
        t_in = np.float64(inputs[r, k if inputs.shape[1] > 1 else 0])
        t_out = np.float64(outputs[r, k if outputs.shape[1] > 1 else 0])
        c = (t_in * paid[0, s] + t_out * paid[1, s]) + share[s]
        if dense.shape[0] > 0:
            u = np.float64(dense[r, s])
        else:
            product = base[r, k] * retention[r if retention.shape[0] > 1 else 0, s]
            u = min(np.float64(product), np.float64(1.0))
        error = ERROR * (2.0 - found[r])
        if found[r] - found[SECOND + r] >= GUARD * error and u - below * c >= found[REACH + r] - error / 2:
            states[r], usd[r], worth[r] = s, c, u
        else:
            undecided[left] = r
            left += 1
    return left


@njit(cache=True, nogil=True, error_model="numpy", small=True)
def steps(  # long: views, helpers and columns as separate arrays, since fields of tuples cost time in loops
    begin: int, end: int, high: float, low: float, plain: bool, states: Array, flat: Flat
) -> tuple[Array, Array, Array, Array, Array, Array]:
    """Find each query's best state at a high price, and its steps up the concave hull until a low price.

    An infinite `high` begins at the cheapest states. `states` receives each query's state at the high price: (N,).

    Returns
    -------
    tuple
        Query, state, slope (utility per USD), and USD and utility above the query's first state, of each step,
        by query and by falling slope: (steps,). Then USD and utility of the first states, and the sum of
        squares of these USD, as sums and the rounding errors of these sums: (3, 2).
    """
    dense, base, retention, inputs, outputs, prices, state_model, share, limit = flat
    paid, cost, utility = by_state(prices, state_model), np.empty(share.size), np.empty(share.size)
    tokens, owns, utilities, lane, kept, part = new_tile(flat)
    query, state = np.empty(1024, dtype=np.int64), np.empty(1024, dtype=np.int32)
    key, extra, gain = np.empty(1024), np.empty(1024), np.empty(1024)
    least = limit.min()
    below = low - (high - low) / (GUARD - 1) if high < np.inf else low
    screened = 1.0 / SAFE < high < SAFE
    order, corner = np.arange(share.size), np.empty(share.size, dtype=np.int64)
    undecided, usd, worth = np.arange(TILE), np.empty(TILE), np.empty(TILE)
    count = 0
    sums = np.zeros((3, 2))
    for first in range(begin, end, TILE):
        stop = min(first + TILE, end)
        left = stop - first
        if screened:
            # views of the tile: an index into them needs no check against negative numbers
            dense_, base_, inputs_, outputs_ = (
                dense[first:stop],
                base[first:stop],
                inputs[first:stop],
                outputs[first:stop],
            )
            retention_ = retention[first:stop] if retention.shape[0] > 1 else retention
            short = load_tile(
                plain, least, tokens, owns, utilities,
                dense_, base_, retention_, inputs_, outputs_, prices, state_model, limit,
            )  # fmt: skip
            screen(np.float32(high), np.float32(below), short, state_model, part, kept, owns, utilities, lane)
            left = decide(
                below, lane, paid, states[first:stop], undecided, usd, worth,
                dense_, base_, retention_, inputs_, outputs_, state_model, share,
            )  # fmt: skip
        for j in range(left):
            i = first + undecided[j]
            load_row(i, paid, cost, utility, dense, base, retention, inputs, outputs, state_model, share, limit)
            corners = hull(order, cost, utility, corner) if high == np.inf else ascend(high, low, cost, utility, corner)
            s = corner[0]
            c, u = cost[s], utility[s]
            states[i], usd[undecided[j]], worth[undecided[j]] = s, c, u
            slope = np.inf
            for a in range(1, corners):
                here, there = corner[a - 1], corner[a]
                # rounding must not turn the order of two steps
                slope = min(slope, (utility[there] - utility[here]) / (cost[there] - cost[here]))
                if slope <= low:
                    break
                if count == query.size:
                    query, state, key, extra, gain = grown(query, state, key, extra, gain)
                query[count], state[count], key[count] = i, there, slope
                extra[count], gain[count] = cost[there] - c, utility[there] - u
                count += 1
        spent, gained, squares = 0.0, 0.0, 0.0
        for r in range(stop - first):  # in this order whatever the screen decided, which may round in two ways
            spent += usd[r]
            gained += worth[r]
            squares += usd[r] * usd[r]
        add(sums[0], spent)
        add(sums[1], gained)
        add(sums[2], squares)
    return query[:count], state[:count], key[:count], extra[:count], gain[:count], sums


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
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


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def load_all(  # wide: to read the fields of tuples costs a tenth of this
    own: Array, cost: Array, utility: Array, at: Array,
    dense: Array, base: Array, retention: Array, inputs: Array, outputs: Array,
    prices: Array, state_model: Array, shares: Array, limit: Array,
) -> None:  # fmt: skip
    """Write USD and utility of a tile's rows in every state, and begin each lane of `at` in its cheapest state.

    USD are inf where a state is not allowed. `own` is space for a tile: (TILE,).
    """
    rows = inputs.shape[0]
    if dense.shape[0] > 0:
        for r in range(rows):
            for s in range(state_model.size):
                utility[s, r] = dense[r, s]
    for r in range(TILE):
        at[r], at[TILE + r] = np.inf, -1.0
    for s in range(state_model.size):
        k = state_model[s]
        i, o = (k if inputs.shape[1] > 1 else 0), (k if outputs.shape[1] > 1 else 0)
        if s == 0 or k > state_model[s - 1]:
            for r in range(rows):
                own[r] = np.float64(inputs[r, i]) * prices[0, k] + np.float64(outputs[r, o]) * prices[1, k]
        cost_, utility_, share = cost[s], utility[s], shares[s]
        if dense.shape[0] == 0:
            for r in range(rows):
                product = base[r, k] * retention[r if retention.shape[0] > 1 else 0, s]
                utility_[r] = min(np.float64(product), 1.0)
        for r in range(TILE):
            cost_[r] = own[r] + share if utility_[r] >= 0.0 else np.inf
        if limit[s] < np.inf:
            for r in range(rows):
                if np.float64(inputs[r, i]) + np.float64(outputs[r, o]) > limit[s]:
                    cost_[r], utility_[r] = np.inf, NOT_ALLOWED
        for r in range(TILE):
            c, u = cost_[r], utility_[r]
            better = (c < at[r]) | ((c == at[r]) & (u > at[TILE + r]))
            at[r] = c if better else at[r]
            at[TILE + r] = u if better else at[TILE + r]
    for r in range(rows, TILE):  # no state is dearer
        at[r] = np.inf


@njit(cache=True, nogil=True, error_model="numpy", small=True)
def histogram(begin: int, end: int, shift: int, lowest: int, bins: Array, flat: Flat) -> Array:
    """Climb every query's concave hull, all rows of a tile at once, and count the steps by their slope.

    The bin of a slope is given by the leading bits of its floating-point number, `shift` of them left out,
    less `lowest`: equal parts of each power of two. Slopes beyond the bins count in the first or the last.

    `bins` receives USD and utility of the steps in each bin, and their least and greatest slope: (bins, 4). Returns
    USD and utility of the cheapest states, as sums and the rounding errors of these sums: (2, 2).
    """
    dense, base, retention, inputs, outputs, prices, state_model, share, limit = flat
    width = share.size
    cost, utility, own = np.zeros((width, TILE)), np.zeros((width, TILE)), np.zeros(TILE)
    at, slope = np.zeros(4 * TILE), np.empty(TILE)
    bits = slope.view(np.int64)
    last = bins.shape[0] - 1
    sums = np.zeros((2, 2))
    for first in range(begin, end, TILE):
        stop = min(first + TILE, end)
        rows = stop - first
        load_all(
            own, cost, utility, at,
            dense[first:stop], base[first:stop], retention[first:stop] if retention.shape[0] > 1 else retention,
            inputs[first:stop], outputs[first:stop], prices, state_model, share, limit,
        )  # fmt: skip
        spent = gained = 0.0
        for r in range(rows):
            spent += at[r]
            gained += at[TILE + r]
        add(sums[0], spent)
        add(sums[1], gained)
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


@njit(cache=True, nogil=True, error_model="numpy", small=True)
def margins(begin: int, end: int, price: float, states: Array, margin: Array, next_state: Array, flat: Flat) -> None:
    """Write by how much each query's state (N,) is better at a price than its next best one, and which that is.

    `margin` receives utility, inf where there is no other state, and `next_state` -1 there: (N,).
    """
    dense, base, retention, inputs, outputs, prices, state_model, share, limit = flat
    paid, cost, utility = by_state(prices, state_model), np.empty(share.size), np.empty(share.size)
    for i in range(begin, end):
        load_row(i, paid, cost, utility, dense, base, retention, inputs, outputs, state_model, share, limit)
        mine = utility[states[i]] - price * cost[states[i]]
        other, best = -1, -np.inf
        for s in range(cost.size):
            profit = utility[s] - price * cost[s]
            if s != states[i] and profit > best:
                other, best = s, profit
        margin[i], next_state[i] = mine - best, other


@njit(cache=True, nogil=True, error_model="numpy", small=True)
def near(
    begin: int, end: int, price: float, threshold: float, most: int, plain: bool, states: Array, flat: Flat
) -> tuple[Array, Array, Array, Array, Array]:
    """Find the states whose reduced cost, against their query's best state at a price, is at most `threshold`.

    The search ends where there are more than `most` such states. Returns query, state, reduced cost, and USD and
    utility above the query's state in `states` (N,), of each state found, by query, for the queries that have two or
    more: (found,).
    """
    dense, base, retention, inputs, outputs, prices, state_model, share, limit = flat
    paid, cost, utility = by_state(prices, state_model), np.empty(share.size), np.empty(share.size)
    tokens, owns, utilities, lane, kept, part = new_tile(flat)
    query, state = np.empty(1024, dtype=np.int64), np.empty(1024, dtype=np.int32)
    key, extra, gain = np.empty(1024), np.empty(1024), np.empty(1024)
    least = limit.min()
    screened = price < SAFE
    count = 0
    for first in range(begin, end, TILE):
        stop = min(first + TILE, end)
        if screened:
            # views of the tile: an index into them needs no check against negative numbers
            dense_, base_, inputs_, outputs_ = (
                dense[first:stop],
                base[first:stop],
                inputs[first:stop],
                outputs[first:stop],
            )
            retention_ = retention[first:stop] if retention.shape[0] > 1 else retention
            short = load_tile(
                plain, least, tokens, owns, utilities,
                dense_, base_, retention_, inputs_, outputs_, prices, state_model, limit,
            )  # fmt: skip
            screen_two(np.float32(price), short, state_model, part, kept, owns, utilities, lane)
        for r in range(stop - first):
            top = lane[r]
            if screened and top - lane[SECOND + r] > threshold + ERROR * (2.0 - top):
                continue
            load_row(first + r, paid, cost, utility, dense, base, retention, inputs, outputs, state_model, share, limit)
            best = -np.inf
            for t in range(share.size):
                best = max(best, utility[t] - price * cost[t])
            s, before = states[first + r], count
            for t in range(share.size):
                reduced = best - (utility[t] - price * cost[t])
                if reduced > threshold:
                    continue
                if count == query.size:
                    query, state, key, extra, gain = grown(query, state, key, extra, gain)
                query[count], state[count], key[count] = first + r, t, max(reduced, 0.0)
                extra[count], gain[count] = cost[t] - cost[s], utility[t] - utility[s]
                count += 1
            if count == before + 1:
                count = before
        if count > most:
            break
    return query[:count], state[:count], key[:count], extra[:count], gain[:count]


@njit(cache=True, nogil=True, small=True)
def fill(
    slack: float, query: Array, owner: Array, state: Array, cost: Array, utility: Array, states: Array
) -> tuple[float, float]:
    """Take steps in their order while the budget lasts; those that do not fit are passed over.

    Steps have a `query`, whose number from 0 is `owner`, and lead to a `state`; their `cost` and `utility` are above
    those of the query's first state. `states` (N,) is changed. Returns USD and utility of the steps taken.
    """
    taken = np.full(query.size, -1)  # last step taken by number
    spent, gained = np.zeros(2), np.zeros(2)
    for j in range(query.size):
        last = taken[owner[j]]
        more, gain = cost[j], utility[j]
        if last >= 0:
            more -= cost[last]
            gain -= utility[last]
        if spent[0] + more <= slack:
            add(spent, more)
            add(gained, gain)
            taken[owner[j]] = j
            states[query[j]] = state[j]
    return spent[0] + spent[1], gained[0] + gained[1]
