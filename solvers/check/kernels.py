"""Numba kernels of the independent check: plain loops over a problem's raw arrays.

Nothing here is shared with a solver or with the problem's own arithmetic. Costs are in millionths of a USD, as
prices are per million tokens. Every sum over queries carries its rounding error along, so that a check is as
exact at a million queries as at one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from robatch.instances.arrays import Array
from robatch.instances.compilation import njit

# mypy: disable-error-code="untyped-decorator"


LENIENT = 1 + 1e-12  # tokens need not be whole: a window may be exceeded by rounding where that hides no mistake
TILE = 64  # queries at a time, state by state: loops of fixed length without branches, which become vector instructions

# places in the lanes of a tile: greatest reduced profit at a price; greatest utility for at most so much, and how much
# that is; cost of the query's own tokens; tokens
BEST, TOP, MOST, OWN, TOKENS = 0, TILE, 2 * TILE, 3 * TILE, 4 * TILE


class Raw(NamedTuple):
    """A problem's raw arrays."""

    dense: Array  # utilities (N, S), -inf where a pair is forbidden; or (0, 0)
    base: Array  # base utilities (N, K) and their factors (1 or N, S) instead; or (0, 0)
    retention: Array
    inputs: Array  # tokens (N, 1 or K)
    outputs: Array
    # of each model (K, 8): price in and out, shared tokens, window that may be filled, number of states, what a call
    # costs beside its queries as billed, and as expected, and what the first call of a group costs more
    models: Array
    sizes: Array  # batch size of each state: (S,)


@njit(cache=True, nogil=True, inner=True)
def plus(total: float, error: float, value: float) -> tuple[float, float]:
    """Add a value to a sum, and what rounding cuts off to the sum's error (Knuth's TwoSum)."""
    new = total + value
    part = new - total
    return new, error + ((total - (new - part)) + (value - part))


@njit(cache=True, nogil=True, inner=True)
def tables(raw: Raw) -> tuple[Array, Array, Array]:
    """Return each state's model, and the cost of a call as billed, and as expected for a query of a full call."""
    models, sizes = raw.models, raw.sizes
    owner = np.empty(sizes.size, dtype=np.int64)
    prompt, share = np.empty(sizes.size), np.empty(sizes.size)
    s = 0
    for k in range(models.shape[0]):
        for _ in range(int(models[k, 4])):
            owner[s] = k
            prompt[s] = models[k, 5]
            share[s] = models[k, 6] / sizes[s]
            s += 1
    return owner, prompt, share


@njit(cache=True, nogil=True, inner=True)
def charged(by_share: bool, raw: Raw) -> tuple[Array, Array, Array]:
    """Return each state's model, the least that a query of a call pays for it, and what one query more may add."""
    owner, prompt, share = tables(raw)
    added = share if by_share else prompt.copy()
    for s in range(0 if by_share else raw.sizes.size):
        share[s] = prompt[s] / raw.sizes[s]
        added[s] += raw.models[owner[s], 7]
    return owner, share, added


@njit(cache=True, nogil=True, inner=True)
def query_in(i: int, k: int, s: int, raw: Raw) -> tuple[float, float, float]:
    """Return one query's utility and own cost in a state, and the tokens of a full call of queries like it."""
    dense, base, retention, inputs, outputs, models, sizes = raw
    t_in = np.float64(inputs[i, k if inputs.shape[1] > 1 else 0])
    t_out = np.float64(outputs[i, k if outputs.shape[1] > 1 else 0])
    if dense.shape[0] > 0:
        utility = np.float64(dense[i, s])
    else:  # the product is rounded as the problem's floating-point type rounds it
        product = base[i, k] * retention[i if retention.shape[0] > 1 else 0, s]
        utility = np.float64(min(np.float64(product), 1.0))
    return utility, models[k, 0] * t_in + models[k, 1] * t_out, models[k, 2] + sizes[s] * (t_in + t_out)


@njit(cache=True, nogil=True, small=True)
def recount(states: Array, groups: Array, n_groups: int, raw: Raw) -> tuple[int, float, float, float, float]:
    """Sum up an assignment `states` (N,); `groups` (N,) are codes from 0 to `n_groups` - 1, or empty.

    Returns
    -------
    tuple
        The first query whose state is unknown, forbidden or does not fit its window (-1 if there is none), utility,
        and cost without shared prompts, amortized, and realized if no queries are in conflict, but for writes.
    """
    models, sizes = raw.models, raw.sizes
    owner, prompt, share = tables(raw)
    members = np.zeros((n_groups, sizes.size), dtype=np.int64)
    utility, utility_error, own, own_error = 0.0, 0.0, 0.0, 0.0
    utilities, paid = np.empty(TILE), np.empty(TILE)
    for begin in range(0, states.size, TILE):
        rows = min(TILE, states.size - begin)
        for r in range(rows):  # by themselves, these reads do not wait for the sums
            i = begin + r
            s = states[i]
            if s < 0 or s >= sizes.size:
                return i, 0.0, 0.0, 0.0, 0.0
            k = owner[s]
            utilities[r], paid[r], tokens = query_in(i, k, s, raw)
            if tokens > models[k, 3] * LENIENT or utilities[r] < 0.0:
                return i, 0.0, 0.0, 0.0, 0.0
            members[groups[i] if groups.size > 0 else 0, s] += 1
        for r in range(rows):
            utility, utility_error = plus(utility, utility_error, utilities[r])
            own, own_error = plus(own, own_error, paid[r])
    own += own_error
    amortized = realized = own
    for s in range(sizes.size):
        queries, calls = 0, 0
        for g in range(n_groups):
            queries += members[g, s]
            calls += (members[g, s] + sizes[s] - 1) // sizes[s]
        amortized += share[s] * queries
        realized += prompt[s] * calls
    return -1, utility + utility_error, own, amortized, realized


@njit(cache=True, nogil=True)
def inspect(  # wide: the arrays of the calls, and those of the plan
    order: Array, starts: Array, columns: Array, states: Array, groups: Array, n_groups: int, sizes: Array
) -> tuple[str, int, Array, Array]:
    """Look at each call of an assignment (N,): `order` holds their queries, `starts` where each begins and ends.

    Returns
    -------
    tuple
        What is wrong with a call ("size", "query", "state", "group"), that no call holds a query ("missing") or two
        do ("twice"), or nothing (""); the number of that call or query; how many calls there are of each group in each
        state: (groups, S); and the call of each query: (N,).
    """
    call_of = np.full(states.size, -1, dtype=np.int64)
    counts = np.zeros((n_groups, sizes.size), dtype=np.int64)
    for call in range(columns.size):
        s, begin, end = columns[call], starts[call], starts[call + 1]
        if s < 0 or s >= sizes.size:
            return "state", call, counts, call_of
        if begin < 0 or end <= begin or end - begin > sizes[s] or end > order.size:
            return "size", call, counts, call_of
        first = order[begin]
        for j in range(begin, end):
            i = order[j]
            if i < 0 or i >= states.size:
                return "query", call, counts, call_of
            if states[i] != s:
                return "state", call, counts, call_of
            if groups.size > 0 and groups[i] != groups[first]:
                return "group", call, counts, call_of
            if call_of[i] >= 0:
                return "twice", i, counts, call_of
            call_of[i] = call
        counts[groups[first] if groups.size > 0 else 0, s] += 1
    for i in range(states.size):
        if call_of[i] < 0:
            return "missing", i, counts, call_of
    return "", -1, counts, call_of


@njit(cache=True, nogil=True, inner=True)
def compare(  # wide: one number of a state each
    utility: Array, kept: float, prompt: float, size: float, limit: float,
    price: float, share: float, added: float, lane: Array,
) -> None:  # fmt: skip
    """Compare one state of a tile's queries with what is best so far: at a price, and of what may be paid."""
    for r in range(TILE):
        value = min(np.float64(utility[r] * kept), 1.0)
        value = value if prompt + size * lane[TOKENS + r] <= limit else -np.inf
        profit = value - price * (lane[OWN + r] + share)
        lane[BEST + r] = profit if profit > lane[BEST + r] else lane[BEST + r]
        value = value if lane[OWN + r] + added <= lane[MOST + r] else -np.inf
        lane[TOP + r] = value if value > lane[TOP + r] else lane[TOP + r]


@njit(inline="always", inner=True)
def better_state(
    i: int, here: int, top: float, most: float, least: float, owner: Array, added: Array, raw: Raw
) -> tuple[int, float]:
    """Return the first state in which a query, now `here`, gains more than `least` for at most `most`; -1 if none.

    It gains less than that where its greatest utility for that cost, `top`, but for rounding of windows, is too low.
    """
    utility, _, _ = query_in(i, owner[here], here, raw)
    for s in range(added.size if top > utility + least else 0):
        k = owner[s]
        value, paid, used = query_in(i, k, s, raw)
        if value > utility + least and paid + added[s] <= most and used <= raw.models[k, 3]:
            return s, value - utility
    return -1, 0.0


@njit(cache=True, nogil=True, small=True)
def weigh(
    spend: float, price: float, states: Array, slack: float, least: float, by_share: bool, raw: Raw
) -> tuple[float, int, int, float]:
    """Look at every state of every query once: for the bound at a price, and for a better state.

    Parameters
    ----------
    spend
        What the whole budget is worth at the price.
    price
        Utility per millionth of a USD.
    states
        A checked assignment (N,), or empty: then no better state is looked for.
    slack
        What the assignment leaves of the budget.
    least
        Gain of utility above which a state is better.
    by_share
        Whether a query pays its share of a full call as expected; else it may begin the first call of its new state,
        and saves none, and the bound counts the least that calls can be billed.

    Returns
    -------
    tuple
        `spend` plus every query's greatest utility less price times amortized cost. Then the first query that can
        move alone to a better state within the budget, that state and the gain; -1, -1 and 0 if there is none.
    """
    dense, base, retention, inputs, outputs, models, sizes = raw
    owner, share, added = charged(by_share, raw)
    source = dense if dense.shape[0] > 0 else base
    # a row for each state, or for each model and one more; of the problem's type, so that products round as there
    turned = np.zeros((source.shape[1] + 1, TILE), dtype=source.dtype)
    one = np.ones(1, dtype=source.dtype)[0]
    lane = np.zeros(5 * TILE)
    bound, error = spend, 0.0
    query, state, gain = -1, -1, 0.0
    for begin in range(0, inputs.shape[0], TILE):
        end = min(begin + TILE, inputs.shape[0])
        rows = end - begin
        # views of the tile: an index into them needs no check against negative numbers
        source_, inputs_, outputs_ = source[begin:end], inputs[begin:end], outputs[begin:end]
        for r in range(rows):  # in the order in which they stand in memory
            for j in range(source.shape[1]):
                turned[j, r] = source_[r, j]
        for r in range(TILE):
            lane[BEST + r] = lane[TOP + r] = lane[MOST + r] = -np.inf
        if states.size > 0 and query < 0:
            for r in range(rows):
                s = states[begin + r]
                k = owner[s]
                t_in = np.float64(inputs_[r, k if inputs.shape[1] > 1 else 0])
                t_out = np.float64(outputs_[r, k if outputs.shape[1] > 1 else 0])
                lane[MOST + r] = slack + (models[k, 0] * t_in + models[k, 1] * t_out) + (share[s] if by_share else 0.0)
        for s in range(sizes.size):
            k = owner[s]
            if s == 0 or k > owner[s - 1]:
                i, o = k if inputs.shape[1] > 1 else 0, k if outputs.shape[1] > 1 else 0
                price_in, price_out = models[k, 0], models[k, 1]
                for r in range(rows):
                    t_in, t_out = np.float64(inputs_[r, i]), np.float64(outputs_[r, o])
                    lane[OWN + r] = price_in * t_in + price_out * t_out
                    lane[TOKENS + r] = t_in + t_out
            j, kept = s, one
            if dense.shape[0] == 0 and retention.shape[0] == 1:
                j, kept = k, retention[0, s]
            elif dense.shape[0] == 0:
                j = source.shape[1]
                for r in range(rows):
                    turned[j, r] = source_[r, k] * retention[begin + r, s]
            compare(
                turned[j], kept, models[k, 2], np.float64(sizes[s]), models[k, 3] * LENIENT,
                price, share[s], added[s], lane,
            )  # fmt: skip
        for r in range(rows):
            bound, error = plus(bound, error, lane[BEST + r])
            if lane[TOP + r] <= least or query >= 0:
                continue
            i, top, most = begin + r, lane[TOP + r], lane[MOST + r]
            state, gain = better_state(i, states[i], top, most, least, owner, added, raw)
            query = i if state >= 0 else -1
    return bound + error, query, state, gain


@njit(cache=True, nogil=True, small=True)
def cheapest(raw: Raw) -> Array:
    """Return every query's state of least amortized cost that is not forbidden and fits its window: (N,)."""
    dense, _, _, inputs, outputs, models, sizes = raw
    owner, _, share = tables(raw)
    states = np.zeros(inputs.shape[0], dtype=np.int64)
    for i in range(states.size):
        least = np.inf
        for s in range(sizes.size):
            k = owner[s]
            t_in = np.float64(inputs[i, k if inputs.shape[1] > 1 else 0])
            t_out = np.float64(outputs[i, k if outputs.shape[1] > 1 else 0])
            cost = models[k, 0] * t_in + models[k, 1] * t_out + share[s]
            forbidden = dense.shape[0] > 0 and dense[i, s] < 0.0
            if cost < least and not forbidden and models[k, 2] + sizes[s] * (t_in + t_out) <= models[k, 3]:
                states[i], least = s, cost
    return states
