"""Kernels that search over call counts: which calls to open, and who sits in them.

Given how many calls each state has, and so how many seats, the best assignment at a price of USD is a transportation
problem with few sinks, the states: it is kept optimal by shortest augmenting paths over the states, whose arcs are
the cheapest query to move between two states (Ford and Fulkerson, "Flows in Networks", 1962). The call counts
themselves are searched by simulated annealing (Kirkpatrick, Gelatt and Vecchi, Science 220, 1983).

All kernels take queries sorted by group, `start` (groups + 1) saying where each begins; `value` (M, S) utility less
price times own USD, -inf where a state is not allowed; `utility` and `own` (M, S); `prompt` (S,), USD of a call;
`size` (S,), the batch size. `total` holds utility and own USD of all queries, `held` (groups, S) the queries of each
cell, those included that are not searched over.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from robatch.instances.arrays import Array

FAR = 1e300
NOISE = 1e-13  # a shorter path is shorter by more than this
SWAPS = 40  # single moves and swaps that fit a plan to its budget, at most


@njit(cache=True, nogil=True)
def arcs(s: int, begin: int, end: int, states: Array, value: Array, arc: Array, mover: Array) -> None:
    """Find, for a state, the query of least loss that can move to each other state."""
    width = value.shape[1]
    for t in range(width):
        arc[s, t], mover[s, t] = FAR, -1
    for i in range(begin, end):
        if states[i] == s:
            here = value[i, s]
            for t in range(width):
                loss = here - value[i, t]
                if loss < arc[s, t]:
                    arc[s, t], mover[s, t] = loss, i
    arc[s, s] = FAR


@njit(cache=True, nogil=True)
def distances(
    live: Array, count: int, held: Array, seats: Array, arc: Array, distance: Array, following: Array
) -> None:
    """Find the least loss of bringing a query from each live state to a free seat, directly or by moving others on."""
    for x in range(count):
        s = live[x]
        distance[s], following[s] = (0.0 if held[s] < seats[s] else FAR), -1
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
def augment(
    s: int, begin: int, end: int, states: Array, value: Array, utility: Array, own: Array, held: Array, total: Array,
    arc: Array, mover: Array, following: Array,
) -> bool:  # fmt: skip
    """Move one query along each arc of the path from a state to a free seat; False if the path runs in a circle."""
    length, t = 0, s
    while following[t] >= 0:
        t = following[t]
        length += 1
        if length > held.size:
            return False
    here = s
    while following[here] >= 0:
        there, i = following[here], mover[here, following[here]]
        states[i] = there
        held[here] -= 1
        held[there] += 1
        total[0] += utility[i, there] - utility[i, here]
        total[1] += own[i, there] - own[i, here]
        here = there
    here = s
    arcs(here, begin, end, states, value, arc, mover)
    while following[here] >= 0:
        here = following[here]
        arcs(here, begin, end, states, value, arc, mover)
    return True


@njit(cache=True, nogil=True)
def settle(
    begin: int, end: int, states: Array, value: Array, utility: Array, own: Array, held: Array, seats: Array,
    total: Array, arc: Array, mover: Array, live: Array, distance: Array, following: Array,
) -> bool:  # fmt: skip
    """Seat a group's queries as well as its seats allow; False if they do not suffice."""
    for _ in range(4 * (end - begin) + 4 * held.size):
        count = 0
        for s in range(held.size):
            if held[s] > 0 or seats[s] > 0:
                live[count] = s
                count += 1
        distances(live, count, held, seats, arc, distance, following)
        chosen, crowded = -1, False
        for x in range(count):
            s = live[x]
            if held[s] > seats[s]:
                if not crowded or distance[s] < distance[chosen]:
                    chosen, crowded = s, True
            elif not crowded and distance[s] < (-1e-12 if chosen < 0 else distance[chosen]):
                chosen = s
        if chosen < 0:
            return True
        if distance[chosen] == FAR or not augment(
            chosen, begin, end, states, value, utility, own, held, total, arc, mover, following
        ):
            return False
    return False


@njit(cache=True, nogil=True)
def fit(
    begin: int, end: int, states: Array, utility: Array, own: Array, held: Array, total: Array, prompts: float,
    prompt: Array, size: Array, budget: float, steps: int,
) -> float:  # fmt: skip
    """Fit a group's queries to the budget by single moves to free seats and by swaps; return the USD of all calls.

    Above the budget, the change of least loss per USD that is needed is made; within it, the one of most utility.
    """
    for _ in range(steps):
        over = total[1] + prompts - budget
        first, other, to, best = -1, -1, -1, FAR
        for i in range(begin, end):
            s = states[i]
            ends = prompt[s] if (held[s] - 1) % size[s] == 0 else 0.0
            for t in range(held.size):
                if t == s or held[t] % size[t] == 0 or utility[i, t] < 0.0:
                    continue
                gain, cost = utility[i, t] - utility[i, s], own[i, t] - own[i, s] - ends
                if over > 0.0 and cost < 0.0:
                    score = -gain / min(-cost, over)
                elif over <= 0.0 and gain > 1e-12 and cost <= -over:
                    score = -gain
                else:
                    continue
                if score < best:
                    first, other, to, best = i, -1, t, score
            for j in range(i + 1, end):
                t = states[j]
                gain = (utility[i, t] + utility[j, s]) - (utility[i, s] + utility[j, t])
                if t == s or (over <= 0.0 and gain <= 1e-12) or utility[i, t] < 0.0 or utility[j, s] < 0.0:
                    continue
                cost = (own[i, t] + own[j, s]) - (own[i, s] + own[j, t])
                if over > 0.0 and cost < 0.0:
                    score = -gain / min(-cost, over)
                elif over <= 0.0 and cost <= -over:
                    score = -gain
                else:
                    continue
                if score < best:
                    first, other, to, best = i, j, t, score
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
            held[s] -= 1
            held[to] += 1
            prompts -= prompt[s] if held[s] % size[s] == 0 else 0.0
    return prompts


@njit(cache=True, nogil=True)
def propose(calls: Array, free: int, size: Array, likely: Array, rng: np.random.Generator) -> bool:
    """Change the call counts of a group (S,) at random, so that its seats still suffice; False if nothing changed."""
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
    t = likely[np.int64(draw * draw * likely.size)]
    if kind < 0.25:  # a call less; the seats that are missing then in another state
        missing = size[s] - free
        if missing > 0 and t == s:
            return False
        calls[s] -= 1
        calls[t] += max(-(-missing // size[t]), 0)
        return True
    if t == s:
        return False
    calls[t] += 1
    if kind < 0.5:  # a call more, and as many less in another state as seats allow
        calls[s] -= min((free + size[t]) // size[s], calls[s])
    elif kind < 0.75:  # a call more, another one less, and the seats that are missing then in a third state
        calls[s] -= 1
        missing = size[s] - size[t] - free
        if missing > 0:
            draw = rng.random()
            third = likely[np.int64(draw * draw * likely.size)]
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
def search(
    start: Array, states: Array, held: Array, total: Array, value: Array, utility: Array, own: Array, prompt: Array,
    size: Array, likely: Array, budget: float, price: float, under: float, over: float, rounds: int, fits: int,
    hot: float, cold: float, rng: np.random.Generator, best: Array, reached: float,
) -> float:  # fmt: skip
    """Search over call counts for the most utility within the budget.

    Parameters
    ----------
    start, value, utility, own, prompt, size
        See above.
    states, held, total
        An assignment that is best for its value when each query pays its share of a full call, and its counts;
        they are changed.
    likely
        States in which to open calls, the likeliest first, of each group: (groups, S).
    budget
        USD of these queries and of all calls.
    price, under, over
        Utility per USD: as the relaxation has it; what a USD counts below the budget, and above.
    rounds, fits
        Changes to try; times that an assignment may be fitted to the budget.
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
    groups, width = held.shape
    arc, mover = np.empty((width, width)), np.empty((width, width), dtype=np.int64)
    live, seats = np.empty(width, dtype=np.int64), np.empty(width, dtype=np.int64)
    distance, following = np.empty(width), np.empty(width, dtype=np.int64)
    calls = np.zeros((groups, width), dtype=np.int64)
    prompts = 0.0
    for g in range(groups):
        begin, end = start[g], start[g + 1]
        for s in range(width):
            arcs(s, begin, end, states, value, arc, mover)
            seats[s] = -(-held[g, s] // size[s]) * size[s]
        settle(
            begin, end, states, value, utility, own, held[g], seats, total, arc, mover, live, distance, following,
        )  # fmt: skip
        for s in range(width):
            calls[g, s] = -(-held[g, s] // size[s])
            prompts += prompt[s] * calls[g, s]
    before, held_before, calls_before = states.copy(), np.empty_like(held[0]), np.empty_like(held[0])
    arc_before, mover_before, total_before = arc.copy(), mover.copy(), total.copy()
    tried, tried_held, tried_total = states.copy(), held[0].copy(), total.copy()
    bill = total[1] + prompts
    energy = (under if bill < budget else over) * (bill - budget) - total[0]
    cooling, heat, current = (cold / hot) ** (1.0 / max(rounds, 1)), hot, groups - 1
    if bill <= budget and total[0] > reached:
        reached = total[0]
        best[:] = states
    for round_ in range(rounds):
        heat *= cooling
        g = 0
        if groups > 1:  # that of a random query
            g = int(np.searchsorted(start, int(rng.random() * states.size), side="right")) - 1
        begin, end = start[g], start[g + 1]
        if g != current:
            for s in range(width):
                arcs(s, begin, end, states, value, arc, mover)
            current = g
        free = 0
        for s in range(width):
            calls_before[s], held_before[s] = calls[g, s], held[g, s]
            free += calls[g, s] * size[s] - held[g, s]
        if not propose(calls[g], free, size, likely[g], rng):
            continue
        arc_before[:], mover_before[:], total_before[:] = arc, mover, total
        before[begin:end] = states[begin:end]
        for s in range(width):
            seats[s] = calls[g, s] * size[s]
        accepted = settle(
            begin, end, states, value, utility, own, held[g], seats, total, arc, mover, live, distance, following,
        )  # fmt: skip
        changed, new_energy = prompts, energy
        if accepted:
            for s in range(width):
                calls[g, s] = -(-held[g, s] // size[s])
                changed += prompt[s] * (calls[g, s] - calls_before[s])
            bill = total[1] + changed
            new_energy = (under if bill < budget else over) * (bill - budget) - total[0]
            # what it is worth once its bill is brought to the budget
            if (
                fits > 0
                and total[0] - price * (bill - budget) > reached + 1e-9
                and (bill <= budget or 4 * round_ > rounds)
            ):
                fits -= 1
                tried[:], tried_held[:], tried_total[:] = states, held[g], total
                after = fit(
                    begin, end, tried, utility, own, tried_held, tried_total, changed, prompt, size, budget, SWAPS,
                )  # fmt: skip
                if tried_total[1] + after <= budget and tried_total[0] > reached + 1e-12:
                    reached = tried_total[0]
                    best[:] = tried
            rise = new_energy - energy
            accepted = rise <= 0.0 or rng.random() < np.exp(-rise / heat)
        if accepted:
            energy, prompts = new_energy, changed
        else:
            states[begin:end] = before[begin:end]
            arc[:], mover[:], total[:] = arc_before, mover_before, total_before
            held[g], calls[g] = held_before, calls_before
    return reached
