"""A kernel that anneals an assignment under realized cost, for problems of few queries and few calls.

Moves are single queries, swaps, and blocks: what fills the last call of a state, what empties it, or whole calls
from one state to another. Simulated annealing after Kirkpatrick, Gelatt and Vecchi, Science 220, 1983.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from robatch.instances.arrays import NOT_ALLOWED, Array
from robatch.instances.compilation import njit
from robatch.solvers.greedy.call_count_kernels import Assigned, Queries, Terms

BLOCKS = 0.2  # of all moves are blocks


class Ranked(NamedTuple):
    """Queries that may move: what each loses, which it is, and where it would go."""

    loss: Array
    query: Array
    to: Array


@njit(cache=True, nogil=True)
def energy(bill: float, utility: float, terms: Terms) -> float:
    """Return what annealing minimizes: what the distance from the budget counts, less utility."""
    return (terms.under if bill < terms.budget else terms.over) * (bill - terms.budget) - utility


@njit(cache=True, nogil=True)
def move(i: int, to: int, queries: Queries, now: Assigned) -> None:
    """Move a query to a state, and keep utility and bill up to date."""
    s, counts, total, size = now.states[i], now.counts[queries.group[i]], now.total, queries.size
    counts[s] -= 1
    if counts[s] % size[s] == 0:
        total[1] -= queries.call_price[s]
    if counts[to] % size[to] == 0:
        total[1] += queries.call_price[to]
    counts[to] += 1
    total[0] += queries.utility[i, to] - queries.utility[i, s]
    total[1] += queries.own[i, to] - queries.own[i, s]
    now.states[i] = to


@njit(cache=True, nogil=True)
def rank_between(g: int, s: int, to: int, count: int, queries: Queries, states: Array, ranked: Ranked) -> int:
    """List the queries of one state by what they lose by moving to another; return how many, 0 if below `count`."""
    found, profit = 0, queries.profit
    for i in range(queries.start[g], queries.start[g + 1]):
        if states[i] == s and profit[i, to] > NOT_ALLOWED:
            ranked.loss[found], ranked.query[found], ranked.to[found] = profit[i, s] - profit[i, to], i, to
            found += 1
    return found if found >= count else 0


@njit(cache=True, nogil=True)
def rank_into(g: int, to: int, queries: Queries, states: Array, share: Array, ranked: Ranked) -> int:
    """List the queries of all other states by what they lose by moving to a state; return how many."""
    found, profit = 0, queries.profit
    for i in range(queries.start[g], queries.start[g + 1]):
        s = states[i]
        if s != to and profit[i, to] > NOT_ALLOWED:
            ranked.loss[found], ranked.query[found], ranked.to[found] = profit[i, s] - share[s] - profit[i, to], i, to
            found += 1
    return found


@njit(cache=True, nogil=True)
def rank_out_of(g: int, s: int, count: int, queries: Queries, now: Assigned, call: Array, ranked: Ranked) -> int:
    """List the queries of a state by what they lose by moving to their next best; return how many, 0 if below `count`.

    `call` is a call's USD in utility, which the queries that move share where no call has free capacity.
    """
    found, counts, profit, size = 0, now.counts[g], queries.profit, queries.size
    for i in range(queries.start[g], queries.start[g + 1]):
        if now.states[i] != s:
            continue
        best, to = np.inf, -1
        for t in range(size.size):
            if t == s or profit[i, t] == NOT_ALLOWED:
                continue
            loss = profit[i, s] - profit[i, t]
            if counts[t] % size[t] == 0:
                loss += call[t] / min(size[t], count)
            if loss < best:
                best, to = loss, t
        if to >= 0:
            ranked.loss[found], ranked.query[found], ranked.to[found] = best, i, to
            found += 1
    return found if found >= count else 0


@njit(cache=True, nogil=True)
def block_size(draw: float, last: int, free: int, size: int, size_to: int, count: int) -> int:
    """Draw how many queries move between two states: a last call, free capacity, a whole call, or all."""
    n = count if draw < 0.9 else size
    if draw < 0.4:
        n = last
    elif draw < 0.6 and free > 0:
        n = free
    elif draw < 0.8:
        n = size_to
    return min(n, count)


@njit(cache=True, nogil=True)
def anneal(  # long: a round of annealing reads as one
    queries: Queries, now: Assigned, choices: Array, terms: Terms, rng: np.random.Generator, best: Array, reached: float
) -> float:
    """Anneal an assignment for the most utility within the budget; return the utility of `best`.

    Parameters
    ----------
    now
        Its total is of the bill. It is changed.
    choices
        States that each query may move to, those of least loss first: (M, at most S).
    rng
        Makes the random choices.
    best, reached
        Receives the best assignment within the budget, if it has more utility than `reached`.
    """
    start, profit, size, states, total = queries.start, queries.profit, queries.size, now.states, now.total
    count, width = states.size, choices.shape[1]
    ranked = Ranked(np.empty(count), np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64))
    moved, origin = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
    call = terms.price * queries.call_price
    share = call / size
    level = energy(total[1], total[0], terms)
    heat, cooling = terms.hot, (terms.cold / terms.hot) ** (1.0 / max(terms.rounds, 1))
    for _ in range(terms.rounds):
        heat *= cooling
        i = np.int64(rng.random() * count)
        g = queries.group[i]
        counts, utility, bill = now.counts[g], total[0], total[1]
        s, draw, kind = states[i], rng.random(), rng.random()
        to = choices[i, np.int64(draw * draw * width)]
        n: Any = 0  # queries moved
        if kind < 1.0 - BLOCKS:
            swap, j = kind >= (1.0 - BLOCKS) * 0.7, i
            if swap:
                j = start[g] + np.int64(rng.random() * (start[g + 1] - start[g]))
                to = states[j]
            if to == s or profit[i, to] == NOT_ALLOWED or (swap and profit[j, s] == NOT_ALLOWED):
                continue
            moved[0], origin[0], n = i, s, 1
            move(i, to, queries, now)
            if swap:
                moved[1], origin[1], n = j, to, 2
                move(j, s, queries, now)
        else:
            part = (1.0 - kind) / BLOCKS
            last = (counts[s] - 1) % size[s] + 1  # queries in the last call
            if part < 0.4:
                if to == s:
                    continue
                n = block_size(rng.random(), last, -counts[to] % size[to], size[s], size[to], counts[s])
                found = rank_between(g, s, to, n, queries, states, ranked)
            elif part < 0.7:
                n = size[to] - counts[to] % size[to]
                if rng.random() < 0.3:
                    n = 1 + np.int64(rng.random() * n)
                found = rank_into(g, to, queries, states, share, ranked)
                n = min(n, found)
            else:
                n = last if rng.random() < 0.85 else counts[s]
                found = rank_out_of(g, s, n, queries, now, call, ranked)
            if found == 0 or n == 0:
                continue
            order = np.argsort(ranked.loss[:found])
            for x in range(n):
                moved[x] = ranked.query[order[x]]
                origin[x] = states[moved[x]]
                move(moved[x], ranked.to[order[x]], queries, now)
        new_level = energy(total[1], total[0], terms)
        rise = new_level - level
        if rise <= 0.0 or rng.random() < np.exp(-rise / heat):
            level = new_level
            if total[1] <= terms.budget and total[0] > reached + 1e-12:
                reached = total[0]
                best[:] = states
        else:
            for x in range(n - 1, -1, -1):
                move(moved[x], origin[x], queries, now)
            total[0], total[1] = utility, bill
    return reached
