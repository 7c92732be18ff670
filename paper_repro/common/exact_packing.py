"""The fewest calls for the queries of one cell, proven: a yardstick for the packing that plans use, by CP-SAT.

Bin packing with conflicts: each call has b seats, may have room for so many tokens, and holds no two queries in
conflict. Plans never need the tokens, since b queries that are allowed in a state always fit its context window; they
tell what a packing by tokens alone could save.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from robatch.instances.arrays import IntArray
from robatch.instances.errors import InputError
from robatch.instances.scalars import whole

GRAIN = 1024  # tokens are counted in whole numbers of this part of a token, rounded up


def fewest_calls(
    n_queries: int,
    batch_size: int,
    conflicts: npt.ArrayLike | None = None,
    tokens: npt.ArrayLike | None = None,
    room: float | None = None,
    time_limit: float | None = None,
) -> IntArray | None:
    """Return the call of each query in a packing of the fewest calls (N,), or None if the time did not suffice.

    Parameters
    ----------
    n_queries, batch_size
        Number of queries, and most queries of a call.
    conflicts
        Pairs of queries that may not share a call: (E, 2).
    tokens, room
        Tokens of each query (N,) and most tokens of a call, without the shared prompt; both or neither.
    time_limit
        Seconds after which the search gives up.

    Raises
    ------
    InputError
        If an argument is not allowed, or a query alone needs more than the room of a call.
    """
    n, b = whole("n_queries", n_queries, 1), whole("batch_size", batch_size, 1)
    edges = np.empty((0, 2), dtype=np.int64) if conflicts is None else np.asarray(conflicts, dtype=np.int64)
    if edges.ndim != 2 or edges.shape[1] != 2 or (len(edges) and not 0 <= edges.min() <= edges.max() < n):
        raise InputError(f"conflicts are no pairs of the {n} queries")
    if (tokens is None) != (room is None):
        raise InputError("tokens and room belong together: give both or neither")
    grains, space = np.zeros(n, dtype=np.int64), 0
    if tokens is not None and room is not None:
        grains, space = np.ceil(np.asarray(tokens, dtype=np.float64) * GRAIN).astype(np.int64), int(room * GRAIN)
        if grains.shape != (n,) or grains.min() < 0 or grains.max() > space:
            raise InputError(f"tokens are no {n} numbers from 0 to the room of a call, {room!r}")

    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    # query q is in call c <= q: calls are numbered by their first queries
    inside = [[model.new_bool_var("") for _ in range(q + 1)] for q in range(n)]
    used = [inside[c][c] for c in range(n)]  # a call is used if the query of its number is its first
    for q in range(n):
        model.add_exactly_one(inside[q])
        for c in range(q):
            model.add_implication(inside[q][c], used[c])
    for c in range(n):
        model.add(sum(inside[q][c] for q in range(c, n)) <= b * used[c])
        if space:
            model.add(sum(int(grains[q]) * inside[q][c] for q in range(c, n)) <= space * used[c])
    for one, other in edges.tolist():
        for c in range(min(one, other) + 1):
            model.add_at_most_one(inside[one][c], inside[other][c])
    model.minimize(sum(used))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    if time_limit is not None:
        solver.parameters.max_time_in_seconds = time_limit
    if solver.solve(model) != cp_model.OPTIMAL:
        return None
    first = [next(c for c in range(q + 1) if solver.boolean_value(inside[q][c])) for q in range(n)]
    return np.unique(first, return_inverse=True)[1].astype(np.int64)
