"""Numba kernels that put queries in the order in which calls take them."""

from __future__ import annotations

import numpy as np

from robatch.instances.arrays import Array
from robatch.instances.compilation import njit


@njit(cache=True, nogil=True, small=True)
def by_cell(states: Array, groups: Array, n_groups: int, n_states: int, sequence: Array) -> tuple[Array, Array]:
    """Sort queries by state, then group, then their place in `sequence` (their position if it is empty).

    Returns
    -------
    tuple
        The queries, and where each cell, number ``state * n_groups + group``, begins and the last one ends.
    """
    ends = np.zeros(n_groups * n_states + 1, dtype=np.int64)
    for i in range(states.size):
        ends[states[i] * n_groups + (groups[i] if groups.size > 0 else 0) + 1] += 1
    for c in range(ends.size - 1):
        ends[c + 1] += ends[c]
    next_ = ends[:-1].copy()
    order = np.empty(states.size, dtype=np.int64)
    for j in range(states.size):
        i = sequence[j] if sequence.size > 0 else j
        c = states[i] * n_groups + (groups[i] if groups.size > 0 else 0)
        order[next_[c]] = i
        next_[c] += 1
    return order, ends


@njit(cache=True, nogil=True, small=True)
def grown(similarity: Array, size: int) -> Array:
    """Return an order of queries whose runs of `size` are alike: (M,).

    Each run starts with the first query left and takes in turn the one most similar to those that it holds.
    """
    n = similarity.shape[0]
    order = np.empty(n, dtype=np.int64)
    left = np.ones(n, dtype=np.bool_)
    near = np.zeros(n)
    first = 0
    for j in range(n):
        if j % size == 0:
            near[:] = 0.0
            while not left[first]:
                first += 1
            best = first
        else:
            best = -1
            for v in range(n):
                if left[v] and (best < 0 or near[v] > near[best]):
                    best = v
        order[j] = best
        left[best] = False
        for v in range(n):
            near[v] += similarity[best, v]
    return order


@njit(cache=True, nogil=True, small=True)
def grown_on_graph(
    queries: Array, size: int, starts: Array, others: Array, weights: Array, place: Array, near: Array
) -> Array:
    """Return an order of a cell's queries whose runs of `size` are alike on a graph: (M,).

    As `grown`, where queries without an edge have similarity 0; among equals the first in `queries` is taken.

    Parameters
    ----------
    queries, size
        The queries of the cell, and the length of a run.
    starts, others, weights
        Edges of the graph over all queries, from both ends.
    place, near
        Space of one number for each query: -1, and 0. They are so again afterwards.
    """
    n = queries.size
    order = np.empty(n, dtype=np.int64)
    left = np.ones(n, dtype=np.bool_)
    for j in range(n):
        place[queries[j]] = j
    touched = [np.int64(0) for _ in range(0)]
    first = 0
    for j in range(n):
        if j % size == 0:
            for i in touched:
                near[i] = 0.0
            touched.clear()
        while not left[first]:
            first += 1
        best = first
        if j % size > 0:
            for i in touched:
                p = place[i]
                if left[p]:
                    ahead, behind = near[i], near[queries[best]]
                    if ahead > behind or (ahead == behind and p < best):
                        best = p
        order[j] = queries[best]
        left[best] = False
        for e in range(starts[order[j]], starts[order[j] + 1]):
            i = others[e]
            if place[i] >= 0 and left[place[i]]:
                near[i] += weights[e]
                touched.append(i)
    for i in touched:
        near[i] = 0.0
    for i in queries:
        place[i] = -1
    return order
