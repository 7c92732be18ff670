"""How close the realized scheduler comes to proven optima."""

from __future__ import annotations

import numpy as np
import pytest

from robatch.instances import generate
from robatch.solvers import solve


@pytest.mark.parametrize("queries", [20, 50])
def test_median_loss(queries):
    losses = []
    for seed in range(3):
        problem = generate("realistic", queries=queries, models=4, batch_sizes=(1, 2, 4, 8, 16, 32), seed=seed)
        for fraction in (0.1, 0.3, 0.6):
            budget = problem.budget_at(fraction)
            plan = solve(problem, budget, "greedy", cost="realized")
            best = solve(problem, budget, "exact", cost="realized")
            assert best.status == "optimal"
            assert plan.utility <= best.utility * (1 + 1e-9)
            assert plan.bound >= best.utility * (1 - 1e-9)
            losses.append(1 - plan.utility / best.utility)
    assert np.median(losses) <= (5e-4 if queries == 20 else 3e-4)


def test_tiny_problems_are_nearly_always_solved():
    missed, count = 0, 0
    for seed in range(120):
        rng = np.random.default_rng(seed)
        family = ("realistic", "uncorrelated", "weakly-correlated", "ties")[seed % 4]
        problem = generate(family, queries=int(rng.integers(1, 6)), models=2, batch_sizes=(1, 2, 4), seed=seed)
        budget = problem.budget_at(float(rng.random())) * float(rng.uniform(1.0, 1.5))
        best = solve(problem, budget, "brute-force", cost="realized")
        plan = solve(problem, budget, "greedy", cost="realized")
        if best.utility is None:
            assert plan.utility is None
            continue
        count += 1
        missed += plan.utility is None or plan.utility < best.utility * (1 - 1e-9)
    assert count > 60
    assert missed <= 0.05 * count


def test_a_bound_that_knows_of_whole_calls_is_lower():
    problem = generate("realistic", queries=100, models=4, batch_sizes=(1, 2, 4, 8, 16, 32), seed=0)
    budget = problem.budget_at(0.1)
    linear = solve(problem, budget, "greedy", cost="amortized").bound
    assert solve(problem, budget, "greedy", cost="realized").bound < linear * (1 - 1e-3)
