"""Small problems that several files of tests draw, and their optima by brute force, each found once in a process."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from robatch.instances import FAMILIES, Problem, generate
from robatch.solvers import Plan, solve

# on the line above `def`: tests of a family then run in one process, which knows the optima (see conftest.py)
each_family = pytest.mark.parametrize("family", sorted(FAMILIES))
SEEDS = range(120)  # of `case`: every combination of what the seed decides comes twice


@cache
def case(family: str, seed: int) -> tuple[Problem, float]:
    """Return a problem of at most 6 queries and a budget; some have groups, windows, factors or float32."""
    rng = np.random.default_rng([seed, sorted(FAMILIES).index(family)])
    problem = generate(
        family,
        queries=int(rng.integers(2, 7)),
        models=int(rng.integers(2, 4)) if family != "from-knapsack" else 2,
        batch_sizes=((1, 2), (1, 3), (2, 4))[seed % 3],
        seed=seed,
        dtype="float32" if seed % 5 == 0 else "float64",
        factored=None if family == "realistic" and seed % 2 else False,
    )
    if seed % 4 == 0:
        problem = problem.replace(groups=rng.integers(0, 2, problem.n_queries))
    if seed % 3 == 0:  # windows that forbid the larger batches of the longer queries
        longest = problem.input_tokens.max(axis=1) + problem.output_tokens.max(axis=1)
        models = [
            model.replace(
                context_window=int(
                    np.ceil(model.shared_tokens + model.batch_sizes[0] * longest.max() + rng.integers(0, 50))
                )
            )
            for model in problem.models
        ]
        problem = problem.replace(models=models)
    fraction = float(rng.random())
    if seed % 10 == 9:  # exactly what some plan costs
        states = np.array([rng.choice(np.flatnonzero(row)) for row in problem.allowed()])
        budget = problem.amortized_cost(states) if seed % 20 == 9 else problem.realized_cost(states)
    else:
        budget = problem.budget_at(fraction)
    return problem, max(budget, 1e-12)


@cache
def optimum(family: str, seed: int, cost: str) -> Plan:
    """Return the best plan of a case."""
    problem, budget = case(family, seed)
    return solve(problem, budget, "brute-force", cost=cost)  # type: ignore[arg-type]
