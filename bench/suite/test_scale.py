"""The parts of `robatch bench scale` at one size under pytest-benchmark: the pass, and the solvers without limits."""

from __future__ import annotations

from typing import Any

import pytest

from robatch.bench import Series
from robatch.bench.common import heap_baseline
from robatch.bench.common.utility_pass import best, dense_utilities
from robatch.solvers import solve

QUERIES = 3000
SERIES = (Series(), Series(dtype="float32"), Series(form="factored"), Series("strongly-correlated"))


@pytest.fixture(scope="module", params=SERIES, ids=lambda series: series.title)
def series(request: pytest.FixtureRequest) -> Series:
    assert isinstance(request.param, Series)
    return request.param


def test_pass(benchmark: Any, series: Series) -> None:
    problem = series.problem(QUERIES, seed=1)
    benchmark.group = series.title
    total = benchmark.pedantic(best, args=(dense_utilities(problem, QUERIES),), rounds=5, warmup_rounds=1)
    assert total == pytest.approx(problem.total_utility(problem.best_assignment), rel=1e-6)


@pytest.mark.parametrize("solver", ["greedy", "pareto", heap_baseline.NAME, "exact"])
def test_solver(benchmark: Any, series: Series, solver: str) -> None:
    problem = series.problem(QUERIES, seed=1)
    budget = problem.budget_at(0.3)
    benchmark.group = series.title
    with heap_baseline.registered():
        plan = benchmark.pedantic(
            solve, args=(problem, budget, solver, "amortized"), kwargs={"time_limit": 2.0}, rounds=3, warmup_rounds=1
        )
    assert plan.status in ("optimal", "feasible")
