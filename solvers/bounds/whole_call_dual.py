"""A bound for realized cost that knows of whole calls: the Lagrangian dual of "each query is answered once".

At a price for USD and a charge for each query (the multipliers), every group and state decides by itself how many
calls to send and whom to answer: a call costs its whole prompt, and no query can fill two places. So the bound is lower
than the linear relaxation's, in which a place costs the same whether its call fills or not. It is minimized by
subgradient steps with Polyak's length (Geoffrion, "Lagrangean relaxation for integer programming", Mathematical
Programming Study 2, 1974; Held, Wolfe and Crowder, "Validation of subgradient optimization", Mathematical Programming
6, 1974).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from robatch.instances.arrays import NOT_ALLOWED, Array, BoolArray, FloatArray, IntArray
from robatch.instances.compilation import njit
from robatch.instances.kernels import Flat, flat
from robatch.instances.problem import Problem
from robatch.solvers.plan.incumbent import Incumbent

MAX_STEPS = 1_000
PATIENCE = 40  # steps without a lower bound after which they are halved
LEAST_FACTOR = 1e-3  # of their first length, below which the search ends
LOW_BUDGET_PRICE = 0.1  # price of a low budget, of what all utility costs at most
SUM_ROUNDING = 1e-12  # relative, of all that is summed


@njit(cache=True, nogil=True)
def send(
    start: Array, utility: Array, cost: Array, prompt: Array, size: Array, price: float, charge: Array, answered: Array
) -> tuple[float, float]:
    """Let every group and state send the calls that pay best at a price, above what its queries are charged.

    Parameters
    ----------
    start
        Where each group of the queries begins: (groups + 1,).
    utility, cost
        Utility, `NOT_ALLOWED` where it is not, and token cost in USD of each query in each state: (N, S).
    prompt, size
        USD of a call, and its batch size: (S,).
    price, charge
        Utility per USD, and the charge of each query: (N,).
    answered
        Receives how often each query is answered: (N,).

    Returns
    -------
    tuple
        What the calls gain, and their USD.
    """
    answered[:] = 0
    gain, spent = 0.0, 0.0
    key, who = np.empty(answered.size), np.empty(answered.size, dtype=np.int64)
    for g in range(start.size - 1):
        for s in range(size.size):
            found = 0
            for i in range(start[g], start[g + 1]):
                profit = utility[i, s] - price * cost[i, s] - charge[i]
                if profit > 0.0 and utility[i, s] >= 0.0:
                    key[found], who[found] = -profit, i
                    found += 1
            if found == 0:
                continue
            order = np.argsort(key[:found], kind="mergesort")
            best, total, number = 0.0, 0.0, 0
            for n in range(found):
                if n % size[s] == 0:
                    total -= price * prompt[s]
                total -= key[order[n]]
                if total > best:
                    best, number = total, n + 1
            gain += best
            spent += prompt[s] * (-(-number // size[s]))
            for n in range(number):
                i = who[order[n]]
                answered[i] += 1
                spent += cost[i, s]
    return gain, spent


@njit(cache=True, nogil=True)
def forced(
    start: Array, utility: Array, cost: Array, prompt: Array, size: Array, price: float, charge: Array, lost: Array
) -> None:
    """Write what the bound loses at least if a query is answered in a state: (N, S); arguments as in `send`.

    That is what the calls of the state gain if nothing is asked of them, less what they gain if there is one at least;
    or, for a candidate that does not pay by itself, with a place kept for it and its own, negative, profit.
    """
    key = np.empty(charge.size)
    for g in range(start.size - 1):
        for s in range(size.size):
            found = 0
            for i in range(start[g], start[g + 1]):
                profit = utility[i, s] - price * cost[i, s] - charge[i]
                if profit > 0.0 and utility[i, s] >= 0.0:
                    key[found] = profit
                    found += 1
            ranked = np.sort(key[:found])[::-1]
            some, kept, total = -np.inf, -price * prompt[s], 0.0
            for n in range(found):
                total += ranked[n]
                some = max(some, total - price * prompt[s] * (n // size[s] + 1))
                kept = max(kept, total - price * prompt[s] * ((n + 1) // size[s] + 1))
            for i in range(start[g], start[g + 1]):
                profit = utility[i, s] - price * cost[i, s] - charge[i]
                if utility[i, s] < 0.0:
                    lost[i, s] = np.inf
                else:
                    lost[i, s] = max(some, 0.0) - (kept + profit if profit <= 0.0 else some)


def strengthened(problem: Problem) -> Flat:
    """Return a problem as flat arrays, its shares those of the largest calls that its groups can fill."""
    largest = int(np.bincount(problem.group_codes).max()) if problem.groups is not None else problem.n_queries
    return flat(problem)._replace(share=problem.call_price / np.minimum(problem.state_batch_size, largest))


def dense(arrays: Flat) -> tuple[FloatArray, FloatArray]:
    """Return utility, `NOT_ALLOWED` where it is not, and token cost of each query in each state: (N, S) each."""
    model = arrays.state_model
    cost = (arrays.inputs * arrays.prices[0] + arrays.outputs * arrays.prices[1]).astype(np.float64)
    tokens = arrays.inputs.astype(np.float64) + arrays.outputs
    if len(arrays.dense):
        utility = arrays.dense.astype(np.float64)
    else:
        utility = np.minimum((arrays.base[:, model] * arrays.retention).astype(np.float64), 1.0)
    fits = (tokens[:, model] if tokens.shape[1] > 1 else tokens) <= arrays.limit
    return np.where(fits & (utility >= 0.0), utility, NOT_ALLOWED), cost[:, model]


@dataclass(frozen=True, slots=True)
class Dual:
    """A bound and the multipliers that prove it.

    Attributes
    ----------
    bound
        Utility that no plan within the budget exceeds, rounding included.
    price, charge
        Utility per USD, and utility that an answer to each query has to bring, in the order of the candidates: (N,).
    """

    bound: float
    price: float
    charge: FloatArray


@dataclass(frozen=True, slots=True)
class Candidates:
    """All candidates of a problem, queries sorted by group.

    Attributes
    ----------
    order
        Positions of the queries in the problem: (N,).
    start
        Where each group begins: (groups + 1,).
    utility, cost
        Utility, `NOT_ALLOWED` where it is not, and token cost in USD of each query in each state: (N, S).
    prompt, size
        USD of a call, and batch size: (S,).
    share
        USD of a place in a call as full as the query's group can make it: (N, S).
    """

    order: IntArray
    start: IntArray
    utility: FloatArray
    cost: FloatArray
    prompt: FloatArray
    size: IntArray
    share: FloatArray

    @classmethod
    def of(cls, problem: Problem, arrays: Flat) -> Candidates:
        """Return the candidates of a problem, whose flat arrays are given too."""
        codes = problem.group_codes
        order = np.argsort(codes, kind="stable")
        utility, cost = dense(arrays.take(order))
        start = np.searchsorted(codes[order], np.arange(problem.n_groups + 1))
        usable = np.maximum(np.add.reduceat(utility >= 0.0, start[:-1], axis=0), 1)
        share = problem.call_price / np.minimum(problem.state_batch_size, usable)
        return cls(order, start, utility, cost, problem.call_price, problem.state_batch_size, share[codes[order]])

    def value(self, price: float) -> FloatArray:
        """Return each candidate's reduced profit at a price if calls are full, -inf if it is not allowed: (N, S)."""
        return np.asarray(self.utility - price * (self.cost + self.share))

    def linear_reduced_cost(self, price: float) -> FloatArray:
        """Return what each candidate loses at a price against its query's best one, if calls are full: (N, S)."""
        value = self.value(price)
        return np.asarray(value.max(axis=1)[:, None] - value)

    def reduced_cost(self, dual: Dual) -> FloatArray:
        """Return what the bound of a dual loses at least if a candidate is chosen, inf where it may not be: (N, S)."""
        reduced_cost = np.empty_like(self.utility)
        forced(self.start, self.utility, self.cost, self.prompt, self.size, dual.price, dual.charge, reduced_cost)
        return reduced_cost

    def minimize(self, budget: float, price: float, reached: float, steps: int = MAX_STEPS) -> Dual:
        """Return the lowest bound that subgradient steps find.

        Parameters
        ----------
        budget
            USD.
        price
            Utility per USD to begin with: the linear relaxation's. The first bound is the relaxation's at that price.
        reached
            Utility of a plan, at which the steps aim.
        steps
            Subgradient steps, at most.
        """
        charge = self.value(price).max(axis=1)
        answered = np.empty(len(charge), dtype=np.int64)
        # steps change price and charges by like parts; a price of 0 is thought to be a tenth of what it can be
        ratio = max(price, LOW_BUDGET_PRICE * float(charge.sum()) / budget) / max(float(np.abs(charge).mean()), 1e-9)
        factor, since, lowest = 1.0, 0, math.inf
        best = Dual(math.inf, price, charge)
        for _ in range(steps):
            gain, spent = send(self.start, self.utility, self.cost, self.prompt, self.size, price, charge, answered)
            value = math.fsum(charge) + price * budget + gain
            safe = value + SUM_ROUNDING * (math.fsum(np.abs(charge)) + price * budget + gain)
            if safe < best.bound:
                best = Dual(safe, price, charge)
            since += 1
            if value < lowest - 1e-7 * abs(lowest):
                lowest, since = value, 0
            elif since >= PATIENCE:
                factor, since = factor / 2, 0
                price, charge = best.price, best.charge
                if factor < LEAST_FACTOR:
                    break
                continue
            down, slope = 1.0 - answered, (budget - spent) * ratio
            length = float(down @ down) + slope * slope
            if length == 0.0 or value <= reached:
                break
            step = factor * (value - reached) / length
            charge = charge - step * down
            price = max(price - step * slope * ratio, 0.0)
        return best


@dataclass(frozen=True, slots=True)
class Fixing:
    """What fixes candidates: two bounds, and what each candidate loses at least against them, in the problem's order.

    Attributes
    ----------
    bound, reduced_cost
        The bound of the dual, and the losses against it: (N, S).
    linear_bound, linear_reduced_cost
        The linear relaxation's at its price.
    """

    bound: float
    reduced_cost: FloatArray
    linear_bound: float
    linear_reduced_cost: FloatArray

    @classmethod
    def of(cls, candidates: Candidates, linear_bound: float, price: float, dual: Dual) -> Fixing:
        """Return what the dual of whole calls, and the linear relaxation's bound and price, say of each candidate."""
        place = np.argsort(candidates.order, kind="stable")
        linear = candidates.linear_reduced_cost(price)[place]
        return cls(dual.bound, candidates.reduced_cost(dual)[place], linear_bound, linear)

    def kept(self, found: Incumbent, most: float = math.inf) -> BoolArray:
        """Return the candidates that the incumbent, or a plan of more utility, may hold: (N, S).

        Those that lose more than `most` are left out too, though plans with at most that much less than the bound
        may hold them.
        """
        reached, states = found.utility, found.assignment
        safe = 1.0 + 1e-9  # losses are sums of floating-point numbers
        kept = self.reduced_cost <= min(most, self.bound - reached) * safe + 1e-9
        kept &= self.linear_reduced_cost <= (self.linear_bound - reached) * safe + 1e-9
        if states is not None:
            kept[np.arange(len(states)), states] = True
        return np.asarray(kept)
