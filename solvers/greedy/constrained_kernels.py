"""Numba kernels of the dual of coupled constraints: one pass over all queries at given multipliers.

All kernels of a file and their helpers share it, since a compiled cache does not see changes in other files.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from robatch.instances.arrays import Array
from robatch.instances.kernels import Flat

TILE = 64  # rows that are summed by themselves, before a sum that carries its rounding error
FAR = 36.0  # temperatures below the best at which a state counts for nothing: exp(-36) is below rounding


class Sides(NamedTuple):
    """What the coupled constraints need to know beside a problem's flat arrays.

    Attributes
    ----------
    codes
        Group of each query: (N,), or (0,) where all share one.
    slot
        Place of each group among those with constraints, -1 for the others: (G,).
    size_class
        Row of each group in `per` and `shares`: (G,).
    per
        Calls that a query needs at least, ``1 / min(b, size of its group)``: (classes, S).
    shares
        USD of the shared prompt that a query pays at least, under the plan's cost model: (classes, S).
    batch
        Batch size of each state: (S,).
    call_price
        USD of the shared prompt of one call in each state: (S,).
    realized
        Whether whole calls are paid.
    """

    codes: Array
    slot: Array
    size_class: Array
    per: Array
    shares: Array
    batch: Array
    call_price: Array
    realized: bool


@njit(cache=True, nogil=True)
def add(total: Array, value: float) -> None:
    """Add to a sum that carries its own rounding error along: total[0] + total[1] (Neumaier, 1974)."""
    new = total[0] + value
    if abs(total[0]) >= abs(value):
        total[1] += (total[0] - new) + value
    else:
        total[1] += (value - new) + total[0]
    total[0] = new


@njit(cache=True, nogil=True, error_model="numpy")
def worths(
    i: int, heavy: float, price: float, by_model: Array, flat: Flat, sides: Sides, row: int,
    cost: Array, utility: Array, worth: Array,
) -> int:  # fmt: skip
    """Write USD, utility and worth of query i in every state, -inf where not allowed; return its best state.

    Parameters
    ----------
    heavy, price
        Weight of utility, and price of a USD, of the query's group.
    by_model
        Prices of a query, of a call and of a USD of each model: (3, K).
    row
        The group's row in `sides.per` and `sides.shares`.
    """
    inputs, outputs, prices = flat.inputs, flat.outputs, flat.prices
    base, retention, dense = flat.base, flat.retention, flat.dense
    kept = i if retention.shape[0] > 1 else 0
    best, top = 0, -np.inf
    own, tokens, before, toll, dear = 0.0, 0.0, -1, 0.0, price
    for s in range(worth.size):
        k = flat.state_model[s]
        if k != before:
            t_in = np.float64(inputs[i, k if inputs.shape[1] > 1 else 0])
            t_out = np.float64(outputs[i, k if outputs.shape[1] > 1 else 0])
            own, tokens, before = t_in * prices[0, k] + t_out * prices[1, k], t_in + t_out, k
            toll, dear = by_model[0, k], price + by_model[2, k]
        u = np.float64(dense[i, s]) if dense.shape[0] > 0 else min(np.float64(base[i, k] * retention[kept, s]), 1.0)
        c = own + sides.shares[row, s]
        v = heavy * u - dear * c - (toll + by_model[1, k] * sides.per[row, s])
        if tokens > flat.limit[s] or u < 0.0:
            v = -np.inf
        cost[s], utility[s], worth[s] = c, u, v
        if v > top:
            best, top = s, v
    return best


@njit(cache=True, nogil=True, error_model="numpy")
def dual(
    begin: int, end: int, temperature: float, prices: Array, by_model: Array, by_group: Array,
    states: Array, margin: Array, flat: Flat, sides: Sides,
) -> tuple[Array, Array, Array, Array, Array, Array]:  # fmt: skip
    """Take every query's best state at given multipliers, softened by a temperature, and sum up what they use.

    The softened maximum of worths v is ``t log(sum exp(v / t))``; its weights are a fractional assignment.

    Parameters
    ----------
    begin, end
        Range of queries.
    temperature
        Utility; 0 for the plain maximum.
    prices, by_model, by_group
        Multipliers: of a USD (1,); of a query, a call and a USD of each model (3, K); of utility and USD of
        each group with constraints (groups, 2).
    states, margin
        Receive each query's best state and by how much it is better than the next: (N,) or (0,).

    Returns
    -------
    tuple
        Sums: plain maxima and the rounding error of that sum, what the softened maxima are above them, what
        they lose below them, utility, and the sum of all magnitudes that rounding errors grow with (6,). Use of
        USD, and of queries, calls and USD by model (1 + 3 K,), and of utility (negative) and USD by group
        (groups, 2). Then covariances of the uses, times the temperature the second derivatives of the softened
        maxima: (1 + 3 K, 1 + 3 K), (groups, 1 + 3 K, 2), (groups, 2, 2).
    """
    width, models, groups = flat.state_model.size, by_model.shape[1], by_group.shape[0]
    rows = 1 + 3 * models
    cost, utility, worth, weight = np.empty(width), np.empty(width), np.empty(width), np.empty(width)
    sums, some = np.zeros(6), np.zeros(4)
    use, use_group = np.zeros(rows), np.zeros((groups, 2))
    cov, cross, inner = np.zeros((rows, rows)), np.zeros((groups, rows, 2)), np.zeros((groups, 2, 2))
    near, mean, touched = np.empty(width, dtype=np.int64), np.zeros(rows), np.empty(rows, dtype=np.int64)
    seen = np.zeros(rows, dtype=np.bool_)
    place, amount, side = np.zeros(4, dtype=np.int64), np.zeros(4), np.zeros(2)
    for tile in range(begin, end, TILE):
        part = 0.0
        some[:] = 0.0
        for i in range(tile, min(tile + TILE, end)):
            g = sides.codes[i] if sides.codes.size > 0 else 0
            q, row = sides.slot[g], sides.size_class[g]
            heavy, price = 1.0, prices[0]
            if q >= 0:
                heavy += by_group[q, 0]
                price += by_group[q, 1]
            best = worths(i, heavy, price, by_model, flat, sides, row, cost, utility, worth)
            top = worth[best]
            part += top
            some[3] += 2.0 * heavy + abs(top)
            if states.size > 0:
                second = -np.inf
                for s in range(width):
                    if s != best and worth[s] > second:
                        second = worth[s]
                states[i], margin[i] = best, top - second
            count, total = 0, 0.0
            edge = top - FAR * temperature
            for s in range(width):
                if worth[s] > edge or s == best:
                    near[count] = s
                    weight[count] = 1.0 if s == best else np.exp((worth[s] - top) / temperature)
                    total += weight[count]
                    count += 1
            n_touched = 0
            side[:] = 0.0
            if count > 1:
                some[0] += temperature * np.log(total)
            for j in range(count):
                s, p = near[j], weight[j] / total
                k = flat.state_model[s]
                place[1], place[2], place[3] = 1 + k, 1 + models + k, 1 + 2 * models + k
                amount[0], amount[1], amount[2], amount[3] = cost[s], 1.0, sides.per[row, s], cost[s]
                some[1] += p * (top - worth[s])
                some[2] += p * utility[s]
                for a in range(4):
                    use[place[a]] += p * amount[a]
                if q >= 0:
                    use_group[q, 0] -= p * utility[s]
                    use_group[q, 1] += p * cost[s]
                if count == 1:
                    break
                for a in range(4):
                    if not seen[place[a]]:
                        seen[place[a]] = True
                        touched[n_touched] = place[a]
                        n_touched += 1
                    mean[place[a]] += p * amount[a]
                    for b in range(4):
                        cov[place[a], place[b]] += p * amount[a] * amount[b]
                    if q >= 0:
                        cross[q, place[a], 0] -= p * amount[a] * utility[s]
                        cross[q, place[a], 1] += p * amount[a] * cost[s]
                side[0] -= p * utility[s]
                side[1] += p * cost[s]
                if q >= 0:
                    inner[q, 0, 0] += p * utility[s] * utility[s]
                    inner[q, 0, 1] -= p * utility[s] * cost[s]
                    inner[q, 1, 1] += p * cost[s] * cost[s]
            for a in range(n_touched):
                for b in range(n_touched):
                    cov[touched[a], touched[b]] -= mean[touched[a]] * mean[touched[b]]
                if q >= 0:
                    cross[q, touched[a], 0] -= mean[touched[a]] * side[0]
                    cross[q, touched[a], 1] -= mean[touched[a]] * side[1]
            if q >= 0 and count > 1:
                inner[q, 0, 0] -= side[0] * side[0]
                inner[q, 0, 1] -= side[0] * side[1]
                inner[q, 1, 1] -= side[1] * side[1]
            for a in range(n_touched):
                mean[touched[a]] = 0.0
                seen[touched[a]] = False
        add(sums[:2], part)
        for a in range(4):
            sums[2 + a] += some[a]
    for q in range(groups):
        inner[q, 1, 0] = inner[q, 0, 1]
    return sums, use, use_group, cov, cross, inner


@njit(cache=True, nogil=True, error_model="numpy")
def losses(queries: Array, prices: Array, by_model: Array, by_group: Array, flat: Flat, sides: Sides) -> Array:
    """Return by how much each state of some queries is worth less than their best one: (queries, S)."""
    width = flat.state_model.size
    cost, utility, lost = np.empty(width), np.empty(width), np.empty((queries.size, width))
    for j in range(queries.size):
        g = sides.codes[queries[j]] if sides.codes.size > 0 else 0
        q, row = sides.slot[g], sides.size_class[g]
        heavy, price = 1.0, prices[0]
        if q >= 0:
            heavy += by_group[q, 0]
            price += by_group[q, 1]
        best = worths(queries[j], heavy, price, by_model, flat, sides, row, cost, utility, lost[j])
        top = lost[j, best]
        for s in range(width):
            lost[j, s] = top - lost[j, s]
    return lost
