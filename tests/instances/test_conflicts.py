"""Counting calls under conflicts: never too few, the true minimum where it is promised, the same every time."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robatch.instances import Model, Problem
from robatch.instances.conflict_kernels import EXACT
from robatch.instances.conflicts import conflict_calls

pytestmark = pytest.mark.nojit


def edges_of(pairs):
    found = sorted({(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]})
    return np.array(found, dtype=np.int64).reshape(-1, 2)


def seat(n, size, edges, method=2):
    """Seat n queries of one cell."""
    return conflict_calls(edges, np.zeros(n, dtype=np.int64), None, np.array([size]), np.array([[n]]), method)


def fewest(n, size, edges):
    """Return the fewest calls by dynamic programming over sets of queries, which shares nothing with the kernels."""
    barred = [0] * n
    for one, other in edges.tolist():
        barred[one] |= 1 << other
        barred[other] |= 1 << one

    def alone(group):
        return not any(group >> i & 1 and barred[i] & group for i in range(n))

    legal = [group.bit_count() <= size and alone(group) for group in range(1 << n)]

    @cache
    def least(left):
        if left == 0:
            return 0
        rest = left & (left - 1)  # the lowest query's call holds any part of the rest
        lowest, part, best = left ^ rest, rest, n
        while True:
            if legal[part | lowest]:
                best = min(best, 1 + least(rest ^ part))
            if part == 0:
                return best
            part = (part - 1) & rest

    return least((1 << n) - 1)


def check(found, n, size, edges):
    call = np.full(n, -1)
    call[found.queries] = found.call
    assert sorted(found.queries.tolist()) == sorted(set(edges.ravel().tolist()))
    assert (call[edges[:, 0]] != call[edges[:, 1]]).all()
    assert np.bincount(found.call).max() <= size
    assert found.calls[0] >= max(-(-n // size), found.call.max() + 1)


small = st.integers(2, 8).flatmap(
    lambda n: st.tuples(
        st.just(n),
        st.integers(2, 5),
        st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=n * n),
    )
)


@settings(deadline=None)
@given(small)
def test_small_cells_need_exactly_the_fewest_calls(case):
    n, size, pairs = case
    edges = edges_of(pairs)
    found = seat(n, size, edges)
    if len(edges) == 0:
        assert found is None
        return
    check(found, n, size, edges)
    assert found.calls[0] == fewest(n, size, edges)
    for method in (0, 1):
        rough = seat(n, size, edges, method)
        check(rough, n, size, edges)
        assert rough.calls[0] >= found.calls[0]


@pytest.mark.parametrize("seed", range(12))
def test_as_many_conflicting_queries_as_promised_are_packed_exactly(seed):
    rng = np.random.default_rng(seed)
    size = int(rng.integers(2, 6))
    one, other = np.triu_indices(EXACT, 1)
    kept = rng.random(len(one)) < (0.1, 0.2, 0.3, 0.5, 0.7, 0.9)[seed % 6]
    edges = np.stack([one[kept], other[kept]], axis=1)
    found = seat(EXACT, size, edges)
    check(found, EXACT, size, edges)
    assert found.calls[0] == fewest(EXACT, size, edges)


@pytest.mark.parametrize(("n", "size", "density", "method"), [(40, 4, 0.3, 2), (300, 8, 0.05, 2), (300, 8, 0.9, 1)])
def test_larger_cells_are_legal_and_the_same_every_time(n, size, density, method):
    rng = np.random.default_rng(n)
    one, other = np.triu_indices(n, 1)
    kept = rng.random(len(one)) < density
    edges = np.stack([one[kept], other[kept]], axis=1)
    found, again = seat(n, size, edges, method), seat(n, size, edges, method)
    check(found, n, size, edges)
    assert all(np.array_equal(a, b) for a, b in zip(found, again, strict=True))
    assert found.calls[0] <= seat(n, size, edges, 0).calls[0]


def test_a_clique_takes_a_call_each_and_a_hub_one_of_its_own():
    clique = np.stack(np.triu_indices(100, 1), axis=1)
    assert seat(100, 8, clique).calls[0] == 100
    hub = np.stack([np.zeros(80, dtype=np.int64), np.arange(1, 81)], axis=1)
    assert seat(81, 8, hub).calls[0] == 11
    assert seat(88, 8, hub).calls[0] == 11  # seven queries without conflicts share its call


def problem(n=6, **changes):
    models = [Model("a", 1, 1, 1000, batch_sizes=(1, 4)), Model("b", 2, 2, 1000, batch_sizes=(2,))]
    return Problem(models, [10] * n, [1] * n, utility=np.full((n, 3), 0.5), **changes)


def test_call_counts_follow_conflicts_within_a_cell_only():
    apart = problem(conflicts=[(0, 1), (2, 3), (0, 5)])
    assert apart.call_counts([1, 1, 1, 1, 1, 1]).tolist() == [[0, 2, 0]]  # two calls suffice anyway
    assert apart.call_counts([1, 1, 2, 2, 0, 0]).tolist() == [[2, 2, 2]]
    assert apart.call_counts([1, 2, 1, 2, 1, 2]).tolist() == [[0, 1, 2]]
    grouped = apart.replace(groups=[0, 1, 0, 0, 0, 0])
    assert grouped.call_counts([1, 1, 1, 0, 0, 0]).tolist() == [[3, 1, 0], [0, 1, 0]]


def test_realized_cost_pays_for_the_calls_that_conflicts_need():
    apart = problem(conflicts=[(0, 1), (0, 2), (1, 2)])
    states = [1, 1, 1, 1, 1, 1]
    plain, split = problem().evaluate(states), apart.evaluate(states)
    assert (plain.calls.sum(), split.calls.sum()) == (2, 3)
    assert split.realized_cost == pytest.approx(plain.realized_cost + 1000 * 1e-6, rel=1e-12)
    assert (split.utility, split.amortized_cost) == (plain.utility, plain.amortized_cost)


@pytest.mark.parametrize("seed", range(10))
def test_sets_of_duplicates_are_packed_exactly_at_any_size(seed):
    rng = np.random.default_rng(seed)
    size, n = int(rng.integers(2, 9)), 300
    label = np.repeat(np.arange(n), rng.integers(1, 12, n))[:n]
    one, other = np.triu_indices(n, 1)
    kept = label[one] == label[other]
    edges = np.stack([one[kept], other[kept]], axis=1)
    found = seat(n, size, edges, 1)
    check(found, n, size, edges)
    assert found.calls[0] == max(-(-n // size), np.bincount(label).max())
