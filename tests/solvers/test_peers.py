"""What every peer keeps: the budget, what a problem says of pairs, its seed, and the edges of a problem's size."""

from __future__ import annotations

import math

import numpy as np
import pytest

from robatch.instances import FAMILIES, Model, Problem, generate
from robatch.solvers import registry, solve, solvers, verify

PEERS = [entry.name for entry in solvers() if entry.summary.startswith("peer: ")]
PAIRS = [(name, cost) for name in PEERS for cost in registry.get(name).costs]


def restricted(family: str, seed: int, dtype: str = "float64") -> Problem:
    """Return a problem of 40 queries in 2 groups, with forbidden pairs and context windows that forbid more."""
    rng = np.random.default_rng(seed)
    problem = generate(family, queries=40, models=3, batch_sizes=(1, 2, 8), seed=seed, dtype=dtype)
    longest = (problem.input_tokens + problem.output_tokens).max()
    models = [m.replace(context_window=math.ceil(m.shared_tokens + 1.5 * longest)) for m in problem.models]
    forbidden = rng.random((40, problem.n_states)) < 0.3
    smallest = np.flatnonzero(problem.state_batch_size == 1)
    forbidden[np.arange(40), rng.choice(smallest, 40)] = False
    return problem.replace(models=models, forbidden=forbidden, groups=rng.integers(0, 2, 40))


def test_all_are_there_and_prove_nothing():
    assert PEERS == ["threshold", "tradeoff", "hull-mix", "destroy-rebuild", "window-ilp", "online-duals"]
    assert {registry.get(name).proves for name in PEERS} == {"nothing"}


@pytest.mark.parametrize(("solver", "cost"), PAIRS)
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_plans_keep_the_budget_and_stay_below_the_bound(family, solver, cost):
    for seed, dtype in ((0, "float64"), (1, "float32")):
        problem = generate(family, queries=40, models=3, batch_sizes=(1, 2, 8), seed=seed, dtype=dtype)
        for some in (problem, restricted(family, seed, dtype)):
            dense = some.replace(utility=some.utilities(), base_utility=None, retention=None)
            for fraction in (0.0, 0.1, 0.5, 1.0):
                budget = max(some.budget_at(fraction), 1e-12)
                plan = solve(some, budget, solver, cost=cost)
                verify(some, plan)
                twin = solve(dense, budget, solver, cost=cost)
                verify(dense, twin)
                assert plan.bound is None
                if plan.utility is None:
                    assert cost == "realized"
                    assert "found to keep" in plan.message or "keeps the budget" in plan.message
                    continue
                assert some.cost(plan.assignment, cost) <= budget
                best = solve(some, budget, "exact", cost="amortized")  # no plan bills less than its amortized cost
                assert plan.utility <= best.bound * (1 + 1e-12)
                assert twin.utility == pytest.approx(plan.utility, rel=1e-6)


@pytest.mark.parametrize(("solver", "cost"), PAIRS)
def test_a_seed_makes_one_plan(solver, cost):
    problem = generate("realistic", queries=700, models=3, batch_sizes=(1, 4, 16), seed=4)
    budget = problem.budget_at(0.2)
    plans = [solve(problem, budget, solver, cost=cost, seed=seed, threads=k) for seed, k in ((7, 1), (7, 2), (8, 1))]
    assert np.array_equal(plans[0].assignment, plans[1].assignment)
    drawn = solver in ("hull-mix", "destroy-rebuild", "online-duals")
    assert drawn != np.array_equal(plans[0].assignment, plans[2].assignment)


@pytest.mark.parametrize(("solver", "cost"), PAIRS)
def test_too_small_a_budget_is_infeasible(solver, cost):
    problem = restricted("realistic", 3)
    plan = solve(problem, problem.cheapest_budget * 0.99, solver, cost=cost)
    assert (plan.status, plan.assignment) == ("infeasible", None)


@pytest.mark.parametrize("solver", [name for name, cost in PAIRS if cost == "realized"])
def test_a_bill_that_no_plan_found_can_pay(solver):
    problem = Problem([Model("only", 1, 1, 1000, batch_sizes=(4,))], [10], [10], utility=[[0.5]])
    plan = solve(problem, problem.cheapest_budget * 1.01, solver, cost="realized")
    assert plan.assignment is None
    assert plan.message


@pytest.mark.parametrize(("solver", "cost"), PAIRS)
def test_one_query_takes_the_best_state_that_it_can_pay(solver, cost):
    models = [Model("small", 1, 1, 0, batch_sizes=(1,)), Model("large", 10, 10, 0, batch_sizes=(1,))]
    problem = Problem(models, [10], [10], utility=[[0.5, 0.9]])
    for times, best in ((1.0, 0.5), (9.0, 0.5), (10.5, 0.9), (1e6, 0.9)):
        assert solve(problem, problem.cheapest_budget * times, solver, cost=cost).utility == best


@pytest.mark.parametrize(("solver", "cost"), PAIRS)
def test_one_state_and_free_models(solver, cost):
    problem = Problem([Model("only", 1, 1, 100, batch_sizes=(4,))], [10] * 5, [1] * 5, utility=[[0.5]] * 5)
    plan = solve(problem, problem.realized_cost([0] * 5), solver, cost=cost)
    assert plan.utility == 2.5
    free = Problem([Model("free", 0, 0, 9, batch_sizes=(1, 2))], [1] * 3, [1] * 3, utility=[[0.5, 1.0]] * 3)
    assert solve(free, 1e-6, solver, cost=cost).utility == 3.0


@pytest.mark.parametrize(("solver", "cost"), PAIRS)
def test_equal_queries_and_equal_states(solver, cost):
    models = [Model(name, 1, 1, 0, batch_sizes=(1,)) for name in "ab"] + [Model("c", 2, 2, 0, batch_sizes=(1,))]
    problem = Problem(models, [10] * 10, [10] * 10, utility=[[0.5, 0.5, 0.75]] * 10)
    plan = solve(problem, problem.budget_at(0.55), solver, cost=cost)
    verify(problem, plan)
    # one price moves all of them or none
    assert plan.utility == (5.0 if solver in ("tradeoff", "online-duals") else 6.25)


@pytest.mark.parametrize(("solver", "cost"), PAIRS)
def test_no_state_need_serve_all_queries(solver, cost):
    models = [Model("a", 1, 1, 0, batch_sizes=(1,)), Model("b", 1, 1, 0, batch_sizes=(1,))]
    problem = Problem(models, [10] * 2, [10, 100], utility=[[0.5, 1.0]] * 2, forbidden=[[True, False], [False, True]])
    plan = solve(problem, problem.cheapest_budget, solver, cost=cost)
    assert plan.assignment.tolist() == [1, 0]


def test_costs_that_differ_by_query_leave_the_cheapest_plan():
    models = [Model("in", 10, 0, 0, batch_sizes=(1,)), Model("out", 0, 10, 0, batch_sizes=(1,))]
    problem = Problem(models, [1, 100], [100, 1], utility=[[0.5, 0.9]] * 2)
    for solver in PEERS:  # neither state serves both within the budget
        plan = solve(problem, problem.cheapest_budget, solver, cost="amortized")
        assert plan.assignment.tolist() == [0, 1]
