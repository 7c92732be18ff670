"""A kernel that anneals an assignment under realized cost, for problems of few queries and few calls.

Moves are single queries, swaps, and blocks: what fills the last call of a state, what empties it, or whole calls
from one state to another. Simulated annealing after Kirkpatrick, Gelatt and Vecchi, Science 220, 1983.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from robatch.instances.arrays import Array

BLOCKS = 0.2  # of all moves are blocks


@njit(cache=True, nogil=True)
def move(
    i: int, to: int, states: Array, held: Array, utility: Array, own: Array, prompt: Array, size: Array, total: Array
) -> None:
    """Move a query to a state, and keep utility and bill up to date; `held` is of its group."""
    s = states[i]
    held[s] -= 1
    if held[s] % size[s] == 0:
        total[1] -= prompt[s]
    if held[to] % size[to] == 0:
        total[1] += prompt[to]
    held[to] += 1
    total[0] += utility[i, to] - utility[i, s]
    total[1] += own[i, to] - own[i, s]
    states[i] = to


@njit(cache=True, nogil=True)
def between(
    begin: int, end: int, s: int, to: int, count: int, states: Array, value: Array, key: Array, who: Array
) -> int:
    """Choose the queries of one state that lose least by moving to another; return how many there are."""
    found = 0
    for i in range(begin, end):
        if states[i] == s and value[i, to] > -np.inf:
            key[found], who[found] = value[i, s] - value[i, to], i
            found += 1
    return found if found >= count else 0


@njit(cache=True, nogil=True)
def into(begin: int, end: int, to: int, states: Array, value: Array, share: Array, key: Array, who: Array) -> int:
    """Rank the queries of all other states by what they lose by moving to a state; return how many there are."""
    found = 0
    for i in range(begin, end):
        s = states[i]
        if s != to and value[i, to] > -np.inf:
            key[found], who[found] = value[i, s] - share[s] - value[i, to], i
            found += 1
    return found


@njit(cache=True, nogil=True)
def out_of(
    begin: int, end: int, s: int, count: int, states: Array, value: Array, worth: Array, held: Array, size: Array,
    key: Array, who: Array, where: Array,
) -> int:  # fmt: skip
    """Rank the queries of a state by what they lose by moving to their next best; return how many there are.

    `worth` is a call's USD in utility, which the queries that move share where there is no free seat.
    """
    found = 0
    for i in range(begin, end):
        if states[i] != s:
            continue
        best, to = np.inf, -1
        for t in range(size.size):
            if t == s or value[i, t] == -np.inf:
                continue
            loss = value[i, s] - value[i, t]
            if held[t] % size[t] == 0:
                loss += worth[t] / min(size[t], count)
            if loss < best:
                best, to = loss, t
        if to >= 0:
            key[found], who[found], where[found] = best, i, to
            found += 1
    return found if found >= count else 0


@njit(cache=True, nogil=True)
def anneal(
    start: Array, group: Array, states: Array, held: Array, total: Array, value: Array, utility: Array, own: Array,
    prompt: Array, size: Array, ranked: Array, budget: float, price: float, under: float, over: float, rounds: int,
    hot: float, cold: float, rng: np.random.Generator, best: Array, reached: float,
) -> float:  # fmt: skip
    """Anneal an assignment for the most utility within the budget.

    Parameters
    ----------
    start, group
        Where each group begins, and the group of each query: queries are sorted by group.
    states, held, total
        An assignment (M,), the queries of each cell (groups, S), and utility and bill in USD; they are changed.
    value, utility, own
        Utility less price times own USD, utility, and own USD, of each query in each state: (M, S).
    prompt, size
        USD of a call, and batch size, of each state: (S,).
    ranked
        States that each query may move to, those of least loss first: (M, at most S).
    budget
        USD.
    price, under, over
        Utility per USD: as the relaxation has it; what a USD counts below the budget, and above.
    rounds
        Moves to try.
    hot, cold
        First and last temperature, in utility.
    rng
        Makes the random choices.
    best, reached
        Receives the best assignment within the budget, if it has more utility than `reached`.

    Returns
    -------
    float
        The utility of `best`.
    """
    count, width = states.size, ranked.shape[1]
    key, who, where = np.empty(count), np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
    moved, origin = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
    worth = price * prompt
    share = worth / size
    energy = (under if total[1] < budget else over) * (total[1] - budget) - total[0]
    heat, cooling = hot, (cold / hot) ** (1.0 / max(rounds, 1))
    for _ in range(rounds):
        heat *= cooling
        i = np.int64(rng.random() * count)
        g = group[i]
        begin, end, held_ = start[g], start[g + 1], held[g]
        utility_before, bill_before = total[0], total[1]
        s, draw, kind = states[i], rng.random(), rng.random()
        to = ranked[i, np.int64(draw * draw * width)]
        n: Any = 0  # queries moved
        if kind < (1.0 - BLOCKS) * 0.7:
            if to == s or value[i, to] == -np.inf:
                continue
            moved[0], origin[0], n = i, s, 1
            move(i, to, states, held_, utility, own, prompt, size, total)
        elif kind < 1.0 - BLOCKS:
            j = begin + np.int64(rng.random() * (end - begin))
            to = states[j]
            if to == s or value[i, to] == -np.inf or value[j, s] == -np.inf:
                continue
            moved[0], origin[0], moved[1], origin[1], n = i, s, j, to, 2
            move(i, to, states, held_, utility, own, prompt, size, total)
            move(j, s, states, held_, utility, own, prompt, size, total)
        else:
            part = (1.0 - kind) / BLOCKS
            last = (held_[s] - 1) % size[s] + 1  # queries in the last call
            if part < 0.4:
                if to == s:
                    continue
                draw, free = rng.random(), -held_[to] % size[to]
                if draw < 0.4:
                    n = last
                elif draw < 0.6 and free > 0:
                    n = free
                elif draw < 0.8:
                    n = size[to]
                else:
                    n = held_[s] if draw < 0.9 else size[s]
                n = min(n, held_[s])
                found = between(begin, end, s, to, n, states, value, key, who)
            elif part < 0.7:
                n = size[to] - held_[to] % size[to]
                if rng.random() < 0.3:
                    n = 1 + np.int64(rng.random() * n)
                found = into(begin, end, to, states, value, share, key, who)
                n = min(n, found)
            else:
                n = last if rng.random() < 0.85 else held_[s]
                found = out_of(begin, end, s, n, states, value, worth, held_, size, key, who, where)
            if found == 0 or n == 0:
                continue
            order = np.argsort(key[:found])
            for x in range(n):
                j = who[order[x]]
                moved[x], origin[x] = j, states[j]
                move(j, to if part < 0.7 else where[order[x]], states, held_, utility, own, prompt, size, total)
        new = (under if total[1] < budget else over) * (total[1] - budget) - total[0]
        rise = new - energy
        if rise <= 0.0 or rng.random() < np.exp(-rise / heat):
            energy = new
            if total[1] <= budget and total[0] > reached + 1e-12:
                reached = total[0]
                best[:] = states
        else:
            for x in range(n - 1, -1, -1):
                move(moved[x], origin[x], states, held_, utility, own, prompt, size, total)
            total[0], total[1] = utility_before, bill_before
    return reached
