"""The parts of the exact search against tiny enumerations, in whole numbers wherever nothing may be rounded."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from robatch.instances import Model, Problem, generate
from robatch.instances.kernels import flat
from robatch.solvers.bounds.granularity import grade, lower_to_grade
from robatch.solvers.bounds.relaxation import DUAL_ROUNDING  # bounds stand above sums by that much
from robatch.solvers.exact import core_kernels as core
from robatch.solvers.exact.item_aggregation import bundle

pytestmark = pytest.mark.nojit


@pytest.mark.parametrize("seed", range(40))
def test_classes_hold_every_state_once(seed):
    rng = np.random.default_rng(seed)
    queries = np.sort(rng.choice(50, rng.integers(1, 9), replace=False))
    rows = [(q, s) for q in queries.tolist() for s in sorted(rng.choice(9, rng.integers(2, 5), replace=False).tolist())]
    query, state = np.array([q for q, _ in rows]), np.array([s for _, s in rows], dtype=np.int32)
    loss, extra, gain = rng.integers(0, 5, len(rows)) / 4, rng.integers(1, 9, len(rows)) * 1.0, rng.random(len(rows))
    bases = {}
    for q in queries.tolist():
        places = np.flatnonzero(query == q)
        bases[q] = places[np.argmin(loss[places])]
        if rng.random() < 0.5:  # the state that is counted from
            bases[q] = rng.choice(places)
            loss[bases[q]] = extra[bases[q]] = gain[bases[q]] = 0.0
    least = {q: min(loss[j] for j in np.flatnonzero(query == q) if j != base) for q, base in bases.items()}
    found = core.classes(query, state, loss, extra, gain)
    of, base, lowest, first, item_state, item_extra, item_gain, cost, worth = found
    assert of.tolist() == sorted(bases, key=lambda q: (least[q], q))
    assert lowest.tolist() == [least[q] for q in of.tolist()]
    assert base.tolist() == [state[bases[q]] for q in of.tolist()]
    for c, q in enumerate(of.tolist()):
        items = np.flatnonzero((query == q) & (np.arange(len(query)) != bases[q]))
        part = slice(first[c], first[c + 1])
        assert np.array_equal(item_state[part], state[items])
        assert np.array_equal(item_extra[part], extra[items] - extra[bases[q]])
        assert np.array_equal(item_gain[part], gain[items] - gain[bases[q]])
    assert cost == sum(extra[j] for j in bases.values())
    assert worth == pytest.approx(sum(gain[j] for j in bases.values()), rel=1e-14)


def staircase(rng, most):
    """A list of partial plans: by rising cost and utility."""
    size = int(rng.integers(1, most))
    steps = [np.cumsum(rng.integers(1, 4, size)) + int(rng.integers(-9, 3)) for _ in range(2)]
    return [np.array(step, dtype=float) for step in steps]


@pytest.mark.parametrize("seed", range(200))
def test_merge_keeps_what_nothing_dominates(seed):
    rng = np.random.default_rng(seed)
    (cost, worth), (other_cost, other_worth) = staircase(rng, 12), staircase(rng, 12)
    run, rise, price = float(rng.integers(-4, 9)), float(rng.integers(-4, 9)), float(rng.choice([0.5, 1.0, 2.0]))
    limit, room = float(rng.choice([3, 8, np.inf])), float(rng.integers(-2, 25))
    window, up, down = float(rng.choice([4, np.inf])), float(rng.integers(0, 9)), -float(rng.integers(0, 9))
    plans = [(c, w, n, 70) for n, (c, w) in enumerate(zip(cost, worth, strict=True))]
    plans += [(c + run, w + rise, n, 7) for n, (c, w) in enumerate(zip(other_cost, other_worth, strict=True))]
    plans = [plan for plan in plans if abs(plan[0]) <= window and plan[0] + down <= room]
    plans = [plan for plan in plans if max(0.0, price * (room - plan[0] - up)) < limit - price * plan[0] + plan[1]]
    points = sorted({(c, w) for c, w, _, _ in plans})
    points = [p for p in points if not any(q != p and q[0] <= p[0] and q[1] >= p[1] for q in points)]

    def merge(capacity):
        space = lists(capacity, 1)
        for row, columns in enumerate(((cost, worth), (other_cost, other_worth))):
            for array, column in zip(space[:3], (*columns, np.arange(len(columns[0]))), strict=True):
                array[row, : len(column)] = column
        space.item[0] = 70
        bounds, step = core.Bounds(price, limit, room, window, up, down), core.Step(7, run, rise)
        size = core.merge(0, len(cost), 1, len(other_cost), 2, step, space, bounds)
        return size, list(zip(*(array[2].tolist() for array in space[:4]), strict=True))[: max(size, 0)]

    size, kept = merge(99)
    assert [(c, w) for c, w, _, _ in kept] == points
    assert set(kept) <= set(plans)
    assert size == len(points)
    least = max(len(cost), len(other_cost))  # all lists are of one capacity
    assert merge(max(least, len(points))) == (size, kept)
    if len(points) > least:
        assert merge(len(points) - 1) == (-1, [])


@pytest.mark.parametrize("seed", range(100))
def test_meet_finds_the_best_pair(seed):
    rng = np.random.default_rng(seed)
    lists = [staircase(rng, 15), staircase(rng, 15)]
    room = float(rng.integers(-15, 40))
    cost, worth = np.full((4, 20), np.nan), np.full((4, 20), np.nan)
    for side, (c, w) in enumerate(lists):
        cost[side, : len(c)], worth[side, : len(c)] = c, w
    sizes = len(lists[0][0]), len(lists[1][0])
    pairs = [(a, b) for a in range(sizes[0]) for b in range(sizes[1]) if cost[0, a] + cost[1, b] <= room]
    best, a, b = core.meet(room, *sizes, cost, worth)
    assert best == max((worth[0, a] + worth[1, b] for a, b in pairs), default=-np.inf)
    assert (a, b) in pairs if pairs else (a, b) == (-1, -1)
    assert not pairs or worth[0, a] + worth[1, b] == best


def random_core(rng, count):
    """Classes of items whose losses are whole numbers, in rising order of their least losses."""
    price, classes = float(rng.integers(1, 4)), []
    for _ in range(count):
        extra = rng.integers(-20, 21, rng.integers(1, 4)).astype(float)
        loss = rng.integers(0, 12, len(extra)).astype(float)
        classes.append((loss.min(), extra, price * extra - loss))
    classes.sort(key=lambda one: one[0])
    first = np.cumsum([0, *(len(extra) for _, extra, _ in classes)])
    least, extra, gain = ([one[i] for one in classes] for i in range(3))
    return price, first, np.array(least), np.concatenate(extra), np.concatenate(gain)


def least_shortfall(price, room, first, extra, gain):
    """Of every way to take at most one item of each class within the room: the least that is lost."""
    options = [[(0.0, 0.0), *zip(extra[a:b], gain[a:b], strict=True)] for a, b in itertools.pairwise(first)]
    totals = (map(sum, zip(*chosen, strict=True)) for chosen in itertools.product(*options))
    return min((price * room - worth for cost, worth in totals if cost <= room), default=math.inf)


def begin_search(shortfall, tolerance, cut=np.inf):
    whole, real = np.zeros(7, dtype=np.int64), np.zeros(7)
    whole[[core.SIZE_A, core.SIZE_B, core.NODES]] = 1
    whole[[core.BEST_A, core.BEST_B]] = -1
    real[[core.SHORTFALL, core.TOLERANCE, core.CUT]] = shortfall, tolerance, cut
    return whole, real


def lists(capacity, nodes):
    columns = [np.zeros((4, capacity), dtype=kind) for kind in (float, float, np.int64, np.int64)]
    return core.Lists(*columns, np.zeros(nodes, dtype=np.int32), np.zeros(nodes, dtype=np.int32))


def items_of(whole, parent, taken):
    items = []
    for node in whole[[core.BEST_A, core.BEST_B]].tolist():
        while node > 0:
            items.append(int(taken[node]))
            node = int(parent[node])
    return items


@pytest.mark.parametrize("seed", range(120))
def test_search_equals_enumeration(seed):
    rng = np.random.default_rng(seed)
    price, first, least, extra, gain = random_core(rng, int(rng.integers(1, 7)))
    room, tolerance = float(rng.integers(-10, 40)), float(rng.choice([0.0, 2.5]))
    best = least_shortfall(price, room, first, extra, gain)
    worst = price * room if room >= 0 else 100.0  # the bases are no better than the plan to beat, if they are a plan
    for shortfall in (min(worst, kept) for kept in (100.0, best, best + 1.0, best + 3.0)):
        # sometimes too little space, which grows as the search asks for it
        space, items = lists(*rng.choice([(2, 8), (4, 16), (512, 4096)])), core.Items(first, least, extra, gain)
        whole, real = begin_search(shortfall, tolerance)
        while (code := core.search(price, room, np.inf, items, space, whole, real)) != core.DONE:
            assert code in (core.LISTS_FULL, core.NODES_FULL)
            bigger = lists(4 * space[0].shape[1], 4 * len(space[4]))
            for old, new in zip(space, bigger, strict=True):
                new[..., : old.shape[-1]] = old
            space = bigger
        found, items = real[core.SHORTFALL], items_of(whole, *space[4:])
        assert best <= found or found == shortfall
        assert found - best <= tolerance if best < shortfall else found == shortfall
        if found < shortfall:
            owners = np.searchsorted(first, items, side="right")
            assert len(set(owners.tolist())) == len(items)
            assert extra[items].sum() <= room
            assert price * room - gain[items].sum() == found
        else:
            assert whole[core.BEST_A] == -1


@pytest.mark.parametrize("seed", range(60))
def test_what_is_dropped_is_told(seed):
    """Where lists are cut short, plans that lose less than `CUT` are found still."""
    rng = np.random.default_rng(seed)
    price, first, least, extra, gain = random_core(rng, 6)
    room = float(rng.integers(-9, 10))
    space = lists(int(rng.integers(12, 40)), 65536)
    whole, real = begin_search(50.0, 0.0)
    items = core.Items(first, least, extra, gain)
    while core.search(price, room, np.inf, items, space, whole, real) == core.LISTS_FULL:
        core.drop_worst(6, price, space, whole, real)
        for side in (0, 1):
            size = whole[core.SIZE_A + side]
            assert size <= 6
            assert (price * space[0][side, :size] - space[1][side, :size] < real[core.CUT]).all()
    best, found = least_shortfall(price, room, first, extra, gain), real[core.SHORTFALL]
    assert found == best or min(found, best) >= real[core.CUT]


def test_worst_plans_are_dropped():
    cost, worth = np.array([[0.0, 1, 2, 3, 4], [0, 0, 0, 0, 0]]), np.array([[0.0, -2, 1, 0, 4], [0, 0, 0, 0, 0]])
    node = np.arange(10).reshape(2, 5)
    whole, real = begin_search(9.0, 0.0, cut=8.0)
    whole[core.SIZE_A] = 5  # losses are 0, 3, 1, 3, 0
    unused = np.zeros(1, dtype=np.int32)
    core.drop_worst(4, 1.0, core.Lists(cost, worth, node, node, unused, unused), whole, real)
    assert node[0, : whole[core.SIZE_A]].tolist() == [0, 2, 4]
    assert cost[0, :3].tolist() == [0, 2, 4]
    assert worth[0, :3].tolist() == [0, 1, 4]
    assert real[core.CUT] == 3.0
    assert whole[core.SIZE_B] == 1


@pytest.mark.parametrize("seed", range(60))
def test_bundles_make_every_number_of_copies(seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 40))
    extra = rng.integers(-3, 4, count).astype(float)
    price, limit = 2.0, float(rng.integers(1, 30))
    gain = price * extra - rng.integers(0, 3, count)
    bundles = bundle(price, limit, extra, gain)
    assert (np.diff(bundles.least) >= 0).all()
    assert bundles.least == pytest.approx(price * bundles.cost - bundles.utility)
    types = sorted(set(zip(extra, gain, strict=True)))
    assert len(bundles.begin) == len(types) + 1
    assert sorted(bundles.member.tolist()) == list(range(count))
    for kind, (cost, worth) in enumerate(types):
        members = bundles.member[bundles.begin[kind] : bundles.begin[kind + 1]]
        assert {(extra[j], gain[j]) for j in members} == {(cost, worth)}
        copies = bundles.copies[bundles.kind == kind].tolist()
        assert bundles.cost[bundles.kind == kind].tolist() == [cost * number for number in copies]
        assert bundles.utility[bundles.kind == kind].tolist() == [worth * number for number in copies]
        loss = price * cost - worth
        useful = [n for n in range(1, len(members) + 1) if n * loss <= limit] or [1]
        sums = {sum(some) for size in range(len(copies) + 1) for some in itertools.combinations(copies, size)}
        assert sums == set(range(max(useful) + 1))


@pytest.mark.parametrize("seed", range(60))
def test_items_of_bundles_are_of_distinct_classes(seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 12))
    extra, owner = rng.integers(1, 4, count).astype(float), np.sort(rng.integers(0, 8, count))
    bundles = bundle(1.0, 100.0, extra, extra - 1.0)
    found = np.flatnonzero(rng.random(len(bundles.copies)) < 0.5).tolist()
    items = bundles.items(found, owner)
    wanted = sorted(np.repeat(bundles.cost[found] / bundles.copies[found], bundles.copies[found]).tolist())
    if items is not None:
        assert sorted(extra[items].tolist()) == wanted
        assert len(set(owner[items].tolist())) == len(items)
    else:  # no other items would do, or a walk in order misses them: never where every class has one item
        assert len(set(owner.tolist())) < count
    alone = bundles.items(found, np.arange(count))
    assert sorted(extra[alone].tolist()) == wanted


def test_utilities_that_differ_by_rounding_are_one_type():
    extra, gain = np.array([1.0, 1.0, 1.0]), np.array([0.5, 0.5 + 1e-15, 0.4])
    bundles = bundle(1.0, 9.0, extra, gain)
    assert sorted(bundles.utility.tolist()) == [0.4, 0.5 + 1e-15, 0.5 + 1e-15]
    assert len(set(bundles.kind.tolist())) == 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("parts", [1, 2, 3, 7, 10, 60, 1000])
def test_a_bound_falls_to_the_next_multiple(parts, dtype):
    rng = np.random.default_rng(parts)
    for n in (1, 3, 400):
        grades = rng.integers(0, parts + 1, (n, 6))
        grades[0, 0] = 1  # not a multiple of anything else
        problem = flat(Problem([Model("a", 1, 1)], np.ones(n), np.ones(n), utility=(grades / parts).astype(dtype)))
        reached = math.fsum(problem.dense.max(axis=1).astype(float)) * (1 + DUAL_ROUNDING)  # by a plan
        for part in (0.0, 0.01, 0.5, 0.9):
            bound = reached + part / parts
            lowered = lower_to_grade(problem, bound)
            assert reached * (1 - 2 * DUAL_ROUNDING) <= lowered <= bound
            assert lowered == pytest.approx(grades.max(axis=1).sum() / parts, abs=1e-7 * n + 1e-12 * n)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("worth", [1.0, 0.1, 1 / 3, 1e-8, 1e-16])
def test_plans_of_one_grade_differ_no_more_than_is_said(worth, dtype):
    rng = np.random.default_rng(5)
    utility = (rng.integers(0, 2 if worth == 1.0 else 4, (6, 4)) * worth).astype(dtype)
    step, blur = grade(flat(Problem([Model("a", 1, 1, batch_sizes=(1, 2, 3, 4))], *np.ones((2, 6)), utility=utility)))
    plans = sorted(math.fsum(utility[np.arange(6), rng.integers(0, 4, 6)].tolist()) for _ in range(500))
    apart = np.diff(plans)
    assert ((apart <= blur + 1e-14) | (apart >= step - 1e-14)).all()
    assert blur == 0.0 or worth != 1.0


def test_a_bound_stays_where_there_are_no_grades():
    fine = np.linspace(0, 1, 12).reshape(2, 6)
    fine[0, 0] = 0.123456789
    late = np.ones((600, 6))
    late[-1, -1] = 0.7  # beyond the sample
    for utility in (fine, late):
        problem = flat(Problem([Model("a", 1, 1)], np.ones(len(utility)), np.ones(len(utility)), utility=utility))
        assert lower_to_grade(problem, 1.55) == 1.55
    assert lower_to_grade(flat(generate("realistic", queries=9)), 1.55) == 1.55


@pytest.mark.parametrize("seed", range(40))
def test_a_lowered_bound_is_a_bound_still(seed):
    """No plan in between is lost: all sums of utilities are enumerated."""
    rng = np.random.default_rng(seed)
    parts = int(rng.integers(1, 30))
    utility = rng.integers(0, parts + 1, (5, 2)) / parts
    problem = flat(Problem([Model("a", 1, 1, batch_sizes=(1, 2))], np.ones(5), np.ones(5), utility=utility))
    sums = sorted({math.fsum(chosen) for chosen in itertools.product(*utility.tolist())})
    for bound in [*sums, *(rng.random(20) * 5)]:
        below = [total for total in sums if total <= bound]
        lowered = lower_to_grade(problem, float(bound) * (1 + DUAL_ROUNDING))
        assert lowered <= bound * (1 + DUAL_ROUNDING)
        assert not below or lowered >= below[-1] * (1 - DUAL_ROUNDING)
