"""From an assignment to the calls that are sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from robatch.instances.model import State
from robatch.instances.problem import IntArray


@dataclass(frozen=True, slots=True)
class Call:
    """One invocation of a model.

    Attributes
    ----------
    state
        The model, and the batch size that the plan chose; the call may hold fewer queries.
    queries
        Positions of the queries that it answers, at most ``state.batch_size`` of them.
    """

    state: State
    queries: IntArray


def pack(assignment: IntArray, states: Sequence[State], group_codes: IntArray | None) -> list[Call]:
    """Form ``ceil(queries / b)`` calls in each group and state, in query order, only the last partly filled.

    Parameters
    ----------
    assignment
        State of each query: (N,).
    states
        The (model, batch size) of each state: S of them.
    group_codes
        Group of each query: (N,), or None if all queries share one.
    """
    groups = np.zeros_like(assignment) if group_codes is None else group_codes
    order = np.lexsort((np.arange(len(assignment)), groups, assignment))
    cell = groups[order] * len(states) + assignment[order]
    starts = np.flatnonzero(np.diff(cell, prepend=-1))
    calls = []
    for start, end in zip(starts, np.append(starts[1:], len(order)), strict=True):
        state = states[assignment[order[start]]]
        calls += [
            Call(state, order[first : min(first + state.batch_size, end)])
            for first in range(start, end, state.batch_size)
        ]
    return calls
