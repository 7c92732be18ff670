"""Multiple-choice knapsacks of whole numbers: the optimum of a plain dynamic program, by `Knapsack` and by `solve`."""

from __future__ import annotations

import numpy as np
import pytest

from robatch import KNAPSACK_FAMILIES, Problem, generate, solve
from robatch.instances.arrays import Array
from robatch.instances.kernels import flat
from robatch.solvers.exact import knapsack as exact_knapsack
from robatch.solvers.exact.knapsack import Closed, Knapsack
from robatch.solvers.search_limits import Work


def by_weight(profits: Array, weights: Array, capacity: int) -> float:
    """Return the greatest profit within a capacity, -inf if nothing fits: a table over all weights."""
    table = np.full(capacity + 1, -np.inf)
    table[0] = 0.0
    for p, w in zip(profits, weights, strict=True):
        new = np.full(capacity + 1, -np.inf)
        for profit, weight in zip(p.tolist(), w.astype(int).tolist(), strict=True):
            if weight <= capacity:
                new[weight:] = np.maximum(new[weight:], table[: capacity + 1 - weight] + profit)
        table = new
    return float(table.max())


def drawn(kind: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return profits and weights of one of six kinds, up to 150 classes."""
    k, n = int(rng.integers(1, 30 if rng.random() < 0.7 else 150)), int(rng.integers(2, 12))
    r = int(rng.choice([3, 10, 60, 300]))
    w = rng.integers(int(rng.random() < 0.7), r + 1, (k, n)).astype(float)
    if kind == 0:
        return rng.integers(0, r + 1, (k, n)).astype(float), w
    if kind == 1:
        return np.maximum(w + rng.integers(-3, 4, (k, n)), 0.0), w
    if kind == 2:
        w = np.cumsum(np.sort(w, axis=1), axis=1)
        return w + 10 * np.arange(1, n + 1), w
    if kind == 3:
        return w.copy(), w
    if kind == 4:
        return np.sort(rng.integers(1, r + 1, (k, n)).astype(float), axis=1), np.sort(w, axis=1)
    return 30 * w + 9 * rng.integers(0, 4, (k, n)), 6 * w  # lattices with common divisors


def closed(problem: Problem, capacity: float, work: Work | None = None) -> Closed:
    """Return what is found of a problem that is such a knapsack."""
    found = Knapsack.of(flat(problem), problem.money, problem.money.most(capacity))
    assert found is not None
    return found.solve(work or Work(None, 1))


@pytest.mark.parametrize("kind", range(6))
def test_the_optimum_is_that_of_a_table_over_weight(kind: int) -> None:
    for seed in range(40):
        rng = np.random.default_rng([kind, seed])
        p, w = drawn(kind, rng)
        c = int(rng.integers(w.min(axis=1).sum(), w.max(axis=1).sum() + 1))
        problem = Problem.from_mckp(p, w, c + float(rng.choice([0.0, 0.5])))
        if seed % 3 == 0:
            banned = rng.random(p.shape) < 0.15
            banned[np.arange(len(p)), w.argmin(axis=1)] = False
            problem = problem.replace(forbidden=banned)
            p = np.where(banned, -np.inf, p)
        scale = problem.profit_scale or 1.0
        if seed % 4 == 0:  # utilities that are no dyadic numbers
            scale = 3.0 * max(p.max(), 1.0)
            problem = problem.replace(utility=np.maximum(p, 0.0) / scale)
        want, found, plan = by_weight(p, w, c), closed(problem, c), solve(problem)
        assert found.choice is not None
        rows = np.arange(len(p))
        assert w[rows, found.choice].sum() <= c
        assert p[rows, found.choice].sum() == pytest.approx(want, rel=1e-12)
        assert found.bound * scale == pytest.approx(want, rel=1e-12)
        assert plan.status == "optimal"
        assert plan.utility * scale == pytest.approx(want, rel=1e-12)  # type: ignore[operator]


@pytest.mark.parametrize("family", KNAPSACK_FAMILIES)
@pytest.mark.parametrize(("classes", "largest"), [(100, 1000), (1000, 10_000), (7000, 1000)])
def test_pisingers_classes_are_proven(family: str, classes: int, largest: int) -> None:
    problem = generate(family, classes, 10, seed=1, largest=largest)
    plan = solve(problem)
    assert plan.status == "optimal"
    assert plan.profit == round(plan.profit)  # type: ignore[arg-type]


def test_the_table_and_the_lists_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact_knapsack, "QUICK", 1)
    monkeypatch.setattr(exact_knapsack, "FEW", 10**9)
    for seed in range(10):
        problem = generate("mckp-strongly-correlated", 30, 6, seed=seed, largest=97)
        problem = problem.replace(utility=np.floor(problem.utility * 1024 * 0.9) / 1024)
        capacity = problem.capacity or 0.0
        found = [closed(problem, capacity)]
        monkeypatch.setattr(exact_knapsack, "SPARSE", -1)
        found.append(closed(problem, capacity))
        monkeypatch.setattr(exact_knapsack, "SPARSE", 64)
        assert found[0].utility == found[1].utility == found[0].bound == found[1].bound


def test_without_time_the_bound_still_holds() -> None:
    problem = generate("mckp-strongly-correlated", 40, 10, seed=3, largest=10_000)
    best = solve(problem)
    found = closed(problem, problem.capacity or 0.0, Work(1e-9, 1))
    assert found.choice is not None
    assert found.utility <= (best.utility or 0.0) <= found.bound + 1e-12


@pytest.mark.parametrize("family", ["ties", "strongly-correlated", "subset-sum"])
def test_problems_of_prices_and_tokens_are_knapsacks_too(family: str) -> None:
    problem = generate(family, 12, 3, (1, 4), seed=2)
    for fraction in (0.1, 0.5, 0.9):
        budget = problem.budget_at(fraction)
        plans = [solve(problem, budget, name, "amortized", gap=0.0) for name in ("exact", "highs")]
        assert plans[0].utility == pytest.approx(plans[1].utility, rel=1e-9)
        assert plans[0].status == "optimal"


def test_real_numbers_are_no_such_knapsack() -> None:
    problem = generate("uncorrelated", 50, 2, (1, 2), seed=0)
    assert Knapsack.of(flat(problem), problem.money, problem.money.most(1.0)) is None
    whole = generate("mckp-zig-zag", 50, 4)
    odd = whole.replace(costs=whole.costs + np.pi)  # type: ignore[operator]
    assert Knapsack.of(flat(odd), odd.money, odd.money.most(1e4)) is None
    assert solve(odd, 3e4).status == "optimal"
