"""Numba kernels over the queries' Pareto frontiers: forming them, climbing them, and rebuilding parts of a plan.

The points of all queries stand in one array each, cheapest first: `first` (N + 1,) is where each query's begin, `costs`
and `utilities` are USD and utility of each. A plan is one of these points for each query: `point` (N,).
"""

from __future__ import annotations

import numpy as np

from robatch.instances.arrays import Array, FloatArray
from robatch.instances.compilation import njit
from robatch.instances.kernels import Flat


@njit(cache=True, nogil=True, inner=True)
def fill_row(i: int, flat: Flat, state: Array, cost: Array, utility: Array) -> int:
    """Write the allowed states of query i with cost and utility to three buffers; return how many."""
    dense, base, retention, inputs, outputs = flat.dense, flat.base, flat.retention, flat.inputs, flat.outputs
    factored = dense.shape[0] == 0
    kept_row = i if retention.shape[0] > 1 else 0
    count = 0
    for s in range(flat.share.size):
        k = flat.state_model[s]
        t_in = np.float64(inputs[i, k if inputs.shape[1] > 1 else 0])
        t_out = np.float64(outputs[i, k if outputs.shape[1] > 1 else 0])
        if t_in + t_out > flat.limit[s]:
            continue
        u = base[i, k] * retention[kept_row, s] if factored else dense[i, s]
        if u < 0.0:  # not allowed
            continue
        state[count] = s
        cost[count] = (t_in * flat.prices[0, k] + t_out * flat.prices[1, k]) + flat.share[s]
        utility[count] = min(np.float64(u), 1.0)
        count += 1
    return count


@njit(cache=True, nogil=True, inner=True)
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
def frontiers(flat: Flat) -> tuple[Array, Array, Array, Array]:
    """Return the Pareto frontiers of all queries: `first`, and state, USD and utility of each point."""
    n, width = flat.inputs.shape[0], flat.share.size
    first = np.zeros(n + 1, dtype=np.int64)
    states, costs, utilities = np.empty(4 * n + width, dtype=np.int32), np.empty(4 * n + width), np.empty(4 * n + width)
    state, cost, utility = np.empty(width, dtype=np.int64), np.empty(width), np.empty(width)
    for i in range(n):
        count = fill_row(i, flat, state, cost, utility)
        sort_row(count, state, cost, utility)
        end = first[i]
        if end + width > states.size:
            states = np.append(states, np.empty(states.size, dtype=np.int32))
            costs, utilities = np.append(costs, np.empty(costs.size)), np.append(utilities, np.empty(costs.size))
        for j in range(count):
            if end == first[i] or utility[j] > utilities[end - 1]:
                states[end], costs[end], utilities[end] = state[j], cost[j], utility[j]
                end += 1
        first[i + 1] = end
    return first, states[: first[n]], costs[: first[n]], utilities[: first[n]]


@njit(cache=True, nogil=True, inner=True)
def slope(j: int, costs: FloatArray, utilities: FloatArray) -> float:
    """Return utility per USD of a point over the one before it."""
    return float((utilities[j] - utilities[j - 1]) / (costs[j] - costs[j - 1]))


@njit(cache=True, nogil=True)
def climb_heap(budget: float, first: Array, costs: Array, utilities: Array) -> Array:
    """Take the next frontier point of best slope, again and again (a binary heap over the queries).

    A query whose next point does not fit is done. Returns the point of each query (N,).
    """
    n = first.size - 1
    point = first[:n].copy()
    heap, key = np.empty(n, dtype=np.int64), np.empty(n)
    size, spent = 0, 0.0
    for i in range(n):
        spent += costs[first[i]]
        if first[i] + 1 < first[i + 1]:
            key[i] = slope(first[i] + 1, costs, utilities)
            heap[size] = i
            size += 1
    for root in range(size // 2 - 1, -1, -1):
        sift_down(heap, key, root, size)
    while size > 0:
        i = heap[0]
        j = point[i] + 1
        more = costs[j] - costs[j - 1]
        fits = spent + more <= budget
        if fits:
            spent += more
            point[i] = j
        if fits and j + 1 < first[i + 1]:
            key[i] = slope(j + 1, costs, utilities)
        else:
            size -= 1
            heap[0] = heap[size]
        sift_down(heap, key, 0, size)
    return point


@njit(cache=True, nogil=True, inner=True)
def best_jump(here: int, end: int, slack: float, costs: Array, utilities: Array) -> tuple[int, float]:
    """Return the point after `here`, before `end`, of most utility per USD within the slack; -1 if there is none."""
    best, top = -1, -1.0
    for j in range(here + 1, end):
        more = costs[j] - costs[here]
        if more > slack:
            break  # points are sorted by cost
        incline = (utilities[j] - utilities[here]) / more
        if incline >= top:  # of points on a line, the dearest
            best, top = j, incline
    return best, top


@njit(cache=True, nogil=True)
def rebuild(
    chosen: Array, slack: float, first: Array, costs: Array, utilities: Array, point: Array
) -> tuple[float, float]:
    """Destroy the choices of some queries and make them again, most utility per USD first (a binary heap).

    `chosen` holds each of the queries once, and `slack` is the USD that the plan leaves. `point` is changed, and left
    as it was if utility would fall. Returns the slack that is left now, and the utility gained.
    """
    size = chosen.size
    before, target = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64)
    heap, key = np.empty(size, dtype=np.int64), np.empty(size)
    left, gain = slack, 0.0
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
        return slack, 0.0
    return left, gain


@njit(cache=True, nogil=True, inner=True)
def sift_down(heap: Array, key: Array, root: int, size: int) -> None:
    """Restore the heap below `root`: greatest key first, lowest number first among equals."""
    a = heap[root]
    while True:
        child = 2 * root + 1
        if child >= size:
            break
        if child + 1 < size and before(key, heap[child + 1], heap[child]):
            child += 1
        if not before(key, heap[child], a):
            break
        heap[root] = heap[child]
        root = child
    if size > 0:
        heap[root] = a


@njit(cache=True, nogil=True, inner=True)
def before(key: Array, a: int, b: int) -> bool:
    """Whether a comes out of the heap before b."""
    return bool(key[a] > key[b] or (key[a] == key[b] and a < b))
