"""Numba kernels of the schedulers.

A problem reaches them as flat arrays, see `robatch.instances.kernels`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from robatch.instances.arrays import Array, FloatArray


@njit(cache=True, nogil=True)
def fill_row(
    i: int,
    dense: Array,
    base: Array,
    retention: Array,
    inputs: Array,
    outputs: Array,
    prices: Array,
    state_model: Array,
    share: Array,
    limit: Array,
    state: Array,
    cost: Array,
    utility: Array,
) -> int:
    """Write the allowed states of query i with cost and utility to three buffers; return how many."""
    factored = dense.shape[0] == 0
    kept_row = i if retention.shape[0] > 1 else 0
    count = 0
    for s in range(share.size):
        k = state_model[s]
        t_in = np.float64(inputs[i, k if inputs.shape[1] > 1 else 0])
        t_out = np.float64(outputs[i, k if outputs.shape[1] > 1 else 0])
        if t_in + t_out > limit[s]:
            continue
        u = base[i, k] * retention[kept_row, s] if factored else dense[i, s]
        if u < 0.0:  # a forbidden pair
            continue
        state[count] = s
        cost[count] = (t_in * prices[0, k] + t_out * prices[1, k]) + share[s]
        utility[count] = min(np.float64(u), 1.0)
        count += 1
    return count


@njit(cache=True, nogil=True)
def sort_row(count: int, state: Array, cost: Array, utility: Array) -> None:
    """Sort a row by ascending cost, and by descending utility among equal costs (insertion sort)."""
    for a in range(1, count):
        s, c, u = state[a], cost[a], utility[a]
        b = a - 1
        while b >= 0 and (cost[b] > c or (cost[b] == c and utility[b] < u)):
            state[b + 1], cost[b + 1], utility[b + 1] = state[b], cost[b], utility[b]
            b -= 1
        state[b + 1], cost[b + 1], utility[b + 1] = s, c, u


@njit(cache=True, nogil=True)
def reduce_row(count: int, state: Array, cost: Array, utility: Array) -> int:
    """Keep a sorted row's Pareto frontier; return how many."""
    kept = 0
    for a in range(count):
        s, c, u = state[a], cost[a], utility[a]
        if kept > 0 and u <= utility[kept - 1]:
            continue
        state[kept], cost[kept], utility[kept] = s, c, u
        kept += 1
    return kept


@njit(cache=True, nogil=True)
def frontiers(
    dense: Array,
    base: Array,
    retention: Array,
    inputs: Array,
    outputs: Array,
    prices: Array,
    state_model: Array,
    share: Array,
    limit: Array,
) -> tuple[Array, Array, Array, Array]:
    """Return the frontier points of every query, cheapest first.

    Returns
    -------
    tuple
        First point of each query (N + 1,), and state, USD and utility of each point.
    """
    n, width = inputs.shape[0], share.size
    first = np.zeros(n + 1, dtype=np.int64)
    capacity = 4 * n + width
    states = np.empty(capacity, dtype=np.int32)
    costs = np.empty(capacity, dtype=np.float64)
    utilities = np.empty(capacity, dtype=np.float64)
    state = np.empty(width, dtype=np.int64)
    cost = np.empty(width, dtype=np.float64)
    utility = np.empty(width, dtype=np.float64)
    for i in range(n):
        count = fill_row(
            i,
            dense,
            base,
            retention,
            inputs,
            outputs,
            prices,
            state_model,
            share,
            limit,
            state,
            cost,
            utility,
        )
        sort_row(count, state, cost, utility)
        count = reduce_row(count, state, cost, utility)
        start = first[i]
        if start + count > capacity:
            grown = capacity + capacity // 2 + width
            more_states = np.empty(grown, dtype=np.int32)
            more_costs = np.empty(grown, dtype=np.float64)
            more_utilities = np.empty(grown, dtype=np.float64)
            more_states[:start] = states[:start]
            more_costs[:start] = costs[:start]
            more_utilities[:start] = utilities[:start]
            capacity, states, costs, utilities = grown, more_states, more_costs, more_utilities
        for j in range(count):
            states[start + j] = state[j]
            costs[start + j] = cost[j]
            utilities[start + j] = utility[j]
        first[i + 1] = start + count
    end = first[n]
    return first, states[:end], costs[:end], utilities[:end]


@njit(cache=True, nogil=True)
def slopes(first: Array, costs: Array, utilities: Array) -> FloatArray:
    """Return utility per USD of each point over the one before it; inf at each query's first point."""
    slope = np.empty(costs.size, dtype=np.float64)
    for i in range(first.size - 1):
        if first[i] < first[i + 1]:
            slope[first[i]] = np.inf
        for j in range(first[i] + 1, first[i + 1]):
            slope[j] = (utilities[j] - utilities[j - 1]) / (costs[j] - costs[j - 1])
    return slope


@njit(cache=True, nogil=True)
def climb_heap(budget: float, first: Array, costs: Array, slope: Array) -> Array:
    """Take the next frontier point of best slope, again and again (a binary heap over the queries).

    A query whose next point does not fit is done. Returns the point of each query (N,).
    """
    n = first.size - 1
    point = first[:n].copy()
    heap = np.empty(n, dtype=np.int64)
    key = np.empty(n, dtype=np.float64)
    size = 0
    spent = 0.0
    for i in range(n):
        spent += costs[first[i]]
        if first[i] + 1 < first[i + 1]:
            key[i] = slope[first[i] + 1]
            heap[size] = i
            size += 1
    for root in range(size // 2 - 1, -1, -1):
        sift_down(heap, key, root, size)
    while size > 0:
        i = heap[0]
        j = point[i] + 1
        extra = costs[j] - costs[j - 1]
        fits = spent + extra <= budget
        if fits:
            spent += extra
            point[i] = j
        if fits and j + 1 < first[i + 1]:
            key[i] = slope[j + 1]
        else:
            size -= 1
            heap[0] = heap[size]
        sift_down(heap, key, 0, size)
    return point


@njit(cache=True, nogil=True)
def sift_down(heap: Array, key: Array, root: int, size: int) -> None:
    """Restore the heap below `root`: greatest key first, lowest query first among equals."""
    i = heap[root]
    while True:
        child = 2 * root + 1
        if child >= size:
            break
        if child + 1 < size and before(key, heap[child + 1], heap[child]):
            child += 1
        if not before(key, heap[child], i):
            break
        heap[root] = heap[child]
        root = child
    if size > 0:
        heap[root] = i


@njit(cache=True, nogil=True)
def before(key: Array, a: int, b: int) -> bool:
    """Whether query a comes out of the heap before query b."""
    return bool(key[a] > key[b] or (key[a] == key[b] and a < b))
