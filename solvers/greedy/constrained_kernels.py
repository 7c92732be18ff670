"""Numba kernels of the dual of coupled constraints: one pass over all queries at given multipliers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from robatch.instances.arrays import NOT_ALLOWED, Array
from robatch.instances.compilation import njit
from robatch.instances.kernels import Flat

TILE = 64  # rows that are summed by themselves, before a sum that carries its rounding error
FAR = 36.0  # temperatures below the best at which a state counts for nothing: exp(-36) is below rounding


class Sides(NamedTuple):
    """What the coupled constraints need to know beside a problem's flat arrays."""

    codes: Array  # group of each query: (N,), or (0,) where all share one
    slot: Array  # place of each group among those with constraints, -1 for the others: (G,)
    size_class: Array  # row of each group in `per` and `shares`: (G,)
    per: Array  # calls that a query needs at least, ``1 / min(b, size of its group)``: (classes, S)
    shares: Array  # USD of the shared prompt that a query pays at least, under the plan's cost model: (classes, S)
    batch: Array  # batch size of each state: (S,)
    call_price: Array  # USD of the shared prompt of one call in each state: (S,)
    realized: bool  # whether whole calls are paid


class Multipliers(NamedTuple):
    """A price for each row of the constraints."""

    budget: Array  # of a USD: (1,)
    by_model: Array  # of a query, a call and a USD of each model: (3, K)
    by_group: Array  # of utility and USD of each group with constraints: (groups, 2)


class Space(NamedTuple):
    """Space for what is known of one query."""

    cost: Array  # in each state: (S,)
    utility: Array
    profit: Array  # reduced profit
    near: Array  # states that count at a temperature, and their weights: (S,)
    weight: Array
    place: Array  # rows of the constraints that a state uses, and how much of each: (4,)
    amount: Array
    mean: Array  # mean use of each row, all 0 between queries: (1 + 3 K,)
    seen: Array  # whether a row is used, all False between queries


class Moments(NamedTuple):
    """Sums over the queries: use of the rows, by model and by group, and its covariances."""

    use: Array  # of USD, and of queries, calls and USD by model: (1 + 3 K,)
    use_group: Array  # of utility (negative) and USD by group: (groups, 2)
    outer: Array  # (1 + 3 K, 1 + 3 K)
    cross: Array  # (groups, 1 + 3 K, 2)
    inner: Array  # (groups, 2, 2)


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
def new_space(flat: Flat) -> Space:
    """Return space for a query of a problem."""
    width, rows = flat.state_model.size, 1 + 3 * flat.prices.shape[1]
    cost, utility, profit, weight = np.empty(width), np.empty(width), np.empty(width), np.empty(width)
    near, place = np.empty(width, dtype=np.int64), np.zeros(4, dtype=np.int64)
    seen = np.zeros(rows, dtype=np.bool_)
    return Space(cost, utility, profit, near, weight, place, np.zeros(4), np.zeros(rows), seen)


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def profits(i: int, at: Multipliers, flat: Flat, sides: Sides, space: Space) -> tuple[int, int, int, float]:
    """Write USD, utility and reduced profit of query i in every state, profit -inf where it is not allowed.

    Returns its best state, the place of its group among those with constraints, the group's row in `sides.per`, and
    the weight of its utility.
    """
    inputs, outputs, prices, by_model = flat.inputs, flat.outputs, flat.prices, at.by_model
    base, retention, dense, state_model, limit = flat.base, flat.retention, flat.dense, flat.state_model, flat.limit
    shares, per, costs, utilities, profit = sides.shares, sides.per, space.cost, space.utility, space.profit
    g = sides.codes[i] if sides.codes.size > 0 else 0
    q, row = sides.slot[g], sides.size_class[g]
    heavy, price = 1.0, at.budget[0]
    if q >= 0:
        heavy += at.by_group[q, 0]
        price += at.by_group[q, 1]
    kept = i if retention.shape[0] > 1 else 0
    best, top = 0, -np.inf
    own, tokens, before, toll, dear = 0.0, 0.0, -1, 0.0, price
    for s in range(state_model.size):
        k = state_model[s]
        if k != before:
            t_in = np.float64(inputs[i, k if inputs.shape[1] > 1 else 0])
            t_out = np.float64(outputs[i, k if outputs.shape[1] > 1 else 0])
            own, tokens, before = t_in * prices[0, k] + t_out * prices[1, k], t_in + t_out, k
            toll, dear = by_model[0, k], price + by_model[2, k]
        u = np.float64(dense[i, s]) if dense.shape[0] > 0 else min(np.float64(base[i, k] * retention[kept, s]), 1.0)
        c = own + shares[row, s]
        v = heavy * u - dear * c - (toll + by_model[1, k] * per[row, s])
        if tokens > limit[s] or u == NOT_ALLOWED:
            v = -np.inf
        costs[s], utilities[s], profit[s] = c, u, v
        if v > top:
            best, top = s, v
    return best, q, row, heavy


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def soften(best: int, temperature: float, space: Space) -> tuple[int, float]:
    """List the states that count at a temperature, with weights that sum to 1; return how many, and the sum before."""
    profit, near, weight = space.profit, space.near, space.weight
    top, count, total = profit[best], 0, 0.0
    edge = top - FAR * temperature
    for s in range(profit.size):
        if profit[s] > edge or s == best:
            near[count] = s
            weight[count] = 1.0 if s == best else np.exp((profit[s] - top) / temperature)
            total += weight[count]
            count += 1
    for j in range(count):
        weight[j] /= total
    return count, total


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def load_use(s: int, row: int, flat: Flat, sides: Sides, space: Space) -> None:
    """Write the rows of the constraints that a query uses in a state, and how much of each."""
    k, models, place, amount = flat.state_model[s], flat.prices.shape[1], space.place, space.amount
    place[1], place[2], place[3] = 1 + k, 1 + models + k, 1 + 2 * models + k
    amount[0], amount[1], amount[2], amount[3] = space.cost[s], 1.0, sides.per[row, s], space.cost[s]


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def covary(q: int, row: int, count: int, flat: Flat, sides: Sides, space: Space, sums: Moments) -> None:
    """Add the covariances of what a query uses in the states that count."""
    cost, utility, place, amount, mean = space.cost, space.utility, space.place, space.amount, space.mean
    outer, cross, inner = sums.outer, sums.cross, sums.inner
    gained, spent = 0.0, 0.0
    for j in range(count):
        s, p = space.near[j], space.weight[j]
        load_use(s, row, flat, sides, space)
        for a in range(4):
            space.seen[place[a]] = True
            mean[place[a]] += p * amount[a]
            for b in range(4):
                outer[place[a], place[b]] += p * amount[a] * amount[b]
            if q >= 0:
                cross[q, place[a], 0] -= p * amount[a] * utility[s]
                cross[q, place[a], 1] += p * amount[a] * cost[s]
        gained -= p * utility[s]
        spent += p * cost[s]
        if q >= 0:
            inner[q, 0, 0] += p * utility[s] * utility[s]
            inner[q, 0, 1] -= p * utility[s] * cost[s]
            inner[q, 1, 1] += p * cost[s] * cost[s]
    touched = np.flatnonzero(space.seen)
    for a in touched:
        for b in touched:
            outer[a, b] -= mean[a] * mean[b]
        if q >= 0:
            cross[q, a, 0] -= mean[a] * gained
            cross[q, a, 1] -= mean[a] * spent
    if q >= 0:
        inner[q, 0, 0] -= gained * gained
        inner[q, 0, 1] -= gained * spent
        inner[q, 1, 1] -= spent * spent
    mean[:] = 0.0
    space.seen[:] = False


@njit(cache=True, nogil=True, error_model="numpy")
def dual(
    begin: int, end: int, temperature: float, at: Multipliers, states: Array, margin: Array, flat: Flat, sides: Sides
) -> tuple[Array, Array, Array, Array, Array, Array]:
    """Take every query's best state at given multipliers, softened by a temperature, and sum up what they use.

    The softened maximum of reduced profits v is ``t log(sum exp(v / t))``; its weights are a fractional assignment.

    Parameters
    ----------
    begin, end
        Range of queries.
    temperature
        Utility; 0 for the plain maximum.
    states, margin
        Receive each query's best state and by how much it is better than the next: (N,) or (0,).

    Returns
    -------
    tuple
        Sums: plain maxima and the rounding error of that sum, what the softened maxima are above them, what
        they lose below them, utility, and the sum of all magnitudes that rounding errors grow with (6,). Then the
        arrays of `Moments`; covariances times the temperature are the second derivatives of the softened maxima.
    """
    space, rows, groups = new_space(flat), 1 + 3 * flat.prices.shape[1], at.by_group.shape[0]
    cost, utility, profit, place, amount = space.cost, space.utility, space.profit, space.place, space.amount
    use, use_group, inner = np.zeros(rows), np.zeros((groups, 2)), np.zeros((groups, 2, 2))
    moments = Moments(use, use_group, np.zeros((rows, rows)), np.zeros((groups, rows, 2)), inner)
    sums, some = np.zeros(6), np.zeros(4)
    for tile in range(begin, end, TILE):
        part = 0.0
        some[:] = 0.0
        for i in range(tile, min(tile + TILE, end)):
            best, q, row, heavy = profits(i, at, flat, sides, space)
            top = profit[best]
            part += top
            some[3] += 2.0 * heavy + abs(top)
            if states.size > 0:
                second = -np.inf
                for s in range(profit.size):
                    if s != best and profit[s] > second:
                        second = profit[s]
                states[i], margin[i] = best, top - second
            count, total = soften(best, temperature, space)
            for j in range(count):
                s, p = space.near[j], space.weight[j]
                load_use(s, row, flat, sides, space)
                some[1] += p * (top - profit[s])
                some[2] += p * utility[s]
                for a in range(4):
                    use[place[a]] += p * amount[a]
                if q >= 0:
                    use_group[q, 0] -= p * utility[s]
                    use_group[q, 1] += p * cost[s]
            if count > 1:
                some[0] += temperature * np.log(total)
                covary(q, row, count, flat, sides, space, moments)
        add(sums[:2], part)
        for a in range(4):
            sums[2 + a] += some[a]
    for q in range(groups):
        inner[q, 1, 0] = inner[q, 0, 1]
    return sums, use, use_group, moments.outer, moments.cross, inner


@njit(cache=True, nogil=True, error_model="numpy")
def reduced_costs(queries: Array, at: Multipliers, flat: Flat, sides: Sides) -> Array:
    """Return by how much the reduced profit of each state of some queries is below their best one's: (queries, S)."""
    space = new_space(flat)
    profit, reduced = space.profit, np.empty((queries.size, flat.state_model.size))
    for j in range(queries.size):
        best, _, _, _ = profits(queries[j], at, flat, sides, space)
        for s in range(profit.size):
            reduced[j, s] = profit[best] - profit[s]
    return reduced
