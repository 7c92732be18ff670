"""The naive scheduler in plain Python against an even simpler one, and against the compiled solver."""

from __future__ import annotations

import numpy as np
import pytest

from robatch.bench.common import heap_baseline
from robatch.instances import InputError, Problem, generate
from robatch.solvers import Request, solve


def simplest(problem: Problem, budget: float) -> list[int]:
    """Look at every query before every step."""
    costs, utilities = problem.amortized_costs(), problem.utilities()
    chosen = [min(range(problem.n_states), key=lambda s: (costs[i, s], -utilities[i, s])) for i in range(len(costs))]
    done: set[int] = set()
    spent = sum(costs[i, s] for i, s in enumerate(chosen))
    while True:
        steps = []
        for i, s in enumerate(chosen):
            better = [t for t in range(problem.n_states) if utilities[i, t] > utilities[i, s]]
            if i not in done and better:
                t = min(better, key=lambda t: (costs[i, t], -utilities[i, t]))
                steps.append(((utilities[i, t] - utilities[i, s]) / (costs[i, t] - costs[i, s]), -i, t))
        if not steps:
            return chosen
        _, negative, t = max(steps)
        i = -negative
        extra = costs[i, t] - costs[i, chosen[i]]
        if spent + extra > budget:
            done.add(i)
        else:
            spent, chosen[i] = spent + extra, t


@pytest.mark.parametrize("family", ["realistic", "uncorrelated", "weakly-correlated"])
@pytest.mark.parametrize("fraction", [0.0, 0.2, 0.7, 1.0])
def test_same_plan(family: str, fraction: float) -> None:
    for seed in range(3):
        problem = generate(family, queries=30, models=3, batch_sizes=(1, 2, 8), seed=seed)
        budget = problem.budget_at(fraction)
        answer = heap_baseline.run(Request(problem, budget, "amortized"))
        assert answer.assignment is not None
        pareto = solve(problem, budget, "pareto", cost="amortized")
        np.testing.assert_array_equal(answer.assignment, pareto.assignment)
        if 0 < fraction < 1:
            np.testing.assert_array_equal(answer.assignment, simplest(problem, budget))


def test_windows_are_kept() -> None:
    problem = generate("realistic", queries=20, models=2, batch_sizes=(1, 4), seed=1)
    tight = [model.replace(context_window=int(model.shared_tokens + 1200)) for model in problem.models]
    problem = problem.replace(models=tight)
    assert not problem.all_allowed
    with heap_baseline.registered():
        solve(problem, problem.budget_at(0.5), heap_baseline.NAME, cost="amortized")  # is checked there


def test_too_many_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap_baseline, "MOST_QUERIES", 4)
    with pytest.raises(InputError, match="made for up to 4 queries"):
        heap_baseline.run(Request(generate("ties", queries=5), 1.0, "amortized"))


def test_registered_only_for_a_while() -> None:
    problem = generate("ties", queries=5)
    with heap_baseline.registered():
        assert solve(problem, problem.budget_at(0.5), heap_baseline.NAME, cost="amortized").solver == heap_baseline.NAME
    with pytest.raises(InputError, match="solver is 'python-heap'"):
        solve(problem, problem.budget_at(0.5), heap_baseline.NAME, cost="amortized")
