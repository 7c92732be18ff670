"""Numba kernels that move queries between states while every constraint is counted along.

The reduced profit of a move is the utility that it gains, less what it uses of each row at given multipliers; what it
adds to the violation of the rows counts `rho` times. A kernel calls only helpers of its own file, so that all kernels
that move a query stand in this one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from robatch.instances.arrays import NOT_ALLOWED, Array
from robatch.instances.compilation import njit
from robatch.instances.kernels import Flat
from robatch.solvers.greedy.constrained_kernels import Sides

LOOKED_AT = 256  # queries of a group and state that are looked at for one call
ANY = 1e-3  # what any violation counts, however small, so that it is not worth keeping
TINY = 1e-12  # utility, or reduced profit, that counts as none


class Tally(NamedTuple):
    """An assignment and what it uses of each row; the arrays are changed in place."""

    states: Array  # state of each query: (N,)
    counts: Array  # queries of each group in each state: (groups, S)
    use: Array  # use of each row: (rows,)
    most: Array  # right-hand side of each row
    weight: Array  # what one unit of violation of each row counts
    price: Array  # multiplier of each row
    totals: Array  # utility, and the number of violated rows: (2,)
    row: Array  # space for the rows that a move touches: (16,)
    by: Array  # and for what it adds to them


class Prices(NamedTuple):
    """What a query's utility, USD and rows count while rows are violated."""

    heavy: float  # weight of utility in the query's group
    dear: float  # price of a USD there
    by_row: Array  # price of each row before those of groups: (1 + 3 K,)


class Block(NamedTuple):
    """Queries that would leave a state together, those that lose least first."""

    query: Array
    to: Array  # where each would go
    loss: Array  # what each loses of its reduced profit


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def pair(i: int, s: int, flat: Flat) -> tuple[float, float]:
    """Return the token cost in USD of query i in state s, and its utility: `NOT_ALLOWED` where it is not allowed."""
    k = flat.state_model[s]
    t_in = np.float64(flat.inputs[i, k if flat.inputs.shape[1] > 1 else 0])
    t_out = np.float64(flat.outputs[i, k if flat.outputs.shape[1] > 1 else 0])
    if t_in + t_out > flat.limit[s]:
        return 0.0, NOT_ALLOWED
    own = t_in * flat.prices[0, k] + t_out * flat.prices[1, k]
    if flat.dense.shape[0] > 0:
        return own, np.float64(flat.dense[i, s])
    product = flat.base[i, k] * flat.retention[i if flat.retention.shape[0] > 1 else 0, s]
    return own, min(np.float64(product), 1.0)


@njit(cache=True, nogil=True, error_model="numpy")
def count_up(flat: Flat, sides: Sides, tally: Tally) -> None:
    """Count all that an assignment uses afresh; sums carry their rounding errors along."""
    states, counts, use = tally.states, tally.counts, tally.use
    models, width = flat.prices.shape[1], flat.state_model.size
    first = 1 + 3 * models
    groups = (use.size - first) // 2
    lost, total, total_lost = np.zeros(use.size), np.zeros(1), np.zeros(1)
    counts[:] = 0
    use[:] = 0.0
    for i in range(states.size):
        s = states[i]
        g = sides.codes[i] if sides.codes.size > 0 else 0
        k, q = flat.state_model[s], sides.slot[g]
        own, u = pair(i, s, flat)
        cost = own if sides.realized else own + flat.share[s]
        counts[g, s] += 1
        use[1 + k] += 1.0
        carry(use, lost, 0, cost)
        carry(use, lost, 1 + 2 * models + k, cost)
        if q >= 0:
            carry(use, lost, first + q, -u)
            carry(use, lost, first + groups + q, cost)
        carry(total, total_lost, 0, u)
    for g in range(counts.shape[0]):
        q = sides.slot[g]
        for s in range(width):
            calls = -(-counts[g, s] // sides.batch[s])
            k = flat.state_model[s]
            use[1 + models + k] += calls
            if sides.realized:
                cost = calls * sides.call_price[s]
                carry(use, lost, 0, cost)
                carry(use, lost, 1 + 2 * models + k, cost)
                if q >= 0:
                    carry(use, lost, first + groups + q, cost)
    tally.totals[0] = total[0] + total_lost[0]
    tally.totals[1] = 0.0
    for r in range(use.size):
        use[r] += lost[r]
        if use[r] > tally.most[r]:
            tally.totals[1] += 1.0


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def carry(use: Array, lost: Array, r: int, value: float) -> None:
    """Add to a row's sum and keep the rounding error (Neumaier, 1974)."""
    new = use[r] + value
    lost[r] += (use[r] - new) + value if abs(use[r]) >= abs(value) else (value - new) + use[r]
    use[r] = new


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def touch(
    i: int, s: int, here: tuple[float, float], there: tuple[float, float], flat: Flat, sides: Sides, tally: Tally
) -> int:
    """Write the rows that query i's move to state s touches, and what it adds to them; return how many.

    `here` and `there` are what `pair` returns of it in its own state and in s.
    """
    (own_a, u_a), (own_s, u_s) = here, there
    row, by, models = tally.row, tally.by, flat.prices.shape[1]
    a = tally.states[i]
    g = sides.codes[i] if sides.codes.size > 0 else 0
    q, k_a, k_s = sides.slot[g], flat.state_model[a], flat.state_model[s]
    saved = 1 if (tally.counts[g, a] - 1) % sides.batch[a] == 0 else 0
    started = 1 if tally.counts[g, s] % sides.batch[s] == 0 else 0
    if sides.realized:
        less, more = own_a + saved * sides.call_price[a], own_s + started * sides.call_price[s]
    else:
        less, more = own_a + flat.share[a], own_s + flat.share[s]
    row[0], by[0] = 0, more - less
    if k_a == k_s:
        row[1], by[1] = 1 + models + k_s, started - saved
        row[2], by[2] = 1 + 2 * models + k_s, more - less
        count = 3
    else:
        row[1], by[1] = 1 + k_a, -1.0
        row[2], by[2] = 1 + k_s, 1.0
        row[3], by[3] = 1 + models + k_a, -saved
        row[4], by[4] = 1 + models + k_s, started
        row[5], by[5] = 1 + 2 * models + k_a, -less
        row[6], by[6] = 1 + 2 * models + k_s, more
        count = 7
    if q >= 0:
        first = 1 + 3 * models
        row[count], by[count] = first + q, u_a - u_s
        row[count + 1], by[count + 1] = first + (tally.use.size - first) // 2 + q, more - less
        count += 2
    return count


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def weigh(count: int, tally: Tally) -> tuple[float, float, int]:
    """Return what the touched rows cost at the multipliers, and the violation and violated rows that they add."""
    spent, worse, bad = 0.0, 0.0, 0
    for j in range(count):
        r, d = tally.row[j], tally.by[j]
        over = tally.use[r] - tally.most[r]
        spent += tally.price[r] * d
        if over > 0.0 or over + d > 0.0:
            more = (1 if tally.use[r] + d > tally.most[r] else 0) - (1 if over > 0.0 else 0)
            worse += tally.weight[r] * (max(over + d, 0.0) - max(over, 0.0)) + ANY * more
            bad += more
    return spent, worse, bad


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def move(i: int, s: int, flat: Flat, sides: Sides, tally: Tally) -> tuple[float, float]:
    """Move query i to state s; return its gain in reduced profit, and the violation that it adds."""
    here, there = pair(i, tally.states[i], flat), pair(i, s, flat)
    count = touch(i, s, here, there, flat, sides, tally)
    spent, worse, bad = weigh(count, tally)
    for j in range(count):
        tally.use[tally.row[j]] += tally.by[j]
    g = sides.codes[i] if sides.codes.size > 0 else 0
    tally.counts[g, tally.states[i]] -= 1
    tally.counts[g, s] += 1
    tally.states[i] = s
    tally.totals[0] += there[1] - here[1]
    tally.totals[1] += bad
    return there[1] - here[1] - spent, worse


@njit(cache=True, nogil=True, error_model="numpy")
def sweep(queries: Array, rho: float, flat: Flat, sides: Sides, tally: Tally) -> int:
    """Give each query in turn its best state; return how many moved.

    With a finite `rho`, best is most reduced profit less `rho` times the violation. With an infinite one, only states
    of more utility are taken, and only where no row becomes violated; best is most reduced profit then too.
    """
    moved, width, strict = 0, flat.state_model.size, rho == np.inf
    for i in queries:
        a = tally.states[i]
        here = pair(i, a, flat)
        best, top = -1, -np.inf if strict else TINY
        for s in range(width):
            if s == a:
                continue
            there = pair(i, s, flat)
            if there[1] == NOT_ALLOWED or (strict and there[1] <= here[1] + TINY):
                continue
            spent, worse, bad = weigh(touch(i, s, here, there, flat, sides, tally), tally)
            if strict and bad > 0:
                continue
            gain = there[1] - here[1] - spent
            if not strict:
                gain -= rho * worse
            if gain > top:
                best, top = s, gain
        if best >= 0:
            move(i, best, flat, sides, tally)
            moved += 1
    return moved


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def cells(queries: Array, sides: Sides, tally: Tally) -> tuple[Array, Array]:
    """Return queries by group and state, else in their order, and where each of these begins: (groups * S + 1,)."""
    groups, width = tally.counts.shape
    start = np.zeros(groups * width + 1, dtype=np.int64)
    for g in range(groups):
        for s in range(width):
            start[g * width + s + 1] = start[g * width + s] + tally.counts[g, s]
    at = start[:-1].copy()
    order = np.empty(tally.states.size, dtype=np.int64)
    for i in queries:
        cell = (sides.codes[i] if sides.codes.size > 0 else 0) * width + tally.states[i]
        order[at[cell]] = i
        at[cell] += 1
    return order, start


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def row_price(r: int, rho: float, tally: Tally) -> float:
    """Return a row's multiplier, and with a finite `rho` what more of it counts while it is violated."""
    over = rho < np.inf and tally.use[r] > tally.most[r]
    return float(tally.price[r] + (rho * tally.weight[r] if over else 0.0))


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def prices_of(g: int, rho: float, tally: Tally, sides: Sides, by_row: Array) -> Prices:
    """Return the prices that count for a group; those of the rows before the groups' are written to `by_row`."""
    for r in range(by_row.size):
        by_row[r] = row_price(r, rho, tally)
    q, heavy, dear = sides.slot[g], 1.0, by_row[0]
    if q >= 0:
        heavy += row_price(by_row.size + q, rho, tally)
        dear += row_price(by_row.size + (tally.use.size - by_row.size) // 2 + q, rho, tally)
    return Prices(heavy, dear, by_row)


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def profits(queries: Array, prices: Prices, flat: Flat, sides: Sides, found: Array) -> None:
    """Write queries' reduced profits in states whose calls are paid for, -inf where not allowed: (queries, S)."""
    dense, base, retention, inputs, outputs, by_model, state_model, share, limit = flat
    by_row, heavy, models, realized = prices.by_row, prices.heavy, by_model.shape[1], sides.realized
    for j in range(queries.size):
        i = queries[j]
        kept = i if retention.shape[0] > 1 else 0
        for s in range(state_model.size):
            k = state_model[s]
            t_in = np.float64(inputs[i, k if inputs.shape[1] > 1 else 0])
            t_out = np.float64(outputs[i, k if outputs.shape[1] > 1 else 0])
            cost = t_in * by_model[0, k] + t_out * by_model[1, k]
            cost = cost if realized else cost + share[s]
            u = np.float64(dense[i, s]) if dense.shape[0] > 0 else min(np.float64(base[i, k] * retention[kept, s]), 1.0)
            dear = prices.dear + by_row[1 + 2 * models + k]
            found[j, s] = heavy * u - dear * cost - by_row[1 + k]
            if t_in + t_out > limit[s] or u == NOT_ALLOWED:
                found[j, s] = -np.inf


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def call_cost(s: int, prices: Prices, flat: Flat, sides: Sides) -> float:
    """Return what one more call of a state costs, in utility."""
    k, models = flat.state_model[s], flat.prices.shape[1]
    dear = prices.dear + prices.by_row[1 + 2 * models + k]
    return float(prices.by_row[1 + models + k] + (dear * sides.call_price[s] if sides.realized else 0.0))


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def leave(members: Array, a: int, t: int, profit: Array, started: Array, block: Block) -> float:
    """Fill the block with the queries of state a that lose least by leaving it for state t; return what they lose.

    A t of -1 is each query's best state, where `started` is the cost of a call that the query begins there: (S,).
    `profit` holds the members' reduced profits. Returns inf where too few can leave.
    """
    queries, goes, losses = block.query, block.to, block.loss
    size, many, total, width = losses.size, 0, 0.0, started.size
    for m in range(members.size):
        best, to = -np.inf, -1
        for s in range(t if t >= 0 else 0, t + 1 if t >= 0 else width):
            there = profit[m, s] - (started[s] if t < 0 else 0.0)
            if s != a and there > best:
                best, to = there, s
        if to < 0:
            continue
        lost = profit[m, a] - best
        if many == size and lost >= losses[many - 1]:
            continue
        at = many if many < size else size - 1
        total += lost - (losses[at] if many == size else 0.0)
        many = min(many + 1, size)
        while at > 0 and losses[at - 1] > lost:
            losses[at], queries[at], goes[at] = losses[at - 1], queries[at - 1], goes[at - 1]
            at -= 1
        losses[at], queries[at], goes[at] = lost, members[m], to
    return total if many == size else np.inf


@njit(cache=True, nogil=True, error_model="numpy")
def regroup(queries: Array, rho: float, flat: Flat, sides: Sides, tally: Tally) -> int:
    """Move the queries of one call of each group and state elsewhere together, where that gains; return how often.

    The call is the partly filled one, or a full one where there is none; its queries may be any of the first
    `LOOKED_AT` of their group and state in the order of `queries`, which holds all of them. They go to one other
    state, where they may share a new call, or each to its best state. Gains count as in `sweep`, but for the
    violation with an infinite `rho`: then no row may become violated.
    """
    done, width = 0, flat.state_model.size
    order, start = cells(queries, sides, tally)
    longest = sides.batch.max()
    chosen, goes = np.empty(longest, dtype=np.int64), np.empty(longest, dtype=np.int64)
    query, to, loss = np.empty(longest, dtype=np.int64), np.empty(longest, dtype=np.int64), np.empty(longest)
    by_row, started, state = np.empty(1 + 3 * flat.prices.shape[1]), np.zeros(width), tally.states
    profit = np.empty((min(max(LOOKED_AT, 2 * longest), state.size), width))
    for cell in range(start.size - 1):
        g, a = cell // width, cell % width
        b, n = sides.batch[a], tally.counts[g, a]
        if n == 0 or start[cell + 1] == start[cell]:
            continue
        size = n % b if n % b > 0 else b
        prices = prices_of(g, rho, tally, sides, by_row)
        members = order[start[cell] : min(start[cell + 1], start[cell] + max(LOOKED_AT, 2 * b))]
        members = members[state[members] == a]  # others came here or left since
        profits(members, prices, flat, sides, profit)
        for t in range(width):
            started[t] = call_cost(t, prices, flat, sides) if tally.counts[g, t] % sides.batch[t] == 0 else 0.0
        block, saved = Block(query[:size], to[:size], loss[:size]), call_cost(a, prices, flat, sides)
        best_gain, found = TINY, 0
        for t in range(-1, width):
            if t == a:
                continue
            gain = saved - leave(members, a, t, profit, started, block)
            if t >= 0:
                before = tally.counts[g, t]
                more = -(-(before + size) // sides.batch[t]) + (-before // sides.batch[t])
                gain -= more * call_cost(t, prices, flat, sides)
            if gain > best_gain:
                best_gain, found = gain, size
                chosen[:size], goes[:size] = block.query, block.to
        if found == 0:
            continue
        bad, gain, worse = tally.totals[1], 0.0, 0.0
        for j in range(found):
            gained, added = move(chosen[j], goes[j], flat, sides, tally)
            gain += gained
            worse += added
        if gain > TINY and tally.totals[1] <= bad if rho == np.inf else gain - rho * worse > TINY:
            done += 1
        else:
            for j in range(found - 1, -1, -1):
                move(chosen[j], a, flat, sides, tally)
    return done


@njit(cache=True, nogil=True, error_model="numpy")
def exchange(query: Array, state: Array, checks: int, flat: Flat, sides: Sides, tally: Tally) -> int:
    """Make two moves at once where no row is violated afterwards and utility is gained; return how often.

    Parameters
    ----------
    query, state
        The moves to try: (moves,).
    checks
        Pairs of moves that are looked at, at most.
    """
    gain = np.empty(query.size)
    for m in range(query.size):
        _, u_a = pair(query[m], tally.states[query[m]], flat)
        _, u_s = pair(query[m], state[m], flat)
        gain[m] = u_s - u_a if state[m] != tally.states[query[m]] else -np.inf
    order = np.argsort(-gain, kind="mergesort")
    done, left = 0, checks
    fixed = np.zeros(tally.states.size, dtype=np.bool_)  # moved: its gains above are those of its old state
    for a in range(order.size):
        up = order[a]
        i = query[up]
        if not gain[up] > TINY or left <= 0:
            break
        if fixed[i]:
            continue
        old = tally.states[i]
        move(i, state[up], flat, sides, tally)
        found = tally.totals[1] == 0.0
        over = tally.use[0] - tally.most[0]
        for b in range(a + 1, order.size):
            down = order[b]
            if found or not gain[up] + gain[down] > TINY or left <= 0:
                break
            j, t = query[down], state[down]
            if j == i or fixed[j]:
                continue
            left -= 1
            here, there = pair(j, tally.states[j], flat), pair(j, t, flat)
            if not sides.realized and there[0] + flat.share[t] - here[0] - flat.share[tally.states[j]] + over > 0.0:
                continue
            _, _, bad = weigh(touch(j, t, here, there, flat, sides, tally), tally)
            if tally.totals[1] + bad == 0.0:
                move(j, t, flat, sides, tally)
                fixed[j] = True
                found = True
        if found:
            fixed[i] = True
            done += 1
        else:
            move(i, old, flat, sides, tally)
    return done


@njit(cache=True, nogil=True, error_model="numpy")
def mend(query: Array, state: Array, checks: int, flat: Flat, sides: Sides, tally: Tally) -> int:
    """Make two moves at once that together lessen the violation, until none is left; return how often.

    Parameters are those of `exchange`.
    """
    done, left = 0, checks
    for a in range(query.size):
        i, old = query[a], tally.states[query[a]]
        if tally.totals[1] == 0.0 or left <= 0:
            break
        if state[a] == old:
            continue
        _, worse = move(i, state[a], flat, sides, tally)
        found = worse < -TINY
        for b in range(query.size):
            j, t = query[b], state[b]
            if found or left <= 0:
                break
            if j == i or t == tally.states[j]:
                continue
            left -= 1
            here, there = pair(j, tally.states[j], flat), pair(j, t, flat)
            _, more, _ = weigh(touch(j, t, here, there, flat, sides, tally), tally)
            if worse + more < -TINY:
                move(j, t, flat, sides, tally)
                found = True
        if found:
            done += 1
        else:
            move(i, old, flat, sides, tally)
    return done
