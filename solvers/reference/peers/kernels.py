"""Numba kernels of the peers that look at every state of a query."""

from __future__ import annotations

import numpy as np

from robatch.instances.arrays import NOT_ALLOWED, Array
from robatch.instances.compilation import njit
from robatch.instances.kernels import Flat


@njit(cache=True, nogil=True)
def pair(i: int, s: int, flat: Flat) -> tuple[float, float]:
    """Return USD and utility of query i in state s; utility `NOT_ALLOWED` where it is not allowed."""
    dense, base, retention, inputs, outputs = flat.dense, flat.base, flat.retention, flat.inputs, flat.outputs
    k = flat.state_model[s]
    t_in = np.float64(inputs[i, k if inputs.shape[1] > 1 else 0])
    t_out = np.float64(outputs[i, k if outputs.shape[1] > 1 else 0])
    cost = (t_in * flat.prices[0, k] + t_out * flat.prices[1, k]) + flat.share[s]
    if t_in + t_out > flat.limit[s]:
        return cost, NOT_ALLOWED
    if dense.shape[0] > 0:
        return cost, np.float64(dense[i, s])
    product = np.float64(base[i, k] * retention[i if retention.shape[0] > 1 else 0, s])
    return cost, min(product, 1.0)


@njit(cache=True, nogil=True)
def uniform(state: int, cheapest: Array, flat: Flat) -> tuple[Array, Array, Array]:
    """Return state, USD and utility of each query when all that are allowed go to one state: (N,) each.

    The others, and all of them if `state` is -1, go to their `cheapest` state.
    """
    n = flat.inputs.shape[0]
    states, costs, utilities = np.empty(n, dtype=np.int64), np.empty(n), np.empty(n)
    for i in range(n):
        s, cost, utility = state, 0.0, NOT_ALLOWED
        if s >= 0:
            cost, utility = pair(i, s, flat)
        if utility == NOT_ALLOWED:
            s = cheapest[i]
            cost, utility = pair(i, s, flat)
        states[i], costs[i], utilities[i] = s, cost, utility
    return states, costs, utilities


@njit(cache=True, nogil=True)
def serve(order: Array, observed: int, price: float, slack: float, cheapest: Array, least: Array, flat: Flat) -> Array:
    """Decide on queries one at a time, each from what is left when all to come are paid their cheapest state.

    Parameters
    ----------
    order
        The queries as they come: (N,).
    observed
        How many of the first may only spend an equal part of the slack each, on as much utility as that buys.
    price
        Utility per USD, finite: later queries take the state of greatest reduced profit that fits.
    slack
        USD above the cheapest plan.
    cheapest, least
        Cheapest state of each query, and its USD: (N,).

    Returns
    -------
    ndarray
        State of each query: (N,).
    """
    states = cheapest.copy()
    part = slack / order.size
    for place in range(order.size):
        i = order[place]
        weight, most = (0.0, part) if place < observed else (price, slack)
        best_cost, utility = pair(i, cheapest[i], flat)
        best = utility - weight * best_cost
        for s in range(flat.share.size):
            cost, utility = pair(i, s, flat)
            profit = utility - weight * cost
            if utility == NOT_ALLOWED or cost - least[i] > most:
                continue
            if profit > best or (profit == best and cost < best_cost):
                states[i], best, best_cost = s, profit, cost
        slack -= best_cost - least[i]
    return states
