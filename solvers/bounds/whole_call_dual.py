"""A bound for realized cost that knows of whole calls: the Lagrangian dual of "each query is answered once".

At a price for USD and a worth for each query, every group and state decides by itself how many calls to send and
whom to answer: a call costs its whole prompt, and no query can fill two seats. So the bound is lower than the linear
relaxation's, in which a seat costs the same whether its call fills or not. It is minimized by subgradient steps with
Polyak's length (Geoffrion, "Lagrangean relaxation for integer programming", Mathematical Programming Study 2, 1974;
Held, Wolfe and Crowder, "Validation of subgradient optimization", Mathematical Programming 6, 1974).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from robatch.instances.arrays import Array, BoolArray, FloatArray, IntArray
from robatch.instances.kernels import Flat, flat
from robatch.instances.problem import Problem
from robatch.solvers.plan.incumbent import Incumbent

STEPS = 1_000
PATIENCE = 40  # steps without a lower bound after which they are halved ...
LEAST_FACTOR = 1e-3  # ... until they are this short
LIKELY = 0.1  # price of a low budget, of what all utility costs at most
SUM_ROUNDING = 1e-12  # relative, of all that is summed


@njit(cache=True, nogil=True)
def send(
    start: Array, utility: Array, own: Array, prompt: Array, size: Array, price: float, worth: Array, answered: Array
) -> tuple[float, float]:
    """Let every group and state send the calls that pay best at a price, each query being worth so much to leave out.

    Parameters
    ----------
    start
        Where each group of the queries begins: (groups + 1,).
    utility, own
        Utility, negative where a state is not allowed, and own USD of each query in each state: (N, S).
    prompt, size
        USD of a call, and its batch size: (S,).
    price, worth
        Utility per USD, and utility of each query: (N,).
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
                gained = utility[i, s] - price * own[i, s] - worth[i]
                if gained > 0.0 and utility[i, s] >= 0.0:
                    key[found], who[found] = -gained, i
                    found += 1
            if found == 0:
                continue
            order = np.argsort(key[:found])
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
                spent += own[i, s]
    return gain, spent


@njit(cache=True, nogil=True)
def forced(
    start: Array, utility: Array, own: Array, prompt: Array, size: Array, price: float, worth: Array, loss: Array
) -> None:
    """Write what the bound loses at least if a query is answered in a state: (N, S); arguments as in `send`.

    That is what the calls of the state gain if nothing is asked of them, less what they gain if there is one at least;
    or, for a pair that does not pay by itself, with a seat kept for it and the pair's own, negative, gain.
    """
    key = np.empty(worth.size)
    for g in range(start.size - 1):
        for s in range(size.size):
            found = 0
            for i in range(start[g], start[g + 1]):
                gained = utility[i, s] - price * own[i, s] - worth[i]
                if gained > 0.0 and utility[i, s] >= 0.0:
                    key[found] = gained
                    found += 1
            ranked = np.sort(key[:found])[::-1]
            some, kept, total = -np.inf, -price * prompt[s], 0.0
            for n in range(found):
                total += ranked[n]
                some = max(some, total - price * prompt[s] * (n // size[s] + 1))
                kept = max(kept, total - price * prompt[s] * ((n + 1) // size[s] + 1))
            for i in range(start[g], start[g + 1]):
                gained = utility[i, s] - price * own[i, s] - worth[i]
                if utility[i, s] < 0.0:
                    loss[i, s] = np.inf
                else:
                    loss[i, s] = max(some, 0.0) - (kept + gained if gained <= 0.0 else some)


def strengthened(problem: Problem) -> Flat:
    """Return a problem as flat arrays, its shares those of the largest calls that its groups can fill."""
    largest = int(np.bincount(problem.group_codes).max()) if problem.groups is not None else problem.n_queries
    return flat(problem)._replace(share=problem.call_price / np.minimum(problem.state_batch_size, largest))


def dense(arrays: Flat) -> tuple[FloatArray, FloatArray]:
    """Return utility, -1 where a state is not allowed, and own USD of each query in each state: (N, S) each."""
    model = arrays.state_model
    own = (arrays.inputs * arrays.prices[0] + arrays.outputs * arrays.prices[1]).astype(np.float64)
    tokens = arrays.inputs.astype(np.float64) + arrays.outputs
    if len(arrays.dense):
        utility = arrays.dense.astype(np.float64)
    else:
        utility = np.minimum((arrays.base[:, model] * arrays.retention).astype(np.float64), 1.0)
    fits = (tokens[:, model] if tokens.shape[1] > 1 else tokens) <= arrays.limit
    return np.where(fits & (utility >= 0.0), utility, -1.0), own[:, model]


@dataclass(frozen=True, slots=True)
class Dual:
    """A bound and the multipliers that prove it.

    Attributes
    ----------
    bound
        Utility that no plan within the budget exceeds, rounding included.
    price, worth
        Utility per USD, and utility that each query is worth, in the order of the pairs: (N,).
    """

    bound: float
    price: float
    worth: FloatArray


@dataclass(frozen=True, slots=True)
class Pairs:
    """All pairs of a problem, queries sorted by group.

    Attributes
    ----------
    order
        Positions of the queries in the problem: (N,).
    start
        Where each group begins: (groups + 1,).
    utility, own
        Utility, negative where a state is not allowed, and own USD of each query in each state: (N, S).
    prompt, size
        USD of a call, and batch size: (S,).
    share
        USD of a seat in a call as full as the query's group can make it: (N, S).
    """

    order: IntArray
    start: IntArray
    utility: FloatArray
    own: FloatArray
    prompt: FloatArray
    size: IntArray
    share: FloatArray

    @classmethod
    def of(cls, problem: Problem, arrays: Flat) -> Pairs:
        """Return the pairs of a problem, whose flat arrays are given too."""
        codes = problem.group_codes
        order = np.argsort(codes, kind="stable")
        utility, own = dense(arrays.take(order))
        start = np.searchsorted(codes[order], np.arange(problem.n_groups + 1))
        usable = np.maximum(np.add.reduceat(utility >= 0.0, start[:-1], axis=0), 1)
        share = problem.call_price / np.minimum(problem.state_batch_size, usable)
        return cls(order, start, utility, own, problem.call_price, problem.state_batch_size, share[codes[order]])

    def value(self, price: float) -> FloatArray:
        """Return what each pair is worth at a price if calls are full, -inf where it is not allowed: (N, S)."""
        return np.where(self.utility < 0.0, -np.inf, self.utility - price * (self.own + self.share))

    def linear_loss(self, price: float) -> FloatArray:
        """Return what each pair loses at a price against its query's best one, if calls are full: (N, S)."""
        value = self.value(price)
        return np.asarray(value.max(axis=1)[:, None] - value)

    def loss(self, dual: Dual) -> FloatArray:
        """Return what the bound of a dual loses at least if a pair is chosen, inf where it may not be: (N, S)."""
        loss = np.empty_like(self.utility)
        forced(self.start, self.utility, self.own, self.prompt, self.size, dual.price, dual.worth, loss)
        return loss

    def minimize(self, budget: float, price: float, reached: float, steps: int = STEPS) -> Dual:
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
        worth = self.value(price).max(axis=1)
        answered = np.empty(len(worth), dtype=np.int64)
        # steps change price and worths by like parts; a price of 0 is thought to be a tenth of what it can be
        ratio = max(price, LIKELY * float(worth.sum()) / budget) / max(float(np.abs(worth).mean()), 1e-9)
        factor, since, lowest = 1.0, 0, math.inf
        best = Dual(math.inf, price, worth)
        for _ in range(steps):
            gain, spent = send(self.start, self.utility, self.own, self.prompt, self.size, price, worth, answered)
            value = math.fsum(worth) + price * budget + gain
            safe = value + SUM_ROUNDING * (math.fsum(np.abs(worth)) + price * budget + gain)
            if safe < best.bound:
                best = Dual(safe, price, worth)
            since += 1
            if value < lowest - 1e-7 * abs(lowest):
                lowest, since = value, 0
            elif since >= PATIENCE:
                factor, since = factor / 2, 0
                price, worth = best.price, best.worth
                if factor < LEAST_FACTOR:
                    break
                continue
            down, slope = 1.0 - answered, (budget - spent) * ratio
            length = float(down @ down) + slope * slope
            if length == 0.0 or value <= reached:
                break
            step = factor * (value - reached) / length
            worth = worth - step * down
            price = max(price - step * slope * ratio, 0.0)
        return best


@dataclass(frozen=True, slots=True)
class Fixing:
    """What fixes pairs: two bounds, and what each pair loses at least against them, in the problem's own order.

    Attributes
    ----------
    bound, loss
        The bound of the dual, and the losses against it: (N, S).
    linear_bound, linear_loss
        The linear relaxation's at its price.
    """

    bound: float
    loss: FloatArray
    linear_bound: float
    linear_loss: FloatArray

    @classmethod
    def of(cls, pairs: Pairs, linear_bound: float, price: float, dual: Dual) -> Fixing:
        """Return what the dual of whole calls, and the linear relaxation's bound and price, say of each pair."""
        loss, linear_loss = np.empty_like(pairs.utility), np.empty_like(pairs.utility)
        loss[pairs.order], linear_loss[pairs.order] = pairs.loss(dual), pairs.linear_loss(price)
        return cls(dual.bound, loss, linear_bound, linear_loss)

    def kept(self, found: Incumbent, most: float = math.inf) -> BoolArray:
        """Return the pairs that the incumbent, or a plan of more utility, may hold: (N, S).

        Those that lose more than `most` are left out too, though plans with at most that much less than the bound
        may hold them.
        """
        reached, states = found.utility, found.assignment
        safe = 1.0 + 1e-9  # losses are sums of floating-point numbers
        kept = self.loss <= min(most, self.bound - reached) * safe + 1e-9
        kept &= self.linear_loss <= (self.linear_bound - reached) * safe + 1e-9
        if states is not None:
            kept[np.arange(len(states)), states] = True
        return np.asarray(kept)
