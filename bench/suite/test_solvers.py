"""Every solver under pytest-benchmark: `pytest bench --benchmark-only`.

Plans are checked, times are only shown. `--benchmark-disable` runs everything once, as a smoke test.
"""

from __future__ import annotations

from typing import Any, get_args

import pytest

from robatch.instances import Problem, generate
from robatch.solvers import Cost, Solver, solve, solvers, verify

LARGE, SMALL = 2000, 100  # queries, for solvers that end by themselves and for those that need a limit
TIME_LIMIT = 2.0
FAMILIES = ("realistic", "ties")


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def problem_for(solver: Solver, family: str) -> Problem:
    if solver.name == "brute-force":
        return generate(family, queries=4, models=2, batch_sizes=(1, 4), seed=1)
    return generate(family, queries=SMALL if solver.proves == "optimum" else LARGE, seed=1)


@pytest.mark.parametrize("cost", get_args(Cost))
@pytest.mark.parametrize("solver", solvers(), ids=lambda solver: solver.name)
def test_solver(benchmark: Any, solver: Solver, family: str, cost: Cost) -> None:
    if not solver.installed:
        pytest.skip(f"{solver.name} is not installed")
    if cost not in solver.costs:
        pytest.skip(f"{solver.name} keeps no budget of {cost} cost")
    problem = problem_for(solver, family)
    budget = problem.budget_at(0.3)
    benchmark.group = f"{family}, {cost} cost, {problem.n_queries} queries"
    slow = solver.proves == "optimum"
    plan = benchmark.pedantic(
        solve,
        args=(problem, budget, solver.name, cost),
        kwargs={"time_limit": TIME_LIMIT},
        rounds=1 if slow else 5,
        warmup_rounds=0 if slow else 1,  # the first call compiles
    )
    verify(problem, plan)
    assert plan.status in ("optimal", "feasible", "no_solution", "infeasible")
    if solver.proves == "optimum":
        assert plan.bound is not None
