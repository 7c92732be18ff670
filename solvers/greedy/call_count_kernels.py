"""Numba kernels that search over call counts: which calls to open, and who is answered in them.

Given how many calls each state has, and so its capacity, the best assignment at a price of USD is a transportation
problem with few sinks, the states: it is kept optimal by shortest augmenting paths over the states, whose arcs are
the cheapest query to move between two states (Ford and Fulkerson, "Flows in Networks", 1962). The call counts
themselves are searched by simulated annealing (Kirkpatrick, Gelatt and Vecchi, Science 220, 1983).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from robatch.instances.arrays import Array
from robatch.instances.compilation import njit

FAR = 1e300
NOISE = 1e-13  # a shorter path is shorter by more than this
SWAPS = 40  # single moves and swaps that fit a plan to its budget, at most


class Queries(NamedTuple):
    """The queries that a search moves, sorted by group, and their states."""

    start: Array  # where each group begins: (groups + 1,)
    group: Array  # group of each query: (M,)
    profit: Array  # utility less price times token cost, -inf where a state is not allowed: (M, S)
    utility: Array  # below 0 where a state is not allowed: (M, S)
    own: Array  # token cost in USD: (M, S)
    call_price: Array  # USD of a call: (S,)
    size: Array  # batch size: (S,)


class Assigned(NamedTuple):
    """An assignment and its sums, which are changed in place."""

    states: Array  # (M,)
    counts: Array  # queries of each group and state, those included that are not searched over: (groups, S)
    total: Array  # utility, and USD


class Terms(NamedTuple):
    """What a search may spend, and how it cools."""

    budget: float  # USD
    price: float  # utility per USD
    under: float  # what a USD counts below the budget
    over: float  # and above
    rounds: int  # changes to try
    hot: float  # first temperature, in utility
    cold: float  # last one


class Paths(NamedTuple):
    """The graph of a group's states in which shortest paths are found."""

    arc: Array  # least loss of moving a query from a state to another: (S, S)
    mover: Array  # that query: (S, S)
    live: Array  # states with queries or calls: (S,)
    distance: Array  # least loss of moving on to free capacity: (S,)
    following: Array  # next state on that way, -1 at its end: (S,)
    capacity: Array  # queries that the calls of each state take: (S,)


@njit(cache=True, nogil=True)
def energy(bill: float, utility: float, terms: Terms) -> float:
    """Return what annealing minimizes: what the distance from the budget counts, less utility."""
    return (terms.under if bill < terms.budget else terms.over) * (bill - terms.budget) - utility


@njit(cache=True, nogil=True)
def arcs(s: int, g: int, queries: Queries, states: Array, paths: Paths) -> None:
    """Find, for a state, the query of least loss that can move to each other state."""
    arc, mover, profit = paths.arc, paths.mover, queries.profit
    width = profit.shape[1]
    for t in range(width):
        arc[s, t], mover[s, t] = FAR, -1
    for i in range(queries.start[g], queries.start[g + 1]):
        if states[i] == s:
            here = profit[i, s]
            for t in range(width):
                loss = here - profit[i, t]
                if loss < arc[s, t]:
                    arc[s, t], mover[s, t] = loss, i
    arc[s, s] = FAR


@njit(cache=True, nogil=True)
def distances(count: int, counts: Array, paths: Paths) -> None:
    """Find the least loss of bringing a query from each live state to free capacity, directly or by moving others."""
    live, arc, distance, following = paths.live, paths.arc, paths.distance, paths.following
    for x in range(count):
        s = live[x]
        distance[s], following[s] = (0.0 if counts[s] < paths.capacity[s] else FAR), -1
    for _ in range(count):
        changed = False
        for x in range(count):
            s = live[x]
            for y in range(count):
                t = live[y]
                if distance[t] < FAR and arc[s, t] < FAR and distance[t] + arc[s, t] < distance[s] - NOISE:
                    distance[s], following[s], changed = distance[t] + arc[s, t], t, True
        if not changed:
            return


@njit(cache=True, nogil=True)
def augment(s: int, g: int, queries: Queries, now: Assigned, paths: Paths) -> bool:
    """Move one query along each arc of the path from a state to free capacity; False if the path runs in a circle."""
    following, counts, total = paths.following, now.counts[g], now.total
    length, t = 0, s
    while following[t] >= 0:
        t = following[t]
        length += 1
        if length > counts.size:
            return False
    here = s
    while following[here] >= 0:
        there, i = following[here], paths.mover[here, following[here]]
        now.states[i] = there
        counts[here] -= 1
        counts[there] += 1
        total[0] += queries.utility[i, there] - queries.utility[i, here]
        total[1] += queries.own[i, there] - queries.own[i, here]
        here = there
    here = s
    arcs(here, g, queries, now.states, paths)
    while following[here] >= 0:
        here = following[here]
        arcs(here, g, queries, now.states, paths)
    return True


@njit(cache=True, nogil=True)
def reassign(g: int, queries: Queries, now: Assigned, paths: Paths) -> bool:
    """Assign a group's queries as well as the capacities allow; False if these do not suffice."""
    counts, capacity, distance = now.counts[g], paths.capacity, paths.distance
    for _ in range(4 * (queries.start[g + 1] - queries.start[g]) + 4 * counts.size):
        count = 0
        for s in range(counts.size):
            if counts[s] > 0 or capacity[s] > 0:
                paths.live[count] = s
                count += 1
        distances(count, counts, paths)
        chosen, crowded = -1, False
        for x in range(count):
            s = paths.live[x]
            if counts[s] > capacity[s]:
                if not crowded or distance[s] < distance[chosen]:
                    chosen, crowded = s, True
            elif not crowded and distance[s] < (-1e-12 if chosen < 0 else distance[chosen]):
                chosen = s
        if chosen < 0:
            return True
        if distance[chosen] == FAR or not augment(chosen, g, queries, now, paths):
            return False
    return False


@njit(cache=True, nogil=True)
def ratio(gain: float, cost: float, over: float) -> float:
    """Return how a change of utility and USD ranks, the least first; FAR where it is of no use.

    Above the budget, by `over` USD, it is the loss per USD that is needed; within it, the gain of what it pays for.
    """
    if over > 0.0:
        return -gain / min(-cost, over) if cost < 0.0 else FAR
    return -gain if gain > 1e-12 and cost <= -over else FAR


@njit(cache=True, nogil=True)
def fit(g: int, queries: Queries, now: Assigned, prompts: float, budget: float, steps: int) -> float:
    """Fit a group's queries to the budget by single moves to free capacity and by swaps; return the USD of all calls.

    Above the budget, the change of least loss per USD that is needed is made; within it, the one of most utility.
    """
    states, counts, total = now.states, now.counts[g], now.total
    utility, own, call_price, size = queries.utility, queries.own, queries.call_price, queries.size
    for _ in range(steps):
        over = total[1] + prompts - budget
        first, other, to, best = -1, -1, -1, FAR
        for i in range(queries.start[g], queries.start[g + 1]):
            s = states[i]
            ends = call_price[s] if (counts[s] - 1) % size[s] == 0 else 0.0
            for t in range(counts.size):
                if t == s or counts[t] % size[t] == 0 or utility[i, t] < 0.0:
                    continue
                rank = ratio(utility[i, t] - utility[i, s], own[i, t] - own[i, s] - ends, over)
                if rank < best:
                    first, other, to, best = i, -1, t, rank
            for j in range(i + 1, queries.start[g + 1]):
                t = states[j]
                if t == s or utility[i, t] < 0.0 or utility[j, s] < 0.0:
                    continue
                gain = (utility[i, t] + utility[j, s]) - (utility[i, s] + utility[j, t])
                rank = ratio(gain, (own[i, t] + own[j, s]) - (own[i, s] + own[j, t]), over)
                if rank < best:
                    first, other, to, best = i, j, t, rank
        if first < 0:
            break
        s = states[first]
        total[0] += utility[first, to] - utility[first, s]
        total[1] += own[first, to] - own[first, s]
        states[first] = to
        if other >= 0:
            total[0] += utility[other, s] - utility[other, to]
            total[1] += own[other, s] - own[other, to]
            states[other] = s
        else:
            counts[s] -= 1
            counts[to] += 1
            prompts -= call_price[s] if counts[s] % size[s] == 0 else 0.0
    return prompts


@njit(cache=True, nogil=True)
def propose(calls: Array, free: int, size: Array, promising: Array, rng: np.random.Generator) -> bool:
    """Change a group's call counts (S,) at random, so that its capacity suffices; False if nothing changed.

    Of its present capacity, `free` is not used; calls are opened in `promising` states, the first of them most often.
    """
    width, some = size.size, 0
    for s in range(width):
        some += calls[s] > 0
    skip, s = np.int64(rng.random() * some), -1
    for x in range(width):
        if calls[x] > 0:
            if skip == 0:
                s = x
                break
            skip -= 1
    draw, kind = rng.random(), rng.random()
    t = promising[np.int64(draw * draw * promising.size)]
    if kind < 0.25:  # a call less; the places that are missing then in another state
        missing = size[s] - free
        if missing > 0 and t == s:
            return False
        calls[s] -= 1
        calls[t] += max(-(-missing // size[t]), 0)
        return True
    if t == s:
        return False
    calls[t] += 1
    if kind < 0.5:  # a call more, and as many less in another state as places allow
        calls[s] -= min((free + size[t]) // size[s], calls[s])
    elif kind < 0.75:  # a call more, another one less, and the places that are missing then in a third state
        calls[s] -= 1
        missing = size[s] - size[t] - free
        if missing > 0:
            draw = rng.random()
            third = promising[np.int64(draw * draw * promising.size)]
            third = t if third == s else third
            calls[third] += -(-missing // size[third])
    else:  # a call more, and calls less in any states
        free += size[t]
        for _ in range(4):
            third = np.int64(rng.random() * width)
            if third != t and calls[third] > 0 and size[third] <= free:
                calls[third] -= 1
                free -= size[third]
    return True


@njit(cache=True, nogil=True)
def open_calls(queries: Queries, now: Assigned, calls: Array, paths: Paths) -> float:
    """Open the calls that an assignment needs, reassign its queries to them, and return the USD of all calls."""
    prompts = 0.0
    for g in range(calls.shape[0]):
        for s in range(calls.shape[1]):
            arcs(s, g, queries, now.states, paths)
            paths.capacity[s] = -(-now.counts[g, s] // queries.size[s]) * queries.size[s]
        reassign(g, queries, now, paths)
        for s in range(calls.shape[1]):
            calls[g, s] = -(-now.counts[g, s] // queries.size[s])
            prompts += queries.call_price[s] * calls[g, s]
    return prompts


@njit(cache=True, nogil=True)
def copied(now: Assigned) -> Assigned:
    """Return a copy."""
    return Assigned(now.states.copy(), now.counts.copy(), now.total.copy())


@njit(cache=True, nogil=True)
def search(  # long: a round of annealing reads as one
    queries: Queries, now: Assigned, promising: Array, terms: Terms, fits: int, rng: np.random.Generator,
    best: Array, reached: float,
) -> float:  # fmt: skip
    """Search over call counts for the most utility within the budget; return the utility of `best`.

    Parameters
    ----------
    now
        Best for its profit when each query pays its share of a full call; its total is of token cost. It is changed.
    promising
        States in which to open calls, the most promising first, of each group: (groups, S).
    fits
        Times that an assignment may be fitted to the budget.
    rng
        Makes the random choices.
    best, reached
        Receives the best assignment within the budget, if it has more utility than `reached`.
    """
    start, size, counts, total = queries.start, queries.size, now.counts, now.total
    groups, width = counts.shape
    paths = Paths(
        np.empty((width, width)), np.empty((width, width), dtype=np.int64), np.empty(width, dtype=np.int64),
        np.empty(width), np.empty(width, dtype=np.int64), np.empty(width, dtype=np.int64),
    )  # fmt: skip
    calls = np.zeros((groups, width), dtype=np.int64)
    prompts = open_calls(queries, now, calls, paths)
    before, tried, calls_before = copied(now), copied(now), calls[0].copy()
    arc, mover = paths.arc.copy(), paths.mover.copy()
    bill, heat, current = total[1] + prompts, terms.hot, groups - 1
    level, cooling = energy(bill, total[0], terms), (terms.cold / terms.hot) ** (1.0 / max(terms.rounds, 1))
    if bill <= terms.budget and total[0] > reached:
        reached = total[0]
        best[:] = now.states
    for round_ in range(terms.rounds):
        heat *= cooling
        g = 0
        if groups > 1:  # that of a random query
            g = int(np.searchsorted(start, int(rng.random() * now.states.size), side="right")) - 1
        if g != current:
            for s in range(width):
                arcs(s, g, queries, now.states, paths)
            current = g
        calls_before[:], before.counts[g] = calls[g], counts[g]
        if not propose(calls[g], (calls[g] * size - counts[g]).sum(), size, promising[g], rng):
            continue
        begin, end = start[g], start[g + 1]
        arc[:], mover[:], before.total[:] = paths.arc, paths.mover, total
        before.states[begin:end] = now.states[begin:end]
        paths.capacity[:] = calls[g] * size
        accepted = reassign(g, queries, now, paths)
        changed, new_level = prompts, level
        if accepted:
            for s in range(width):
                calls[g, s] = -(-counts[g, s] // size[s])
                changed += queries.call_price[s] * (calls[g, s] - calls_before[s])
            bill = total[1] + changed
            new_level = energy(bill, total[0], terms)
            hoped = total[0] - terms.price * (bill - terms.budget)  # its utility once its bill is brought to the budget
            if fits > 0 and hoped > reached + 1e-9 and (bill <= terms.budget or 4 * round_ > terms.rounds):
                fits -= 1
                tried.states[:], tried.counts[g], tried.total[:] = now.states, counts[g], total
                after = fit(g, queries, tried, changed, terms.budget, SWAPS)
                if tried.total[1] + after <= terms.budget and tried.total[0] > reached + 1e-12:
                    reached = tried.total[0]
                    best[:] = tried.states
            rise = new_level - level
            accepted = rise <= 0.0 or rng.random() < np.exp(-rise / heat)
        if accepted:
            level, prompts = new_level, changed
        else:
            now.states[begin:end] = before.states[begin:end]
            paths.arc[:], paths.mover[:], total[:] = arc, mover, before.total
            counts[g], calls[g] = before.counts[g], calls_before
    return reached
