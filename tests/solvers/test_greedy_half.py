"""Under amortized cost, greedy has at least half of the greatest utility."""

from __future__ import annotations

import numpy as np
import pytest

from robatch import FAMILIES, KNAPSACK_FAMILIES, Problem, generate, solve


@pytest.mark.parametrize("family", [*FAMILIES, *KNAPSACK_FAMILIES])
def test_generated_problems_lose_at_most_half(family: str) -> None:
    for seed in range(4):
        problem = generate(family, 10, 3, (1, 4), seed=seed)
        for fraction in (0.02, 0.3, 0.6, 0.65, 0.9):
            budget = problem.budget_at(fraction)
            greedy, exact = (solve(problem, budget, name, "amortized") for name in ("greedy", "exact"))
            assert greedy.utility >= 0.5 * exact.utility - 1e-12  # type: ignore[operator]
            assert greedy.bound >= exact.utility - 1e-12  # type: ignore[operator]


def test_one_giant_beside_a_crumb_is_taken() -> None:
    problem = Problem.from_mckp([[0, 2], [0, 100]], [[0, 1], [0, 100]], 100)
    assert solve(problem, solver="greedy").profit == 100


@pytest.mark.parametrize("seed", range(3))
def test_states_beyond_the_budget_do_not_hide_what_it_pays_for(seed: int) -> None:
    """Of each class, the hull leads from nothing past the only item that fits to one that never does."""
    rng = np.random.default_rng(seed)
    small = rng.integers(1, 5, 8)
    profits = [[0, p, 1000] for p in small.tolist()]
    problem = Problem.from_mckp(profits, [[0, 1, 9] for _ in profits], 8)
    plan = solve(problem, solver="greedy")
    assert plan.profit == small.sum()
    assert plan.bound is not None
    assert problem.profit(plan.bound) == pytest.approx(small.sum())
