"""Numba kernels of the problem's own arithmetic, and the flat arrays in which a problem reaches any kernel.

A kernel calls only helpers of its own file, since a compiled cache does not see changes in other files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from robatch.instances.arrays import NOT_ALLOWED, Array, BoolArray, FloatArray, IntArray, read_only
from robatch.instances.compilation import njit
from robatch.instances.errors import InputError

if TYPE_CHECKING:
    from robatch.instances.problem_arrays import ProblemArrays


TIERED = "the problem's calls are billed in tiers by their length (Model.tiers)"

BLOCK = 4096  # rows that are summed by themselves, so that a sum over millions of rows keeps its last digits


class Flat(NamedTuple):
    """A problem as flat arrays.

    Attributes
    ----------
    dense
        Utilities (N, S), `NOT_ALLOWED` where a pair is forbidden; or (0, 0) where they are factored.
    base, retention
        Their factors (N, K) and (1 or N, S), whose product counts up to 1; or (0, 0) each.
    inputs, outputs
        Tokens of each query: (N, 1 or K). With costs of one's own these, in whole units, and zeros: (N, S), (N, 1).
    prices
        USD per input and per output token of each model: (2, K); or of a unit, a column a state: (2, S).
    state_model, share, limit
        Model of each state, or its own number with costs of one's own, USD of a call's shared prompt that one query
        pays in it, and the most tokens that a query may have, below 0 where the state is not used: (S,).
    """

    dense: Array
    base: Array
    retention: Array
    inputs: Array
    outputs: Array
    prices: FloatArray
    state_model: IntArray
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

    def take(self, rows: IntArray) -> Flat:
        """Return some of the queries, as a copy."""
        return self._replace(
            dense=read_only(self.dense[rows]) if len(self.dense) else self.dense,
            base=read_only(self.base[rows]) if len(self.base) else self.base,
            retention=read_only(self.retention[rows]) if len(self.retention) > 1 else self.retention,
            inputs=read_only(self.inputs[rows]),
            outputs=read_only(self.outputs[rows]),
        )


def flat(problem: ProblemArrays, states: BoolArray | None = None) -> Flat:
    """Return a problem as flat arrays, with only some of its states allowed if a mask (S,) is given."""
    if states is None and (known := vars(problem).get("_flat")) is not None:
        return known  # type: ignore[no-any-return]
    if problem.tiers is not None:
        raise InputError(f"{TIERED}: solve, verify and the figures of plans count them, and nothing else")
    none = read_only(np.empty((0, 0), dtype=problem.dtype))
    masked = problem.masked_utility  # where pairs are forbidden, utilities are dense
    charges = problem.charges
    limit = problem.token_limit if problem.costs is None else np.full(problem.n_states, np.inf)
    limit = limit if states is None else np.where(states, limit, -1.0)
    made = Flat(
        masked if masked is not None else none if problem.utility is None else problem.utility,
        none if masked is not None or problem.base_utility is None else problem.base_utility,
        none if masked is not None or problem.retention is None else problem.retention,
        charges.inputs,
        charges.outputs,
        charges.prices,
        charges.column,
        problem.share,
        limit,
    )
    if states is None:
        vars(problem)["_flat"] = made  # beside its cached properties
    return made


@njit(cache=True, nogil=True, small=True)
def tally(states: Array, groups: Array, counts: Array, flat: Flat) -> tuple[int, float, Array, Array]:
    """Sum up an assignment, and count the queries of each group and state into `counts` (groups, S).

    Returns
    -------
    tuple
        The first query whose state is unknown or not allowed (-1 if there is none), total utility, and the
        input and the output tokens sent to each model: (K,). Whole tokens are summed without rounding.
    """
    dense, base, retention, inputs, outputs = flat.dense, flat.base, flat.retention, flat.inputs, flat.outputs
    state_model, limit = flat.state_model, flat.limit
    width, models = limit.size, flat.prices.shape[1]
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
            counts[groups[i] if groups.size > 0 else 0, s] += 1
        if dense.shape[0] > 0:  # by themselves, these reads do not wait for each other
            for i in range(begin, end):
                part += np.float64(dense[i, states[i]])
            if part == NOT_ALLOWED:  # at least one of them is
                for i in range(begin, end):
                    if dense[i, states[i]] == NOT_ALLOWED:
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


@njit(cache=True, nogil=True, small=True)
def extreme(dearest: bool, flat: Flat) -> Array:
    """Return every query's cheapest state, or its cheapest of greatest utility: (N,); ties go to the better."""
    dense, base, retention, inputs, outputs = flat.dense, flat.base, flat.retention, flat.inputs, flat.outputs
    prices, state_model, share, limit = flat.prices, flat.state_model, flat.share, flat.limit
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
            if utility == NOT_ALLOWED:
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
