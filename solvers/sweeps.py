"""Numba kernels that read a whole problem: each looks at every utility once.

At a price of `p` utility per USD, a query is best served in the state of greatest `utility - p * cost`. What a
kernel finds for a range of rows is independent of every other range, so that threads change nothing.

Rows are read in tiles that stay in the first-level cache: for each state in turn, all rows of a tile at once,
without branches, so that the compiler turns rows into vector lanes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

Array = npt.NDArray[Any]

TILE = 64  # rows


@njit(cache=True, nogil=True, error_model="numpy")
def load_tile(
    own: Array, tokens: Array, base_tile: Array, base: Array, inputs: Array, outputs: Array, prices: Array
) -> None:  # fmt: skip
    """Write own USD, tokens and base utilities of a tile's rows, by model: (K, rows)."""
    rows = inputs.shape[0]
    for k in range(prices.shape[1]):
        i, o = (k if inputs.shape[1] > 1 else 0), (k if outputs.shape[1] > 1 else 0)
        price_in, price_out = prices[0, k], prices[1, k]
        for r in range(rows):
            t_in, t_out = np.float64(inputs[r, i]), np.float64(outputs[r, o])
            own[k, r] = t_in * price_in + t_out * price_out
            tokens[k, r] = t_in + t_out
        if base.shape[0] > 0:
            for r in range(rows):
                base_tile[k, r] = base[r, k]


@njit(cache=True, nogil=True, error_model="numpy")
def load_state(
    s: int, k: int, rows: int, limit: float, tokens: Array, base_tile: Array, utility: Array,
    dense: Array, retention: Array,
) -> None:  # fmt: skip
    """Write the utilities of a tile's rows in one state; -inf where it is not allowed."""
    if dense.shape[0] > 0:
        for r in range(rows):
            utility[r] = dense[r, s]
    elif retention.shape[0] == 1:
        kept = retention[0, s]
        for r in range(rows):
            utility[r] = min(np.float64(base_tile[k, r] * kept), 1.0)
    else:
        for r in range(rows):
            utility[r] = min(np.float64(base_tile[k, r] * retention[r, s]), 1.0)
    if limit < np.inf:
        for r in range(rows):
            utility[r] = utility[r] if tokens[k, r] <= limit else -np.inf


@njit(cache=True, nogil=True, error_model="numpy")
def load_row(
    i: int, cost: Array, utility: Array,
    dense: Array, base: Array, retention: Array, inputs: Array, outputs: Array, prices: Array,
    state_model: Array, share: Array, limit: Array,
) -> None:  # fmt: skip
    """Write USD and utility of a query in every state; utility -inf where it is not allowed."""
    for s in range(share.size):
        k = state_model[s]
        t_in = np.float64(inputs[i, k if inputs.shape[1] > 1 else 0])
        t_out = np.float64(outputs[i, k if outputs.shape[1] > 1 else 0])
        cost[s] = (t_in * prices[0, k] + t_out * prices[1, k]) + share[s]
        if t_in + t_out > limit[s]:
            utility[s] = -np.inf
        elif dense.shape[0] > 0:
            utility[s] = dense[i, s]
        else:
            utility[s] = min(np.float64(base[i, k] * retention[i if retention.shape[0] > 1 else 0, s]), 1.0)


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
    begin: int, end: int, high: float, low: float, states: Array,
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
    own, tokens = np.empty((models, TILE)), np.empty((models, TILE))
    base_tile = np.empty((models, TILE), dtype=base.dtype)
    utility, cost = np.empty(TILE), np.empty(TILE)
    best_high, best_low = np.empty(TILE), np.empty(TILE)
    first, last = np.empty(TILE, dtype=np.int64), np.empty(TILE, dtype=np.int64)
    row_cost, row_utility = np.empty(width), np.empty(width)
    query = np.empty(1024, dtype=np.int64)
    state = np.empty(1024, dtype=np.int32)
    slope, extra, gain = np.empty(1024), np.empty(1024), np.empty(1024)
    count = 0
    sums = np.zeros((3, 2))
    cheapest = high == np.inf
    for tile in range(begin, end, TILE):
        stop = min(tile + TILE, end)
        rows = stop - tile
        # views of the tile: an index into them needs no check against negative numbers
        dense_, base_, inputs_, outputs_ = dense[tile:stop], base[tile:stop], inputs[tile:stop], outputs[tile:stop]
        retention_ = retention[tile:stop] if retention.shape[0] > 1 else retention
        load_tile(own, tokens, base_tile, base_, inputs_, outputs_, prices)
        for r in range(rows):
            best_high[r] = best_low[r] = -np.inf
            cost[r] = np.inf
            first[r] = last[r] = 0
        for s in range(width):
            k, part = state_model[s], share[s]
            load_state(s, k, rows, limit[s], tokens, base_tile, utility, dense_, retention_)
            if cheapest:
                for r in range(rows):
                    c = own[k, r] + part if utility[r] >= 0.0 else np.inf
                    better = c < cost[r] or (c == cost[r] and utility[r] > best_high[r])
                    cost[r] = c if better else cost[r]
                    best_high[r] = utility[r] if better else best_high[r]
                    first[r] = s if better else first[r]
                    worth = utility[r] - low * (own[k, r] + part)
                    better = worth > best_low[r]
                    best_low[r] = worth if better else best_low[r]
                    last[r] = s if better else last[r]
            else:
                for r in range(rows):
                    c = own[k, r] + part
                    worth = utility[r] - high * c
                    better = worth > best_high[r]
                    best_high[r] = worth if better else best_high[r]
                    first[r] = s if better else first[r]
                    worth = utility[r] - low * c
                    better = worth > best_low[r]
                    best_low[r] = worth if better else best_low[r]
                    last[r] = s if better else last[r]
        spent = worth = squares = 0.0
        for r in range(rows):
            s = first[r]
            c = own[state_model[s], r] + share[s]
            u = best_high[r] if cheapest else best_high[r] + high * c
            states[tile + r] = s
            spent += c
            worth += u
            squares += c * c
            if s == last[r]:
                continue
            load_row(
                tile + r, row_cost, row_utility,
                dense, base, retention, inputs, outputs, prices, state_model, share, limit,
            )  # fmt: skip
            worth += row_utility[s] - u
            here = s
            while here != last[r]:
                there, steepest = -1, low
                for t in range(width):
                    run, rise = row_cost[t] - row_cost[here], row_utility[t] - row_utility[here]
                    if run > 0.0 and rise > 0.0:
                        incline = rise / run
                        if incline > steepest or (incline == steepest and there >= 0 and row_cost[t] > row_cost[there]):
                            there, steepest = t, incline
                if there < 0:
                    break
                if count == query.size:
                    query, state = grown(query), grown(state)
                    slope, extra, gain = grown(slope), grown(extra), grown(gain)
                query[count], state[count], slope[count] = tile + r, there, steepest
                extra[count] = row_cost[there] - row_cost[s]
                gain[count] = row_utility[there] - row_utility[s]
                count += 1
                here = there
        add(sums[0], spent)
        add(sums[1], worth)
        add(sums[2], squares)
    return query[:count], state[:count], slope[:count], extra[:count], gain[:count], sums


@njit(cache=True, nogil=True, error_model="numpy")
def histogram(
    begin: int, end: int, shift: int, lowest: int, costs: Array, gains: Array,
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
    costs, gains
        Receive USD and utility of the steps in each bin: (bins,).

    Returns
    -------
    ndarray
        USD and utility of the cheapest states, as sums and the rounding errors of these sums: (2, 2).
    """
    width, models = share.size, prices.shape[1]
    own, tokens = np.empty((models, TILE)), np.empty((models, TILE))
    base_tile = np.empty((models, TILE), dtype=base.dtype)
    cost, utility = np.empty((width, TILE)), np.empty((width, TILE))
    here_cost, here_utility = np.empty(TILE), np.empty(TILE)
    run, rise = np.empty(TILE), np.empty(TILE)
    slope = np.empty(TILE)
    bits = slope.view(np.int64)
    last = costs.size - 1
    sums = np.zeros((2, 2))
    for tile in range(begin, end, TILE):
        stop = min(tile + TILE, end)
        rows = stop - tile
        dense_, base_, inputs_, outputs_ = dense[tile:stop], base[tile:stop], inputs[tile:stop], outputs[tile:stop]
        retention_ = retention[tile:stop] if retention.shape[0] > 1 else retention
        load_tile(own, tokens, base_tile, base_, inputs_, outputs_, prices)
        for r in range(rows):
            here_cost[r], here_utility[r] = np.inf, -np.inf
        for s in range(width):
            k, part = state_model[s], share[s]
            load_state(s, k, rows, limit[s], tokens, base_tile, utility[s], dense_, retention_)
            for r in range(rows):
                c = own[k, r] + part if utility[s, r] >= 0.0 else np.inf
                better = c < here_cost[r] or (c == here_cost[r] and utility[s, r] > here_utility[r])
                cost[s, r] = c
                here_cost[r] = c if better else here_cost[r]
                here_utility[r] = utility[s, r] if better else here_utility[r]
        spent = worth = 0.0
        for r in range(rows):
            spent += here_cost[r]
            worth += here_utility[r]
        add(sums[0], spent)
        add(sums[1], worth)
        moved = True
        while moved:
            for r in range(rows):
                run[r], rise[r] = 1.0, 0.0
            for s in range(width):
                for r in range(rows):
                    c, u = cost[s, r] - here_cost[r], utility[s, r] - here_utility[r]
                    # slopes are compared without a division
                    steeper = c > 0.0 and (
                        u * run[r] > rise[r] * c or (u * run[r] == rise[r] * c and c > run[r] and rise[r] > 0.0)
                    )
                    run[r] = c if steeper else run[r]
                    rise[r] = u if steeper else rise[r]
            moved = False
            for r in range(rows):
                slope[r] = rise[r] / run[r]
                moved = moved or rise[r] > 0.0
            for r in range(rows):
                if rise[r] > 0.0:
                    place = min(max((bits[r] >> shift) - lowest, 0), last)
                    costs[place] += run[r]
                    gains[place] += rise[r]
                    here_cost[r] += run[r]
                    here_utility[r] += rise[r]
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
    row_cost, row_utility = np.empty(width), np.empty(width)
    for i in range(begin, end):
        load_row(
            i, row_cost, row_utility, dense, base, retention, inputs, outputs, prices, state_model, share, limit,
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
    begin: int, end: int, price: float, threshold: float, most: int, states: Array,
    dense: Array, base: Array, retention: Array, inputs: Array, outputs: Array, prices: Array,
    state_model: Array, share: Array, limit: Array,
) -> tuple[Array, Array, Array, Array, Array, float]:  # fmt: skip
    """Find the states that lose at most `threshold` against their query's best state at a price.

    Parameters
    ----------
    begin, end
        Range of rows.
    price, threshold
        Utility per USD, and utility.
    most
        States to find at most; where there are more, the search ends.
    states
        A state of each query (N,), from which USD and utility are counted.

    Returns
    -------
    tuple
        Query, state, loss, USD and utility above the query's state in `states`, of each state found, by query,
        for the queries that have two or more: (found,). Then the Lagrangian's sum over the queries, of
        ``max(utility - price * cost)``.
    """
    width, models = share.size, prices.shape[1]
    own, tokens = np.empty((models, TILE)), np.empty((models, TILE))
    base_tile = np.empty((models, TILE), dtype=base.dtype)
    utility = np.empty(TILE)
    best, second = np.empty(TILE), np.empty(TILE)
    row_cost, row_utility = np.empty(width), np.empty(width)
    query = np.empty(1024, dtype=np.int64)
    state = np.empty(1024, dtype=np.int32)
    loss, extra, gain = np.empty(1024), np.empty(1024), np.empty(1024)
    count = 0
    total = np.zeros(2)
    for tile in range(begin, end, TILE):
        stop = min(tile + TILE, end)
        rows = stop - tile
        # views of the tile: an index into them needs no check against negative numbers
        dense_, base_, inputs_, outputs_ = dense[tile:stop], base[tile:stop], inputs[tile:stop], outputs[tile:stop]
        retention_ = retention[tile:stop] if retention.shape[0] > 1 else retention
        load_tile(own, tokens, base_tile, base_, inputs_, outputs_, prices)
        for r in range(rows):
            best[r] = second[r] = -np.inf
        for s in range(width):
            k, part = state_model[s], share[s]
            load_state(s, k, rows, limit[s], tokens, base_tile, utility, dense_, retention_)
            for r in range(rows):
                worth = utility[r] - price * (own[k, r] + part)
                top = best[r]
                lower = top if worth > top else worth
                second[r] = lower if lower > second[r] else second[r]
                best[r] = worth if worth > top else top
        part = 0.0
        for r in range(rows):
            part += best[r]
            if best[r] - second[r] > threshold or count > most:
                continue
            load_row(
                tile + r, row_cost, row_utility,
                dense, base, retention, inputs, outputs, prices, state_model, share, limit,
            )  # fmt: skip
            s = states[tile + r]
            for t in range(width):
                lost = best[r] - (row_utility[t] - price * row_cost[t])
                if lost > threshold:
                    continue
                if count == query.size:
                    query, state = grown(query), grown(state)
                    loss, extra, gain = grown(loss), grown(extra), grown(gain)
                query[count], state[count], loss[count] = tile + r, t, max(lost, 0.0)
                extra[count] = row_cost[t] - row_cost[s]
                gain[count] = row_utility[t] - row_utility[s]
                count += 1
        add(total, part)
    return query[:count], state[:count], loss[:count], extra[:count], gain[:count], total[0] + total[1]


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
