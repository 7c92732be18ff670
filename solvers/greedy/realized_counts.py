"""How many queries plans send to each state, from few looks at all queries."""

from __future__ import annotations

import numpy as np

from robatch.instances.arrays import IntArray
from robatch.instances.problem import Problem
from robatch.solvers.bounds.relaxation import Steps


class Counts:
    """Counts the queries of plans by group and state: of those between two prices, only who can move is looked at."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.steps: Steps | None = None
        self.moving = np.empty(0, dtype=np.int64)
        self.rest = np.empty((0, 0), dtype=np.int64)

    def of(self, steps: Steps, states: IntArray) -> IntArray:
        """Return the queries of each group and state (groups, S) in a plan (N,) after some of the steps."""
        if steps is not self.steps:
            moves = np.zeros(len(states), dtype=np.bool_)
            moves[steps.query] = True
            self.steps, self.moving = steps, np.flatnonzero(moves)
            first = steps.states.astype(np.int64)
            self.rest = self._cells(None, first) - self._cells(self.moving, first[self.moving])
        return self.rest + self._cells(self.moving, states[self.moving])

    def _cells(self, rows: IntArray | None, states: IntArray) -> IntArray:
        """Count some of the queries, all for None."""
        problem, shape = self.problem, (self.problem.n_groups, self.problem.n_states)
        if problem.n_groups > 1:
            codes = problem.group_codes if rows is None else problem.group_codes[rows]
            states = codes * problem.n_states + states
        return np.bincount(states, minlength=shape[0] * shape[1]).reshape(shape)
