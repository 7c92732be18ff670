"""Every solver at costs of one's own: small problems against brute force, or one sentence that refuses them."""

from __future__ import annotations

import numpy as np
import pytest

from robatch import Constraints, InputError, Model, Problem, solve
from robatch.solvers import solvers


def drawn(seed: int, shared: float = 0.0) -> tuple[Problem, float]:
    """Return a problem of at most 4 queries, and a budget; costs are decimals, whole, or any numbers."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 5))
    window = 1200 if seed % 4 == 3 else None
    models = [Model("a", 1, 2, shared, batch_sizes=(1, 3)), Model("b", 3, 4, shared, window, batch_sizes=(1, 2))]
    costs = rng.random((n, 4))
    costs = (np.round(costs * 1e-3, 7), np.rint(costs * 50), costs)[seed % 3]
    forbidden = rng.random((n, 4)) < 0.15 if seed % 2 else None
    if forbidden is not None:
        forbidden[:, 0] = False
    tokens = rng.integers(1, 500, n) if window else None
    problem = Problem(models, tokens, tokens, rng.random((n, 4)), costs=costs, forbidden=forbidden)
    return problem, problem.budget_at(float(rng.random())) + 1e-12


@pytest.mark.parametrize("name", [one.name for one in solvers() if one.name != "brute-force"])
def test_solvers_agree_with_brute_force(name: str) -> None:
    entry = next(one for one in solvers() if one.name == name)
    for seed in range(6):
        problem, budget = drawn(seed)
        for cost in entry.costs:
            best, plan = (solve(problem, budget, one, cost=cost).utility for one in ("brute-force", name))
            if plan is not None:
                assert best is not None
                assert plan <= best + 1e-12
            assert entry.proves != "optimum" or plan == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_shared_calls_are_kept_by_programs_and_refused_by_others(seed: int) -> None:
    problem, budget = drawn(seed, shared=500.0)
    budget += problem.realized_cost(problem.cheapest_assignment)
    assert solve(problem, budget).utility == pytest.approx(solve(problem, budget, "brute-force").utility)
    for name in ("greedy", "exact", "pareto"):
        with pytest.raises(InputError, match=f"solver '{name}' cannot keep costs of one's own, where calls are shared"):
            solve(problem, budget, name)
    limited = problem.replace(constraints=Constraints(max_queries={"a": 1}))
    with pytest.raises(InputError, match="cannot keep costs of one's own"):
        solve(limited, budget, "greedy", cost="amortized")
