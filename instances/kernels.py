"""Numba kernels of the problem's own arithmetic, and the flat arrays in which a problem reaches any kernel.

All kernels of a file and their helpers share it, since a compiled cache does not see changes in other files.
Utilities come either dense (N, S), or as base (N, K) and retention (1 or N, S) with the dense array empty.
Costs are computed from the model table, never stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from robatch.instances.arrays import Array, FloatArray

if TYPE_CHECKING:
    from robatch.instances.problem_arrays import ProblemArrays


BLOCK = 4096  # rows that are summed by themselves, so that a sum over millions of rows keeps its last digits


class Flat(NamedTuple):
    """A problem as flat arrays, in the order in which the kernels take them."""

    dense: Array
    base: Array
    retention: Array
    inputs: Array
    outputs: Array
    prices: FloatArray
    state_model: npt.NDArray[np.int64]
    share: FloatArray
    limit: FloatArray

    @property
    def n_queries(self) -> int:
        """Number of queries."""
        return len(self.inputs)

    @property
    def plain(self) -> bool:
        """Whether utilities are base utilities times numbers from 0 to 1 that are the same for all queries."""
        return len(self.retention) == 1 and bool(self.retention.max() <= 1.0)

    def take(self, rows: npt.NDArray[np.int64]) -> Flat:
        """Return some of the queries, as a copy."""
        return self._replace(
            dense=_rows(self.dense, rows) if len(self.dense) else self.dense,
            base=_rows(self.base, rows) if len(self.base) else self.base,
            retention=_rows(self.retention, rows) if len(self.retention) > 1 else self.retention,
            inputs=_rows(self.inputs, rows),
            outputs=_rows(self.outputs, rows),
        )


def _rows(array: Array, rows: npt.NDArray[np.int64]) -> Array:
    return frozen(array[rows])


def frozen(array: Array) -> Array:
    """Make an array read-only, as a problem's arrays are: one array type, and so one compiled kernel."""
    array.flags.writeable = False
    return array


def flat(problem: ProblemArrays, states: npt.NDArray[np.bool_] | None = None) -> Flat:
    """Return a problem as flat arrays, with only some of its states allowed if a mask (S,) is given."""
    none = frozen(np.empty((0, 0), dtype=problem.dtype))
    masked = problem.masked_utility  # where pairs are forbidden, utilities are dense, and -inf there
    limit = problem.token_limit if states is None else np.where(states, problem.token_limit, -1.0)
    return Flat(
        masked if masked is not None else none if problem.utility is None else problem.utility,
        none if masked is not None or problem.base_utility is None else problem.base_utility,
        none if masked is not None or problem.retention is None else problem.retention,
        problem.input_tokens,
        problem.output_tokens,
        np.ascontiguousarray(problem.token_prices),
        problem.state_model,
        problem.call_price / problem.state_batch_size,
        limit,
    )


@njit(cache=True, nogil=True)
def tally(
    states: Array,
    groups: Array,
    calls: Array,
    dense: Array,
    base: Array,
    retention: Array,
    inputs: Array,
    outputs: Array,
    prices: Array,
    state_model: Array,
    share: Array,
    limit: Array,
) -> tuple[int, float, Array, Array]:
    """Sum up an assignment, and count the queries of each group and state into `calls` (groups, S).

    Returns
    -------
    tuple
        The first query whose state is unknown or not allowed (-1 if there is none), total utility, and the
        input and the output tokens sent to each model: (K,). Whole tokens are summed without rounding.
    """
    width, models = share.size, prices.shape[1]
    sent, received = np.zeros(models), np.zeros(models)
    some_sent, some_received = np.zeros(width), np.zeros(width)
    utility = 0.0
    for begin in range(0, states.size, BLOCK):
        end = min(begin + BLOCK, states.size)
        part = 0.0
        some_sent[:] = 0.0
        some_received[:] = 0.0
        for i in range(begin, end):
            s = states[i]
            if s < 0 or s >= width:
                return i, 0.0, sent, received
            k = state_model[s]
            t_in = np.float64(inputs[i, k if inputs.shape[1] > 1 else 0])
            t_out = np.float64(outputs[i, k if outputs.shape[1] > 1 else 0])
            if t_in + t_out > limit[s]:
                return i, 0.0, sent, received
            some_sent[s] += t_in
            some_received[s] += t_out
            calls[groups[i] if groups.size > 0 else 0, s] += 1
        if dense.shape[0] > 0:  # by themselves, these reads do not wait for each other
            for i in range(begin, end):
                part += np.float64(dense[i, states[i]])
            if part == -np.inf:  # a forbidden pair
                for i in range(begin, end):
                    if dense[i, states[i]] < 0.0:
                        return i, 0.0, sent, received
        else:
            for i in range(begin, end):
                s = states[i]
                u = base[i, state_model[s]] * retention[i if retention.shape[0] > 1 else 0, s]
                part += min(np.float64(u), 1.0)
        utility += part
        for s in range(width):
            sent[state_model[s]] += some_sent[s]
            received[state_model[s]] += some_received[s]
    return -1, utility, sent, received


@njit(cache=True, nogil=True)
def extreme(
    dearest: bool,
    dense: Array,
    base: Array,
    retention: Array,
    inputs: Array,
    outputs: Array,
    prices: Array,
    state_model: Array,
    share: Array,
    limit: Array,
) -> Array:
    """Return every query's cheapest state, or its cheapest of greatest utility: (N,); ties go to the better."""
    factored = dense.shape[0] == 0
    states = np.empty(inputs.shape[0], dtype=np.int64)
    for i in range(states.size):
        best, best_cost, best_utility = -1, np.inf, -1.0
        for s in range(share.size):
            k = state_model[s]
            t_in = np.float64(inputs[i, k if inputs.shape[1] > 1 else 0])
            t_out = np.float64(outputs[i, k if outputs.shape[1] > 1 else 0])
            cost = (t_in * prices[0, k] + t_out * prices[1, k]) + share[s]
            if t_in + t_out > limit[s] or (not dearest and cost > best_cost):
                continue
            product = base[i, k] * retention[i if retention.shape[0] > 1 else 0, s] if factored else dense[i, s]
            utility = min(np.float64(product), 1.0)
            if utility < 0.0:  # a forbidden pair
                continue
            better = cost < best_cost
            if dearest:
                better = utility > best_utility or (utility == best_utility and better)
            elif cost == best_cost:
                better = utility > best_utility
            if better:
                best, best_cost, best_utility = s, cost, utility
        states[i] = best
    return states
