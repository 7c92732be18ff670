"""Fewest calls where some queries may not share one: bounded colouring of the conflicts inside each cell.

A cell is a group and a state. Only conflicts within a cell matter, and only its queries that have one are coloured:
if they need c calls, the cell of n queries needs ``max(c, ceil(n / b))``, since the others fit anywhere.

Methods: first fit by descending degree (Welsh and Powell 1967) and DSATUR (Brelaz 1979), with calls of at most b
queries, DSATUR also with each query in the emptiest call; where none is proven best, branch and bound in its order.
The search runs to its end for up to `EXACT` conflicting queries of a cell, so that their count is the true minimum;
for up to `MOST` it stops after a fixed number of steps, and larger cells have none. Every count depends on the problem
and the assignment alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from robatch.instances.arrays import IntArray


class ConflictCalls(NamedTuple):
    """The C cells with conflicts, their M conflicting queries (nodes, cell by cell) and the calls that hold these.

    The conflicts of node v are the nodes ``others[starts[v]:starts[v + 1]]``.
    """

    queries: IntArray  # (M,) of each node
    call: IntArray  # (M,) of each node, counted within its cell
    starts: IntArray  # (M + 1,)
    others: IntArray  # (2 E,)
    begins: IntArray  # (C + 1,) first node of each cell, and M
    groups: IntArray  # (C,)
    states: IntArray  # (C,)
    sizes: IntArray  # (C,) batch sizes
    calls: IntArray  # (C,) calls that each cell needs for all its queries


def conflict_calls(
    edges: IntArray, states: IntArray, groups: IntArray | None, sizes: IntArray, queries: IntArray, method: int = 2
) -> ConflictCalls | None:
    """Put the queries that conflict within their cell in few calls; None if no two of them share a cell.

    Parameters
    ----------
    edges
        Conflicting queries: (E, 2).
    states, groups
        State and group of each query: (N,); no groups if all share one.
    sizes
        Batch size of each state: (S,).
    queries
        Number of queries of each group in each state: (groups, S).
    method
        0: first fit alone. 1: DSATUR too, where first fit is not proven best. 2: and branch and bound.
    """
    from robatch.instances import conflict_kernels  # here, as it loads numba

    one, other = edges[:, 0], edges[:, 1]
    inside = (states[one] == states[other]) & (sizes[states[one]] > 1)
    if groups is not None:
        inside &= groups[one] == groups[other]
    if not inside.any():
        return None
    nodes, ends = np.unique(edges[inside], return_inverse=True)
    ends = ends.reshape(-1, 2)
    group = np.zeros_like(nodes) if groups is None else groups[nodes]
    cell = group * len(sizes) + states[nodes]
    order = np.argsort(cell, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    nodes, cell, ends = nodes[order], cell[order], place[ends]
    begins = np.append(np.flatnonzero(np.diff(cell, prepend=-1)), len(cell))
    both = np.concatenate([ends, ends[:, ::-1]])
    starts = np.concatenate([[0], np.cumsum(np.bincount(both[:, 0], minlength=len(nodes)))])
    others = np.ascontiguousarray(both[np.lexsort((both[:, 1], both[:, 0])), 1])
    groups_of, states_of = np.divmod(cell[begins[:-1]], len(sizes))
    call = np.empty(len(nodes), dtype=np.int64)
    calls = conflict_kernels.seat(begins, starts, others, sizes[states_of], queries[groups_of, states_of], call, method)
    return ConflictCalls(nodes, call, starts, others, begins, groups_of, states_of, sizes[states_of], calls)
