"""Numba kernels of the peers.

A problem reaches them as flat arrays, see `robatch.instances.kernels`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from robatch.instances.arrays import Array


@njit(cache=True, nogil=True)
def pair(
    i: int, s: int,
    dense: Array, base: Array, retention: Array, inputs: Array, outputs: Array, prices: Array,
    state_model: Array, share: Array, limit: Array,
) -> tuple[float, float]:  # fmt: skip
    """Return USD and utility of query i in state s; utility -1 where it is not allowed."""
    k = state_model[s]
    t_in = np.float64(inputs[i, k if inputs.shape[1] > 1 else 0])
    t_out = np.float64(outputs[i, k if outputs.shape[1] > 1 else 0])
    cost = (t_in * prices[0, k] + t_out * prices[1, k]) + share[s]
    if t_in + t_out > limit[s]:
        return cost, -1.0
    if dense.shape[0] > 0:
        utility = np.float64(dense[i, s])
    else:
        utility = np.float64(base[i, k] * retention[i if retention.shape[0] > 1 else 0, s])
    return cost, (min(utility, 1.0) if utility >= 0.0 else -1.0)


@njit(cache=True, nogil=True)
def uniform(
    state: int, cheapest: Array,
    dense: Array, base: Array, retention: Array, inputs: Array, outputs: Array, prices: Array,
    state_model: Array, share: Array, limit: Array,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """Return state, USD and utility of each query when all that are allowed go to one state: (N,) each.

    The others, and all of them if `state` is -1, go to their `cheapest` state.
    """
    n = inputs.shape[0]
    states, costs, utilities = np.empty(n, dtype=np.int64), np.empty(n), np.empty(n)
    for i in range(n):
        s, cost, utility = state, 0.0, -1.0
        if s >= 0:
            cost, utility = pair(
                i, s, dense, base, retention, inputs, outputs, prices, state_model, share, limit,
            )  # fmt: skip
        if utility < 0.0:
            s = cheapest[i]
            cost, utility = pair(
                i, s, dense, base, retention, inputs, outputs, prices, state_model, share, limit,
            )  # fmt: skip
        states[i], costs[i], utilities[i] = s, cost, utility
    return states, costs, utilities


@njit(cache=True, nogil=True)
def serve(
    order: Array, observed: int, price: float, room: float, cheapest: Array, least: Array,
    dense: Array, base: Array, retention: Array, inputs: Array, outputs: Array, prices: Array,
    state_model: Array, share: Array, limit: Array,
) -> Array:  # fmt: skip
    """Decide on queries one at a time, each from what is left when all to come are paid their cheapest state.

    Parameters
    ----------
    order
        The queries as they come: (N,).
    observed
        How many of the first may only spend an equal part of the room each, on as much utility as that buys.
    price
        Utility per USD, finite: later queries take the state of greatest ``utility - price * cost`` that fits.
    room
        USD above the cheapest plan.
    cheapest, least
        Cheapest state of each query, and its USD: (N,).

    Returns
    -------
    ndarray
        State of each query: (N,).
    """
    states = cheapest.copy()
    part = room / order.size
    for place in range(order.size):
        i = order[place]
        weight, most = (0.0, part) if place < observed else (price, room)
        best_cost, utility = pair(
            i, cheapest[i], dense, base, retention, inputs, outputs, prices, state_model, share, limit,
        )  # fmt: skip
        best = utility - weight * best_cost
        for s in range(share.size):
            cost, utility = pair(
                i, s, dense, base, retention, inputs, outputs, prices, state_model, share, limit,
            )  # fmt: skip
            worth = utility - weight * cost
            if utility < 0.0 or cost - least[i] > most:
                continue
            if worth > best or (worth == best and cost < best_cost):
                states[i], best, best_cost = s, worth, cost
        room -= best_cost - least[i]
    return states


@njit(cache=True, nogil=True)
def best_jump(here: int, end: int, room: float, costs: Array, utilities: Array) -> tuple[int, float]:
    """Return the point after `here`, before `end`, of most utility per USD that fits the room; -1 if none does."""
    best, slope = -1, -1.0
    for j in range(here + 1, end):
        extra = costs[j] - costs[here]
        if extra > room:
            break  # points are sorted by cost
        rise = (utilities[j] - utilities[here]) / extra
        if rise >= slope:  # of points on a line, the dearest
            best, slope = j, rise
    return best, slope


@njit(cache=True, nogil=True)
def rebuild(
    chosen: Array, room: float, first: Array, costs: Array, utilities: Array, point: Array
) -> tuple[float, float]:  # fmt: skip
    """Destroy the choices of some queries and make them again, most utility per USD first (a binary heap).

    Parameters
    ----------
    chosen
        The queries, each once: (chosen,).
    room
        USD that are left.
    first, costs, utilities
        Frontier points, see `robatch.solvers.reference.pareto_kernels.frontiers`.
    point
        Point of each query (N,). It is changed, and left as it was if utility would fall.

    Returns
    -------
    tuple
        USD that are left now, and utility gained.
    """
    size = chosen.size
    before, target = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64)
    heap, key = np.empty(size, dtype=np.int64), np.empty(size)
    left, gain = room, 0.0
    for a in range(size):
        i = chosen[a]
        before[a] = point[i]
        left += costs[point[i]] - costs[first[i]]
        gain -= utilities[point[i]] - utilities[first[i]]
        point[i] = first[i]
    count = 0
    for a in range(size):
        i = chosen[a]
        target[a], key[a] = best_jump(point[i], first[i + 1], left, costs, utilities)
        if target[a] >= 0:
            heap[count] = a
            count += 1
    for root in range(count // 2 - 1, -1, -1):
        sift_down(heap, key, root, count)
    while count > 0:
        a = heap[0]
        i = chosen[a]
        here, there = point[i], target[a]
        if costs[there] - costs[here] <= left:
            left -= costs[there] - costs[here]
            gain += utilities[there] - utilities[here]
            point[i] = there
        target[a], key[a] = best_jump(point[i], first[i + 1], left, costs, utilities)
        if target[a] < 0:
            count -= 1
            heap[0] = heap[count]
        sift_down(heap, key, 0, count)
    if gain < 0.0:
        for a in range(size):
            point[chosen[a]] = before[a]
        return room, 0.0
    return left, gain


@njit(cache=True, nogil=True)
def sift_down(heap: Array, key: Array, root: int, size: int) -> None:
    """Restore the heap below `root`: greatest key first, lowest number first among equals."""
    if size == 0:
        return
    a = heap[root]
    while True:
        child = 2 * root + 1
        if child >= size:
            break
        if child + 1 < size and ahead(key, heap[child + 1], heap[child]):
            child += 1
        if not ahead(key, heap[child], a):
            break
        heap[root] = heap[child]
        root = child
    heap[root] = a


@njit(cache=True, nogil=True)
def ahead(key: Array, a: int, b: int) -> bool:
    """Whether a comes out of the heap before b."""
    return bool(key[a] > key[b] or (key[a] == key[b] and a < b))
