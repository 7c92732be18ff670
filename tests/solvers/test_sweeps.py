"""The kernels that read a whole problem, against naive oracles in float64: their screen in float32 decides nothing."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from robatch.instances import Model, Problem
from robatch.instances.kernels import flat
from robatch.solvers.bounds import relaxation_kernels

pytestmark = pytest.mark.nojit

SCALES = [1.0, 1.0, 1.0, 1e-290, 1e-33, 1e-25, 1e10]  # of prices
SEEDS = range(60)


def random_problem(seed):
    """Dense or factored, with or without ties, windows, per-model tokens, free models, and prices of any size."""
    rng = np.random.default_rng(seed)
    n, scale = int(rng.choice([1, 5, 63, 64, 65, 150])), float(rng.choice(SCALES))
    dtype = np.float32 if seed % 2 else np.float64
    sizes = [(4,)] if seed % 11 == 10 else [(1, 4, 16), (2,), (1, 3)]
    prices = rng.choice([0.5, 1.0], (3, 2)) if seed % 5 == 0 else rng.uniform(0.1, 9, (3, 2))
    free = [2, 1, 1][seed % 3] if seed % 7 < 2 else 3  # the first model that costs nothing
    prices[free:] = 0.0
    models = [Model(f"m{k}", *(prices[k] * scale), int(rng.integers(0, 500)), None, b) for k, b in enumerate(sizes)]
    if seed % 3 == 1 and len(models) > 1:  # the larger batches of the longer queries do not fit
        models[0] = models[0].replace(context_window=int(models[0].shared_tokens + 500))
        models[2] = models[2].replace(context_window=int(models[2].shared_tokens + 400))
    states, per_model = sum(map(len, sizes)), len(models)
    draw = (lambda *shape: rng.choice([40.0, 80.0], shape)) if seed % 5 == 0 else (lambda *s: rng.uniform(1, 300, s))
    inputs, outputs = draw(n, per_model if seed % 4 == 3 else 1), draw(n, per_model if seed % 6 > 3 else 1)
    if seed % 4 < 2:
        utility = rng.random((n, states))
        utilities = {"utility": (np.rint(4 * utility) / 4 if seed % 5 == 0 else utility).astype(dtype)}
    else:
        base = rng.random((n, per_model)).astype(dtype)
        kept = 1 - 0.5 * rng.random((n if seed % 3 == 0 else 1, states)).astype(dtype)
        if seed % 8 > 5:
            kept *= 1.8  # above 1, where base utilities leave room for it
            base = np.minimum(base, dtype(1 / 1.8))
        if seed % 12 > 5:
            base[:: max(1, n // 7)] = 1.0
            kept = np.minimum(kept, dtype(1.0))
            kept[:, 0] = 1 + 5e-7  # rounding of a profile: clipped at 1
        utilities = {"base_utility": base, "retention": kept}
    problem = Problem(models, inputs, outputs, **utilities)
    if seed % 8 == 4:  # rows whose states lie on a line, to rounding
        cost = problem.amortized_costs()
        problem = problem.replace(utility=cost / cost.max())
    return problem


def table(problem):
    """USD and utility of each query in each state, utility -inf where it is not allowed: (N, S), float64."""
    utility = problem.utilities().astype(np.float64)
    return problem.amortized_costs(), np.where(problem.allowed(), utility, -np.inf)


def typical_price(problem):
    """A price at which many queries waver."""
    cost, utility = table(problem)
    utility = np.where(utility == -np.inf, np.nan, utility)
    run, rise = cost[:, :, None] - cost[:, None, :], utility[:, :, None] - utility[:, None, :]
    some = (run > 0) & (rise > 0)
    return float(np.median(rise[some] / run[some])) if some.any() else 1.0


def blurred(problem, price, seed):
    """Make two states of many queries so nearly equal at a price that float32 cannot tell them apart."""
    rng = np.random.default_rng(seed)
    cost, utility = table(problem)
    dense = None if problem.utility is None else problem.utility.copy()
    base = None if problem.base_utility is None else problem.base_utility.copy()
    for i in range(problem.n_queries):
        best = np.argsort(-(utility[i] - price * cost[i]))
        if len(best) < 2 or utility[i, best[1]] == -np.inf or rng.random() < 0.3:
            continue
        s, t = best[:2]
        goal = utility[i, s] + price * (cost[i, t] - cost[i, s]) + rng.normal() * 10 ** rng.uniform(-12, -5)
        k = problem.state_model[t]
        if dense is not None:
            dense[i, t] = goal if 0 <= goal <= 1 else dense[i, t]
        elif k != problem.state_model[s]:
            kept = problem.retention[i % len(problem.retention)]
            most = min(1.0, 1 / kept[problem.state_model == k].max())
            base[i, k] = goal / kept[t] if 0 <= goal / kept[t] <= most else base[i, k]
    return problem.replace(utility=dense, base_utility=base)


def check_steps(problem, high, low):
    """Check every step that `steps` finds, and that none is missing, by what is best at which price."""
    cost, utility = table(problem)
    rows, arrays = np.arange(len(cost)), flat(problem)
    states = np.full(len(cost), -1, dtype=np.int16)
    query, state, slope, extra, gain, sums = relaxation_kernels.steps(
        0, len(cost), high, low, arrays.plain, states, arrays
    )
    if high < np.inf:
        assert np.array_equal(states, np.argmax(utility - high * cost, axis=1))
    else:
        least = np.where(utility == -np.inf, np.inf, cost).min(axis=1, keepdims=True)
        assert np.array_equal(cost[rows, states], least[:, 0])
        assert np.array_equal(utility[rows, states], np.where(cost == least, utility, -np.inf).max(axis=1))
    first = cost[rows, states]
    for total, parts in zip(sums, (first, utility[rows, states], first**2), strict=True):
        assert total.sum() == pytest.approx(math.fsum(parts), rel=1e-14, abs=0)
    assert query.tolist() == sorted(query)
    last, steepest = states.astype(int), np.full(len(cost), np.inf)
    for i, s, incline in zip(query, state, slope, strict=True):
        run, rise = cost[i, s] - cost[i, last[i]], utility[i, s] - utility[i, last[i]]
        assert min(run, rise) > 0
        assert incline == min(steepest[i], rise / run) > low
        assert_best(cost[i], utility[i], last[i], incline)
        assert_best(cost[i], utility[i], s, incline)
        last[i], steepest[i] = s, incline
    assert np.array_equal(extra, cost[query, state] - cost[query, states[query]])
    assert np.array_equal(gain, utility[query, state] - utility[query, states[query]])
    for i in rows:
        assert_best(cost[i], utility[i], last[i], low)


def assert_best(cost, utility, state, price):
    """No state is better at the price, but for rounding."""
    worth = utility - price * cost
    assert worth[state] >= worth.max() - 1e-15 * (1 + 8 * price * cost[state])


@pytest.mark.parametrize("seed", SEEDS)
def test_steps_lead_up_the_hulls(seed):
    problem = random_problem(seed)
    price = typical_price(problem)
    for high in (np.inf, 20 * price, 1.01 * price, price * (1 + 1e-7)):
        for low in (price, price * (1 - 1e-7), price / 2, price / 20, 0.0):
            check_steps(problem, high, low)


@pytest.mark.parametrize("seed", SEEDS)
def test_steps_where_float32_is_blind(seed):
    price = typical_price(random_problem(seed))
    problem = blurred(random_problem(seed), price, seed)
    for high, low in ((price, price / 2), (2 * price, price), (8 / 7 * price, price), (1.001 * price, 0.999 * price)):
        check_steps(problem, high, low)


@pytest.mark.parametrize("seed", SEEDS)
def test_near_finds_every_state_that_loses_little(seed):
    typical = typical_price(random_problem(seed))
    problem = blurred(random_problem(seed), typical, seed)
    cost, utility = table(problem)
    n, arrays, states = len(cost), flat(problem), np.argmax(utility, axis=1)
    for price, most in ((typical, 1e-8), (typical, 1e-7), (typical, 1e-2), (0.0, 0.1), (3 * typical, 0.0)):
        worth = utility - price * cost
        losses = worth.max(axis=1, keepdims=True) - worth
        wanted = (losses <= most) & (np.sum(losses <= most, axis=1, keepdims=True) > 1)
        rows, columns = np.nonzero(wanted)
        query, state, loss, extra, gain = relaxation_kernels.near(
            0, n, price, most, 10**6, arrays.plain, states, arrays
        )
        assert np.array_equal([query, state, loss], [rows, columns, losses[wanted]])
        assert np.array_equal(extra, cost[rows, columns] - cost[rows, states[rows]])
        assert np.array_equal(gain, utility[rows, columns] - utility[rows, states[rows]])


def test_near_ends_where_there_are_too_many():
    problem = Problem([Model("a", 1, 1)], [1.0] * 1000, [1.0] * 1000, utility=np.full((1000, 6), 0.5))
    arrays, states = flat(problem), np.zeros(1000, dtype=np.int64)
    assert len(relaxation_kernels.near(0, 1000, 0.0, 0.1, 10**6, arrays.plain, states, arrays)[0]) == 6000
    assert 100 < len(relaxation_kernels.near(0, 1000, 0.0, 0.1, 100, arrays.plain, states, arrays)[0]) <= 100 + 64 * 6


@pytest.mark.parametrize("seed", SEEDS)
def test_margins_are_over_the_next_best_state(seed):
    problem = random_problem(seed)
    cost, utility = table(problem)
    n, arrays, price = len(cost), flat(problem), typical_price(problem)
    worth = utility - price * cost
    states = np.argmax(worth if seed % 2 else utility, axis=1)
    margin, other = np.zeros(n), np.zeros(n, dtype=np.int64)
    relaxation_kernels.margins(0, n, price, states, margin, other, arrays)
    for i in range(n):
        best = np.delete(worth[i], states[i]).max(initial=-np.inf)
        assert margin[i] == worth[i, states[i]] - best
        assert other[i] != states[i]
        assert other[i] == -1 if best == -np.inf else worth[i, other[i]] == best


@pytest.mark.parametrize("seed", SEEDS)
def test_histogram_counts_steps_by_slope(seed):
    """From the bins down to an edge, the best worth at the price of that edge follows."""
    problem = random_problem(seed)
    (cost, utility), price = table(problem), typical_price(problem)
    for shift, spread in ((48, 6), (50, 1), (44, 3)):
        lowest = int(np.array([price * 2.0**-spread]).view(np.int64)[0] >> shift)
        bins = 2 * spread << (52 - shift)
        counts = np.tile([0.0, 0.0, np.inf, -np.inf], (bins, 1))
        costs, gains, least, greatest = counts.T
        spent, worth = relaxation_kernels.histogram(0, len(cost), shift, lowest, counts, flat(problem)).sum(axis=1)
        assert worth + gains.sum() == pytest.approx(utility.max(axis=1).sum(), rel=1e-12)
        mean = gains[costs > 0] / costs[costs > 0]
        assert (least[costs > 0] * (1 - 1e-12) <= mean).all()
        assert (mean <= greatest[costs > 0] * (1 + 1e-12)).all()
        edges = (np.arange(bins) + lowest << shift).view(np.float64)
        for b in range(1, bins, 7):
            edge = edges[b]
            assert greatest[:b].max() < edge <= least[b:].min()
            best = (utility - edge * cost).max(axis=1)
            reached = worth + gains[b:].sum() - edge * (spent + costs[b:].sum())
            assert reached == pytest.approx(best.sum(), rel=1e-11, abs=1e-11 * (1 + edge * cost.sum()))


@pytest.mark.parametrize("seed", range(0, 60, 7))
def test_ranges_of_rows_make_up_the_whole(seed):
    problem = random_problem(seed)
    n, arrays, price = problem.n_queries, flat(problem), typical_price(problem)
    states, whole, parts = np.full(n, -1, dtype=np.int16), np.empty(n, dtype=np.int16), []
    everything = relaxation_kernels.steps(0, n, 2 * price, price, arrays.plain, whole, arrays)
    for begin, end in pairwise([0, n // 3, n // 2, n]):
        before = states[end:].copy()
        parts.append(relaxation_kernels.steps(begin, end, 2 * price, price, arrays.plain, states, arrays))
        assert np.array_equal(states[end:], before)
    assert np.array_equal(states, whole)
    for column, pieces in zip(everything[:5], zip(*(part[:5] for part in parts), strict=True), strict=True):
        assert np.array_equal(np.concatenate(pieces), column)


@pytest.mark.parametrize("seed", range(30))
def test_fill_passes_over_what_does_not_fit(seed):
    rng = np.random.default_rng(seed)
    n, room = 12, float(rng.integers(0, 40))
    query = rng.permutation(np.repeat(np.sort(rng.choice(100, n, replace=False)), rng.integers(1, 4, n)))
    owner = np.unique(query, return_inverse=True)[1]
    step_cost, step_gain = rng.integers(0, 9, len(query)), rng.random(len(query))
    extra, gain = np.zeros(len(query)), np.zeros(len(query))
    for i in range(n):
        extra[owner == i], gain[owner == i] = np.cumsum(step_cost[owner == i]), np.cumsum(step_gain[owner == i])
    state, states = rng.integers(1, 9, len(query)).astype(np.int32), np.zeros(100, dtype=np.int64)
    paid, won, wanted = {}, {}, np.zeros(100, dtype=np.int64)
    for i, s, c, u in zip(query, state, extra, gain, strict=True):
        if sum(paid.values()) - paid.get(i, 0) + c <= room:
            paid[i], won[i], wanted[i] = c, u, s
    used = relaxation_kernels.fill(room, query, owner, state, extra, gain, states)
    assert np.array_equal(states, wanted)
    assert used == pytest.approx((sum(paid.values()), sum(won.values())), rel=1e-14)


def naive_hull(cost, utility):
    """States at the corners: best at some price at which all others are worse, or equal in cost and utility."""
    points = sorted({(c, u) for c, u in zip(cost, utility, strict=True) if u > -np.inf})
    points = [p for p in points if not any(q != p and q[0] <= p[0] and q[1] >= p[1] for q in points)]

    def under(o, p, q):
        return (q[1] - o[1]) * (p[0] - o[0]) >= (p[1] - o[1]) * (q[0] - o[0])

    return [p for a, p in enumerate(points) if not any(under(o, p, q) for o in points[:a] for q in points[a + 1 :])]


@pytest.mark.parametrize("width", [1, 2, 5, 9])
def test_hull_and_ascend_on_rows_full_of_ties(width):
    rng = np.random.default_rng(width)
    order, corner = np.arange(width), np.empty(width, dtype=np.int64)
    for _ in range(300):
        cost, utility = rng.integers(0, 12, width).astype(float), rng.integers(0, 12, width).astype(float)
        utility[rng.random(width) < 0.1] = -np.inf
        if np.isinf(utility).all():
            continue
        corners = naive_hull(cost, utility)
        assert [
            (cost[s], utility[s]) for s in corner[: relaxation_kernels.hull(order, cost, utility, corner)]
        ] == corners
        assert sorted(order) == list(range(width))
        high, low = 0.75 + rng.integers(0, 40) / 3, 0.03 + rng.integers(0, 7) / 10
        inclines = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in pairwise(corners)]
        if any(math.isclose(incline, price) for incline in inclines for price in (high, low)):
            continue  # either state will do
        begin, end = (sum(incline > price for incline in inclines) for price in (high, low))
        path = [(cost[s], utility[s]) for s in corner[: relaxation_kernels.ascend(high, low, cost, utility, corner)]]
        wanted = corners[begin : end + 1]
        assert [p for p in path if p in wanted] == wanted
        for a, p, b in zip(path, path[1:], path[2:], strict=False):  # others lie on the line, to rounding
            level = (b[1] - a[1]) * (p[0] - a[0])
            assert (p[1] - a[1]) * (b[0] - a[0]) == pytest.approx(level, rel=1e-12) or p in wanted


def test_sums_carry_their_rounding_errors():
    total = np.zeros(2)
    for value in (1.0, 1e100, 1.0, -1e100, 1e-30, 3.0):
        relaxation_kernels.add(total, value)
    assert total.sum() == 5.0
