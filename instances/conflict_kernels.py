"""Numba kernels that put queries which conflict in calls: colouring with colour classes of bounded size.

Nodes are the queries that conflict with another one of their own cell (a group and a state), cell by cell; their
conflicts are lists, `starts` (M + 1,) and `others`, of nodes of the same cell: see `ConflictCalls`.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from robatch.instances.arrays import Array
from robatch.instances.compilation import njit

if TYPE_CHECKING:
    from robatch.instances.conflicts import ConflictCalls

EXACT = 12  # conflicting queries of a cell up to which the search always runs to its end
MOST = 60  # conflicting queries of a cell up to which there is a search: they are the bits of a whole number
SEARCH = 20_000  # steps of that search beyond `EXACT`
SPREADS = 3  # numbers of calls over which DSATUR spreads queries
STARTS = 8  # queries of most conflicts from which a clique is grown


class Cell(NamedTuple):
    """The nodes of a cell and their conflicts."""

    order: Array  # its nodes, those of most conflicts first: (n,)
    rank: Array  # place of each node in `order`: (n,)
    low: int  # the first node
    size: int  # queries that a call takes
    starts: Array
    others: Array


@njit(cache=True, nogil=True, inner=True)
def _open(after: Array, call: int) -> int:
    """Return the first call from `call` on that is not full, and shorten the way to it."""
    found = call
    while after[found] != found:
        found = after[found]
    while after[call] != found:
        after[call], call = found, after[call]
    return found


@njit(cache=True, nogil=True, inner=True)
def first_fit(nodes: Array, starts: Array, others: Array, size: int, node_call: Array, call: Array) -> int:
    """Put each query into the first call that is not full and has no query in conflict with it; return the calls.

    `nodes` holds the queries of a cell in the order in which they are put in calls of `size` queries: their nodes, -1
    for those without conflicts. `node_call` is the call of each node, -1 where it has none yet; those that have one
    keep it. It is written, as is the `call` of each of the queries.
    """
    n, used = nodes.size, 0
    after = np.arange(n + 2)
    filled = np.zeros(n + 2, dtype=np.int64)
    met = np.full(n + 2, -1, dtype=np.int64)
    for v in nodes:
        if v >= 0 and node_call[v] >= 0:
            filled[node_call[v]] += 1
            used = max(used, node_call[v] + 1)
    for c in range(used):
        if filled[c] >= size:
            after[c] = c + 1
    for j in range(n):
        v = nodes[j]
        if v >= 0 and node_call[v] >= 0:
            call[j] = node_call[v]
            continue
        if v >= 0:
            for e in range(starts[v], starts[v + 1]):
                if node_call[others[e]] >= 0:
                    met[node_call[others[e]]] = j
        c = _open(after, 0)
        while met[c] == j:
            c = _open(after, c + 1)
        call[j] = c
        if v >= 0:
            node_call[v] = c
        used = max(used, c + 1)
        filled[c] += 1
        if filled[c] >= size:
            after[c] = c + 1
    return used


@njit(cache=True, nogil=True, inner=True)
def _by_saturation(cell: Cell, spread: int, node_call: Array) -> int:
    """Put the nodes of a cell in calls by DSATUR, next the one whose conflicts are in most calls; return the calls.

    With `spread` each goes to the emptiest of so many calls that can take it, otherwise to the first that can.
    Returns -1 if one fits none of them.
    """
    order, rank, low, size, starts, others = cell
    n, used = order.size, 0
    after = np.arange(n + 2)
    filled = np.zeros(n + 2, dtype=np.int64)
    met = np.full(n + 2, -1, dtype=np.int64)
    by_fill = np.arange(spread)  # the calls, the emptiest first
    place = np.arange(spread)
    ends = np.full(min(size, n) + 1, spread, dtype=np.int64)  # how many calls hold at most so many
    saturation = np.zeros(n, dtype=np.int64)
    counted = {np.int64(-1)}  # (node, call) pairs that its saturation counts
    heap = [np.int64(j) for j in range(n)]  # ascending: more saturated first, then as in `order`
    while len(heap) > 0:
        v = order[heappop(heap) % n]
        if node_call[v] >= 0:
            continue
        for e in range(starts[v], starts[v + 1]):
            if node_call[others[e]] >= 0:
                met[node_call[others[e]]] = v
        if spread > 0:
            j = 0
            while j < spread and met[by_fill[j]] == v:
                j += 1
            if j == spread or filled[by_fill[j]] >= size:
                return -1
            c = by_fill[j]
            ends[filled[c]] -= 1  # the call becomes the first of those that hold one more
            d = by_fill[ends[filled[c]]]
            by_fill[place[c]], place[d] = d, place[c]
            by_fill[ends[filled[c]]], place[c] = c, ends[filled[c]]
        else:
            c = _open(after, 0)
            while met[c] == v:
                c = _open(after, c + 1)
        node_call[v] = c
        used = max(used, c + 1)
        filled[c] += 1
        if filled[c] >= size:
            after[c] = c + 1
        for e in range(starts[v], starts[v + 1]):
            u = others[e] - low
            if node_call[u + low] < 0 and u * n + c not in counted:
                counted.add(u * n + c)
                saturation[u] += 1
                heappush(heap, rank[u] - saturation[u] * n)
    return used


@njit(cache=True, nogil=True, inner=True)
def _clique(cell: Cell) -> int:
    """Return the size of a clique of a cell's conflicts, grown from the queries of most conflicts."""
    order, rank, low, _, starts, others = cell
    best, n = 0, order.size
    joined = np.zeros(n, dtype=np.int64)  # members of the clique with which each node conflicts
    for first in range(min(STARTS, n)):
        v = order[first]
        if starts[v + 1] - starts[v] + 1 <= best:
            break
        joined[:] = 0
        near = np.sort(rank[others[starts[v] : starts[v + 1]] - low])
        found = 1
        for j in near:
            u = order[j]
            if joined[u - low] == found - 1:  # all but v itself, which is not counted
                found += 1
                for e in range(starts[u], starts[u + 1]):
                    joined[others[e] - low] += 1
        best = max(best, found)
    return best


@njit(cache=True, nogil=True, inner=True)
def _next(left: int, n: int, used: int, size: int, conflicts: Array, members: Array, held: Array) -> int:
    """Return the node left that fits the fewest calls, the one of more conflicts (the lower) among equals."""
    best, most = -1, -1
    for v in range(n):
        if not (left >> v) & 1:
            continue
        barred = 0
        for c in range(used):
            if members[c] & conflicts[v] or held[c] >= size:
                barred += 1
        if barred > most:
            best, most = v, barred
    return best


@njit(cache=True, nogil=True, inner=True)
def _search(cell: Cell, least: int, best: int, steps: int, call: Array) -> int:
    """Branch and bound for fewer calls than `best`, down to `least`; write them if found, and return how many."""
    order, rank, low, size, starts, others = cell
    n = order.size
    conflicts = np.zeros(n, dtype=np.int64)
    for j in range(n):
        for e in range(starts[order[j]], starts[order[j] + 1]):
            conflicts[j] |= np.int64(1) << rank[others[e] - low]
    members, held = np.zeros(n + 1, dtype=np.int64), np.zeros(n + 1, dtype=np.int64)
    node, tried = np.zeros(n, dtype=np.int64), np.full(n, -1, dtype=np.int64)
    used = np.zeros(n + 1, dtype=np.int64)  # calls in use before each depth
    left, depth, step = (np.int64(1) << n) - 1, 0, 0
    node[0] = 0
    while depth >= 0:
        v, c = node[depth], tried[depth]
        if c >= 0:
            members[c] ^= np.int64(1) << v
            held[c] -= 1
            left |= np.int64(1) << v
        c += 1
        last = min(used[depth], best - 2)  # one new call at most: new calls are all alike
        while c <= last and (members[c] & conflicts[v] or held[c] >= size):
            c += 1
        if c > last:
            tried[depth] = -1
            depth -= 1
            continue
        step += 1
        if step > steps:
            break
        members[c] |= np.int64(1) << v
        held[c] += 1
        left &= ~(np.int64(1) << v)
        tried[depth] = c
        used[depth + 1] = max(used[depth], c + 1)
        if depth + 1 < n:
            depth += 1
            node[depth] = _next(left, n, used[depth], size, conflicts, members, held)
            tried[depth] = -1
            continue
        best = used[n]
        for d in range(n):
            call[order[node[d]]] = tried[d]
        if best <= least:
            break
    return best


@njit(cache=True, nogil=True)
def seat(begins: Array, starts: Array, others: Array, sizes: Array, queries: Array, call: Array, method: int) -> Array:
    """Put the conflicting queries of every cell in few calls; return the calls that each whole cell needs: (C,).

    Parameters
    ----------
    begins, starts, others, sizes, call
        As in `ConflictCalls`; the call of each node is written.
    queries
        Number of queries, conflicting or not, of each cell: (C,).
    method
        0: first fit, by the number of conflicts. 1: DSATUR too, where that is not proven best, into the first call
        that fits and into the emptiest. 2: and the search.
    """
    calls = np.empty(sizes.size, dtype=np.int64)
    call[:] = -1
    for c in range(sizes.size):
        low, high, size = begins[c], begins[c + 1], sizes[c]
        n = high - low
        order = low + np.argsort(-(starts[low + 1 : high + 1] - starts[low:high]), kind="mergesort")
        cell = Cell(order, np.argsort(order, kind="mergesort"), low, size, starts, others)
        best = first_fit(order, starts, others, size, call, np.empty(n, dtype=np.int64))
        least = fewest = -(-queries[c] // size)
        if best > least and method > 0:
            # the call of a query of d conflicts holds at most all the others
            most = starts[order[0] + 1] - starts[order[0]]
            beside = min(size, queries[c] - most)
            least = max(least, 1 - (-(queries[c] - beside) // size), _clique(cell))
        spread = 0  # first by first fit, then spread over as few calls as could do, and a few more
        while method > 0 and best > least and spread < min(best, least + SPREADS):
            kept = call[low:high].copy()
            call[low:high] = -1
            other = _by_saturation(cell, spread, call)
            if 0 <= other < best:
                best = other
            else:
                call[low:high] = kept
            spread = max(least, spread + 1)
        if best > least and method > 1 and n <= MOST:
            steps = SEARCH if n > EXACT else np.iinfo(np.int64).max
            best = _search(cell, least, best, steps, call)
        calls[c] = max(best, fewest)
    return calls


@njit(cache=True, nogil=True)
def arrange(
    order: Array, lows: Array, highs: Array, node_of: Array, found: ConflictCalls, held: Array, firsts: Array
) -> None:
    """Form the calls of the cells that have conflicts, each query in the first call that can take it.

    Where that needs another number of calls than `seat` found, the calls found are taken, and the queries without
    conflicts fill them up in order.

    Parameters
    ----------
    order
        All queries, cell by cell; those of a cell in the order in which they are put in calls. Written: call by call.
    lows, highs
        Where each of the cells lies in `order`.
    node_of
        Node of each query, -1 for those without conflicts.
    held
        Number of queries of each call, cell by cell. Written.
    firsts
        Where the calls of each cell begin in `held`.
    """
    starts, others, sizes = found.starts, found.others, found.sizes
    ours = np.empty(found.call.size, dtype=np.int64)
    for cell in range(sizes.size):
        low, high = lows[cell], highs[cell]
        nodes, where = node_of[order[low:high]], np.empty(high - low, dtype=np.int64)
        for v in nodes:
            if v >= 0:
                ours[v] = -1
        used = first_fit(nodes, starts, others, sizes[cell], ours, where)
        if used != found.calls[cell]:
            for v in nodes:
                if v >= 0:
                    ours[v] = found.call[v]
            used = first_fit(nodes, starts, others, sizes[cell], ours, where)
        number = np.full(used, -1, dtype=np.int64)  # calls in the order of their first queries
        count = np.zeros(used + 1, dtype=np.int64)
        seen = 0
        for j in range(where.size):
            if number[where[j]] < 0:
                number[where[j]] = seen
                seen += 1
            where[j] = number[where[j]]
            count[where[j] + 1] += 1
        held[firsts[cell] : firsts[cell] + used] = count[1:]
        place = np.cumsum(count)
        moved = order[low:high].copy()
        for j in range(where.size):
            order[low + place[where[j]]] = moved[j]
            place[where[j]] += 1
