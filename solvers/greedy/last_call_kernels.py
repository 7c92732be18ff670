"""Numba kernels of the last, partly filled calls: what their queries gain in another batch size of the same model."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from robatch.instances.arrays import NOT_ALLOWED, Array
from robatch.instances.compilation import njit
from robatch.instances.kernels import Flat


class Cells(NamedTuple):
    """Counts of each cell, number ``group * S + state``: (cells,)."""

    last: Array  # queries in the last call, 0 where it is full
    queries: Array  # queries
    needed: Array  # calls that conflicts need, 0 without any


@njit(cache=True, nogil=True, inner=True)
def _utility(i: int, s: int, flat: Flat) -> float:
    """Return a query's utility in a state that its tokens fit."""
    if flat.dense.shape[0] > 0:
        return np.float64(flat.dense[i, s])
    product = flat.base[i, flat.state_model[s]] * flat.retention[i if flat.retention.shape[0] > 1 else 0, s]
    return min(np.float64(product), 1.0)


@njit(cache=True, nogil=True, inner=True)
def _sink(gains: Array, members: Array, low: int, place: int, size: int) -> None:
    """Move an entry of a heap, least gain first, down to where it belongs."""
    while True:
        child = 2 * place + 1
        if child >= size:
            return
        if child + 1 < size and gains[low + child + 1] < gains[low + child]:
            child += 1
        if gains[low + place] <= gains[low + child]:
            return
        a, b = low + place, low + child
        gains[a], gains[b] = gains[b], gains[a]
        members[a], members[b] = members[b], members[a]
        place = child


@njit(cache=True, nogil=True, inner=True)
def _rise(gains: Array, members: Array, low: int, place: int) -> None:
    """Move the newest entry of a heap up to where it belongs."""
    while place > 0 and gains[low + place] < gains[low + (place - 1) // 2]:
        a, b = low + place, low + (place - 1) // 2
        gains[a], gains[b] = gains[b], gains[a]
        members[a], members[b] = members[b], members[a]
        place = (place - 1) // 2


@njit(cache=True, nogil=True)
def movers(
    states: Array, groups: Array, tied: Array, fills: Array, target: Array, begins: Array, flat: Flat
) -> tuple[Array, Array, Array]:
    """Choose the queries of each cell that gain most utility, or lose least, in the state that is the cell's target.

    Parameters
    ----------
    states, groups, tied
        State and group of each query, and whether it stays as it conflicts with any. No groups if all share one;
        `tied` is empty if none does.
    fills, target
        Queries to choose in each cell, number ``group * S + state``, and the state that they would move to, or -1.
    begins
        Where each cell's choice begins in the results, and where the last one ends.

    Returns
    -------
    tuple
        Total gain of each cell's choice, the number of queries found for it, and the queries, cell by cell.
    """
    inputs, outputs, width = flat.inputs, flat.outputs, flat.share.size
    gains, members = np.empty(begins[-1]), np.empty(begins[-1], dtype=np.int64)
    total, found = np.zeros(fills.size), np.zeros(fills.size, dtype=np.int64)
    for i in range(states.size):
        s = states[i]
        cell = (groups[i] if groups.size > 0 else 0) * width + s
        t, fill = target[cell], fills[cell]
        if t < 0 or fill == 0 or (tied.size > 0 and tied[i]):
            continue
        k = flat.state_model[t]
        t_in = np.float64(inputs[i, k if inputs.shape[1] > 1 else 0])
        t_out = np.float64(outputs[i, k if outputs.shape[1] > 1 else 0])
        if t_in + t_out > flat.limit[t]:
            continue
        there = _utility(i, t, flat)
        if there == NOT_ALLOWED:
            continue
        gain = there - _utility(i, s, flat)
        low = begins[cell]
        if found[cell] < fill:
            gains[low + found[cell]], members[low + found[cell]] = gain, i
            _rise(gains, members, low, found[cell])
            found[cell] += 1
        elif gain > gains[low]:
            gains[low], members[low] = gain, i
            _sink(gains, members, low, 0, fill)
    for cell in range(fills.size):
        if target[cell] >= 0:
            for j in range(begins[cell], begins[cell] + found[cell]):
                total[cell] += gains[j]
    return total, found, members


@njit(cache=True, nogil=True)
def choose(
    cells: Array, targets: Array, counts: Cells, sizes: Array, call_price: Array, slack: float,
    chosen: Array,
) -> float:  # fmt: skip
    """Go through moves in the given order and take each that the slack allows; return the slack that is left.

    Parameters
    ----------
    cells, targets
        Cell whose last call would move, and the state that it would move to, of each move.
    counts
        The queries are written.
    sizes, call_price
        Batch size, and USD of one call, of each state.
    slack
        USD that all moves together may cost.
    chosen
        Target of each cell, -1 if its last call stays. Written.
    """
    queries, needed = counts.queries, counts.needed
    touched = np.zeros(chosen.size, dtype=np.bool_)
    for j in range(cells.size):
        cell, t = cells[j], targets[j]
        s = cell % sizes.size
        other = cell - s + t
        if touched[cell]:  # it has other queries than those that were looked at
            continue
        fill = counts.last[cell]
        before = max(-(-queries[cell] // sizes[s]), needed[cell])
        before += max(-(-queries[other] // sizes[t]), needed[other])
        after = max(-(-(queries[cell] - fill) // sizes[s]), needed[cell])
        after += max(-(-(queries[other] + fill) // sizes[t]), needed[other])
        price = (after - before) * call_price[s]
        if price > 0.0 and price > slack:
            continue
        slack -= price
        queries[cell] -= fill
        queries[other] += fill
        touched[cell], touched[other] = True, True
        chosen[cell] = t
    return slack
