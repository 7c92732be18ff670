"""The mixed-integer backends beyond tiny problems: limits, bounds, starts, tolerances, exported files."""

from __future__ import annotations

import math

import numpy as np
import pytest

from robatch.instances import InputError, generate
from robatch.solvers import export, solve, solvers, verify
from robatch.solvers.bounds.least_bill import cheapest_realized_assignment
from robatch.solvers.infeasible.least_cost import least_realized_cost
from robatch.solvers.mip.cuts import repaired
from robatch.solvers.mip.formulation import build
from robatch.solvers.mip.highs import run_once
from robatch.solvers.mip.lp import dual_bound
from robatch.solvers.registry import Request

MIP = ["highs", "cpsat", "scip", "cbc", "pulp-highs"]


@pytest.fixture(scope="module")
def hard():
    """A realized problem that no backend proves in a second."""
    problem = generate("realistic", queries=300, models=4, seed=1)
    return problem, problem.budget_at(0.1)


@pytest.mark.parametrize("solver", MIP)
def test_a_time_limit_gives_the_incumbent_and_a_true_bound(hard, solver):
    problem, budget = hard
    plan = solve(problem, budget, solver, cost="realized", time_limit=2)
    verify(problem, plan)
    assert (plan.status, plan.limit) in (("feasible", "time"), ("optimal", None))
    greedy = solve(problem, budget, "greedy", cost="realized")
    assert plan.utility >= greedy.utility
    if plan.bound is not None:
        assert plan.bound >= greedy.utility
        assert 0 <= plan.gap < 1  # how small hangs on the machine


@pytest.mark.parametrize("solver", MIP)
def test_backends_agree_on_a_hundred_queries(solver):
    problem = generate("realistic", queries=100, models=3, batch_sizes=(1, 2, 8), seed=5)
    budget = problem.budget_at(0.3)
    plan = solve(problem, budget, solver, time_limit=60, cost="amortized")
    reference = solve(problem, budget, "scip" if solver == "highs" else "highs", time_limit=60, cost="amortized")
    assert plan.status == reference.status == "optimal"
    assert plan.utility == pytest.approx(reference.utility, rel=2e-9)


@pytest.mark.parametrize("progress", [False, True])
@pytest.mark.parametrize("solver", MIP)
def test_a_requested_gap_is_no_proof(solver, progress):
    problem = generate("realistic", queries=60, models=3, batch_sizes=(1, 2, 4), seed=1)
    budget = problem.budget_at(0.3)
    optimum = solve(problem, budget, "highs", cost="amortized").utility
    start = problem.cheapest_assignment
    plan = solve(problem, budget, solver, gap=0.3, progress=progress, initial_plan=start, cost="amortized")
    assert plan.bound is None or plan.bound >= optimum * (1 - 1e-9)
    assert plan.status == "feasible" or plan.utility == pytest.approx(optimum, rel=2e-9)


@pytest.mark.parametrize("cost", ["amortized", "realized"])
@pytest.mark.parametrize("solver", MIP)
def test_budgets_at_the_cost_of_a_plan_to_the_last_bit(solver, cost):
    rng = np.random.default_rng(3)
    for seed in range(12):
        problem = generate("uncorrelated", queries=4, models=2, batch_sizes=(1, 3), seed=seed)
        states = rng.integers(0, problem.n_states, problem.n_queries)
        spent = problem.cost(states, cost)
        for budget in (math.nextafter(spent, 0), spent, math.nextafter(spent, 1)):
            plan = solve(problem, budget, solver, cost=cost)
            best = solve(problem, budget, "brute-force", cost=cost)
            assert plan.status == best.status
            if best.utility is not None:
                assert problem.cost(plan.assignment, cost) <= budget
                assert plan.utility == pytest.approx(best.utility, rel=1e-9)


@pytest.fixture(scope="module")
def start(hard):
    problem, budget = hard
    return solve(problem, budget, "highs", cost="realized", time_limit=3)


@pytest.mark.parametrize("solver", MIP)
def test_an_initial_plan_is_not_lost(hard, start, solver):
    problem, budget = hard
    plan = solve(problem, budget, solver, cost="realized", time_limit=1, initial_plan=start)
    assert plan.utility >= start.utility * (1 - 1e-12)


@pytest.mark.parametrize("cost", ["amortized", "realized"])
def test_the_linear_relaxation_bounds_every_plan(cost):
    for seed in range(8):
        problem = generate("realistic", queries=20, models=2, batch_sizes=(1, 4), seed=seed)
        budget = problem.budget_at(0.4)
        bound = solve(problem, budget, "lp", cost=cost)
        exact = solve(problem, budget, "highs", cost=cost)
        assert bound.assignment is None
        assert bound.status == "no_solution"
        assert bound.bound >= exact.utility
        if cost == "amortized":
            assert bound.bound == pytest.approx(solve(problem, budget, "greedy", cost="amortized").bound, rel=1e-9)
            assert bound.shadow_price == pytest.approx(
                solve(problem, budget, "greedy", cost="amortized").shadow_price, rel=1e-6
            )


def test_any_duals_give_a_bound():
    problem = generate("uncorrelated", queries=6, models=2, batch_sizes=(1, 2), seed=1)
    rng = np.random.default_rng(0)
    for cost in ("amortized", "realized"):
        budget = problem.dearest_budget
        best = solve(problem, budget, "brute-force", cost=cost).utility
        model = build(problem, budget, cost)
        for _ in range(50):
            duals = rng.normal(size=model.n_rows)
            assert dual_bound(model, duals) / model.objective_scale >= best * (1 - 1e-12)


def test_export_refuses_other_endings_and_places(tmp_path):
    problem = generate("uncorrelated", queries=3, models=2, batch_sizes=(1,), seed=0)
    with pytest.raises(InputError, match=r"ending in \.mps or \.lp"):
        export(problem, 1.0, tmp_path / "model.txt", cost="amortized")
    with pytest.raises(InputError, match="cannot write"):
        export(problem, 1.0, tmp_path / "none" / "model.mps", cost="amortized")
    with pytest.raises(InputError, match="budget is nan"):
        export(problem, math.nan, tmp_path / "model.mps", cost="amortized")


def test_least_realized_cost_is_the_least():
    for seed in range(10):
        problem = generate("realistic", queries=4, models=2, batch_sizes=(1, 4), seed=seed)
        problem = problem.replace(groups=[0, 0, 0, seed % 2])
        every = np.stack(np.unravel_index(np.arange(problem.n_states**4), [problem.n_states] * 4), axis=1)
        least = min(problem.realized_cost(states) for states in every)
        found, proven = least_realized_cost(problem)
        assert proven
        assert found == pytest.approx(least, rel=1e-9)
        assert problem.realized_cost(cheapest_realized_assignment(problem)) >= least * (1 - 1e-12)


def test_repair_changes_one_query_and_keeps_the_budget():
    problem = generate("uncorrelated", queries=10, models=2, batch_sizes=(1, 4), seed=4)
    for cost in ("amortized", "realized"):
        over = problem.best_assignment
        budget = problem.cost(over, cost) * (1 - 1e-9)
        fixed = repaired(build(problem, budget, cost), over)
        assert (fixed != over).sum() == 1
        assert problem.cost(fixed, cost) <= budget


def test_excluded_assignments_are_cut_off_and_no_other():
    problem = generate("uncorrelated", queries=3, models=2, batch_sizes=(1,), seed=6)
    budget = problem.dearest_budget
    model = build(problem, budget, "realized")
    best = model.to_assignment(run_once(model, Request(problem, budget, "realized"), None).values)
    cut = model.excluding(best)
    second = cut.to_assignment(run_once(cut, Request(problem, budget, "realized"), None).values)
    assert not np.array_equal(best, second)
    every = np.stack(np.unravel_index(np.arange(problem.n_states**3), [problem.n_states] * 3), axis=1)
    worth = sorted((problem.total_utility(s) for s in every if problem.realized_cost(s) <= budget), reverse=True)
    assert problem.total_utility(second) == pytest.approx(worth[1], rel=1e-9)


def test_exact_backends_are_those_that_say_so():
    assert [entry.name for entry in solvers() if entry.proves == "optimum"] == ["exact", *MIP, "brute-force"]


def test_number_of_threads_may_change_between_solves():
    problem = generate("uncorrelated", queries=8, models=2, batch_sizes=(1, 4), seed=3)
    budget = problem.budget_at(0.4)
    asked = [("highs", 1), ("pulp-highs", 2), ("pulp-highs", None), ("highs", 2), ("pulp-highs", 1)]
    plans = [solve(problem, budget, name, threads=threads, cost="amortized") for name, threads in asked]
    assert {plan.status for plan in plans} == {"optimal"}


@pytest.mark.parametrize("solver", MIP)
def test_a_gap_of_one_asks_for_any_plan(solver):
    problem = generate("uncorrelated", queries=8, models=2, batch_sizes=(1, 4), seed=3)
    plan = solve(problem, problem.budget_at(0.4), solver, gap=1.0, cost="amortized")
    assert plan.status in ("feasible", "optimal")


@pytest.mark.parametrize("solver", MIP)
def test_utilities_that_differ_in_the_ninth_digit_are_solved_to_a_proof(solver):
    for seed in range(20):
        problem = generate("uncorrelated", queries=5, models=2, batch_sizes=(1, 4), seed=seed)
        problem = problem.replace(utility=0.5 + 1e-8 * problem.utilities())
        budget = problem.budget_at(0.4)
        plan = solve(problem, budget, solver, cost="amortized")
        assert plan.status == "optimal", (seed, plan)
        assert plan.utility == pytest.approx(solve(problem, budget, "brute-force", cost="amortized").utility, rel=1e-9)
