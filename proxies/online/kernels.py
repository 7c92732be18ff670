# mypy: disallow-untyped-decorators=False
"""Numba kernels that choose the state of a query at a shadow price: one query, or a block of them."""

from __future__ import annotations

import numpy as np

from robatch.instances.arrays import Array
from robatch.instances.compilation import njit

NONE = -1  # no state is allowed, or none is affordable
WRONG_UTILITY, WRONG_TOKENS = -2, -3  # the vectors hold a number that is not allowed

PRICE_IN, PRICE_OUT, CALL, LIMIT = 0, 1, 2, 3
"""Rows of a table of states: USD per token, USD of the shared prompt of a call, most tokens of a query."""


@njit(cache=True, nogil=True)
def choose(  # wide: an arriving query would wait half a microsecond longer for arrays in a tuple
    utilities: Array, inputs: Array, outputs: Array, table: Array, model: Array, share: Array, call_cost: Array,
    price: float, free: float, most: float,
) -> tuple[int, float, float]:  # fmt: skip
    """Return the best state of a query, the USD of its own tokens there, and its least amortized USD in any state.

    The best state is that of greatest ``utility - price * amortized cost``, the cheaper one of equals, among those
    that bill at most `free`; where none does, the state of least amortized cost among those that bill at most `most`.

    Parameters
    ----------
    utilities
        Utility in each state: (S,), NaN or -inf where it is not allowed.
    inputs, outputs
        Tokens: one number, or one a model.
    table, model
        Prices, shared prompts and limits of the states (4, S), and the model of each: (S,).
    share
        USD of the shared prompt that counts for a query of each state: (S,).
    call_cost
        USD of the shared prompt that it would bill now, 0 where a call that is open takes it: (S,).
    price
        Utility per USD.
    free, most
        USD that the query may bill, and at most.
    """
    best, best_own, best_profit, best_cost = NONE, 0.0, -np.inf, np.inf
    last, last_own, last_cost, last_utility = NONE, 0.0, np.inf, -np.inf
    least = np.inf
    for s in range(utilities.size):
        k = model[s]
        t_in = inputs[k if inputs.size > 1 else 0]
        t_out = outputs[k if outputs.size > 1 else 0]
        if not (0.0 <= t_in < np.inf and 0.0 <= t_out < np.inf):
            return WRONG_TOKENS, 0.0, 0.0
        u = utilities[s]
        if np.isnan(u) or u == -np.inf or t_in + t_out > table[LIMIT, s]:
            continue
        if u < 0.0 or u > 1.0:
            return WRONG_UTILITY, 0.0, 0.0
        own = t_in * table[PRICE_IN, s] + t_out * table[PRICE_OUT, s]
        cost = own + share[s]
        least = min(least, cost)
        bill = own + call_cost[s]
        if bill > most:
            continue
        if cost < last_cost or (cost == last_cost and u > last_utility):
            last, last_own, last_cost, last_utility = s, own, cost, u
        if bill > free:
            continue
        profit = u - price * cost
        if profit > best_profit or (profit == best_profit and cost < best_cost):
            best, best_own, best_profit, best_cost = s, own, profit, cost
    if best == NONE:
        return last, last_own, least
    return best, best_own, least


@njit(cache=True, nogil=True)
def choose_many(  # wide: as `choose`
    utilities: Array, inputs: Array, outputs: Array, table: Array, model: Array, share: Array, call_cost: Array,
    price: float, free: float, most: float, states: Array,
) -> None:  # fmt: skip
    """Write the best state of each query, each chosen by itself, to `states`: (N,)."""
    for i in range(states.size):
        states[i] = choose(utilities[i], inputs[i], outputs[i], table, model, share, call_cost, price, free, most)[0]
