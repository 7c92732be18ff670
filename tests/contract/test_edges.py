"""Budgets at the edge, problems of one query or one state, and what a budget that is too small says."""

from __future__ import annotations

import math

import numpy as np
import pytest

from robatch.instances import Constraints, InputError, Model, Problem, generate
from robatch.solvers import Plan, explain, sensitivity, solve, solvers, verify

pytestmark = pytest.mark.nojit

PLANNERS = [entry.name for entry in solvers() if entry.name != "lp"]
PAIRS = [(entry.name, cost) for entry in solvers() for cost in entry.costs if entry.name != "lp"]
REALIZED = [name for name, cost in PAIRS if cost == "realized"]


def tiny(**changes) -> Problem:
    models = (
        Model("small", price_in=0.1, price_out=0.4, shared_tokens=200, batch_sizes=(1, 4)),
        Model("large", price_in=2.0, price_out=8.0, shared_tokens=200, batch_sizes=(1, 4)),
    )
    utility = [[0.5, 0.3, 0.9, 0.8], [0.2, 0.1, 0.8, 0.8], [0.9, 0.7, 0.9, 0.9]]
    arguments = {"input_tokens": [30, 40, 50], "output_tokens": [5, 5, 9], "utility": utility, **changes}
    return Problem(models, **arguments)


@pytest.mark.parametrize(("solver", "cost"), PAIRS)
def test_budget_of_the_dearest_plan_buys_the_greatest_utility(solver, cost):
    problem = tiny()
    plan = solve(problem, problem.realized_cost(problem.best_assignment) * 1.01, solver, cost=cost)
    verify(problem, plan)
    greatest = problem.utilities().max(axis=1).sum()
    assert plan.utility <= greatest
    if solver not in ("cheapest", "batch-only", "router-only", "hull-mix", "online-duals"):  # cannot or need not
        assert plan.utility == pytest.approx(greatest, rel=1e-12)


@pytest.mark.parametrize("solver", [name for name in PLANNERS if name not in ("best", "batch-only", "router-only")])
def test_budget_of_exactly_the_cheapest_plan_is_enough(solver):
    problem = tiny()
    plan = solve(problem, problem.cheapest_budget, solver, cost="amortized")
    assert plan.amortized_cost <= problem.cheapest_budget
    assert plan.status in ("optimal", "feasible")


@pytest.mark.parametrize("solver", [entry.name for entry in solvers()])
def test_one_float_below_the_cheapest_plan_is_infeasible(solver):
    problem = tiny()
    plan = solve(problem, math.nextafter(problem.cheapest_budget, 0), solver, cost="amortized")
    assert plan.status == "infeasible"
    assert plan.assignment is None
    assert plan.utility is None
    assert plan.bound is None
    assert f"{problem.cheapest_budget:.9g} USD" in plan.message


def test_too_small_a_budget_says_by_how_much():
    problem = tiny()
    plan = solve(problem, problem.cheapest_budget / 2, "greedy", cost="amortized")
    assert f"{problem.cheapest_budget / 2:.3g} USD below the cheapest plan" in plan.message


@pytest.mark.parametrize("solver", ["greedy", "pareto", "highs", "cpsat", "scip", "cbc"])
def test_budget_between_cheapest_amortized_and_cheapest_realized(solver):
    problem = tiny()  # three queries in a batch of four: the shared prompt is paid in full
    middle = problem.cheapest_budget * 1.01
    plan = solve(problem, middle, solver, cost="realized")
    assert plan.assignment is None
    assert plan.status == ("no_solution" if solver == "pareto" else "infeasible")
    if plan.status == "infeasible":
        cheapest = min(
            problem.realized_cost(np.array(states)) for states in np.ndindex(*([problem.n_states] * problem.n_queries))
        )
        assert f"which bills {cheapest:.9g} USD" in plan.message


@pytest.mark.parametrize("solver", REALIZED)
def test_one_query(solver):
    problem = tiny().take([1])
    plan = solve(problem, problem.realized_cost(problem.best_assignment), solver, cost="realized")
    verify(problem, plan)
    assert plan.utility == (0.8 if solver != "cheapest" else 0.1)


@pytest.mark.parametrize("solver", REALIZED)
def test_one_state(solver):
    problem = Problem([Model("only", 1, 1, 100, batch_sizes=(4,))], [10] * 5, [1] * 5, utility=[[0.5]] * 5)
    plan = solve(problem, 1.0, solver, cost="realized")
    assert plan.utility == 2.5
    assert [len(call.queries) for call in plan.calls()] == [4, 1]
    assert plan.realized_cost == pytest.approx((2 * 100 + 50 + 5) * 1e-6, rel=1e-12)


@pytest.mark.parametrize("solver", PLANNERS)
def test_free_models(solver):
    problem = Problem([Model("free", 0, 0, 100, batch_sizes=(1, 2))], [10] * 3, [1] * 3, utility=[[1.0, 0.5]] * 3)
    plan = solve(problem, 1e-6, solver, cost="amortized")
    assert plan.utility == 3.0
    assert plan.amortized_cost == 0.0


@pytest.mark.parametrize("solver", [name for name in PLANNERS if name != "brute-force"])
def test_many_identical_queries(solver):
    problem = tiny().take([1] * 40)
    plan = solve(problem, problem.budget_at(0.5), solver, cost="amortized", time_limit=10)
    verify(problem, plan)


def priced(first: float, second: float, shared: float = 100.0) -> Problem:
    """Make a problem of two models, the second one better: their prices, input and output alike, are given."""
    models = [
        Model("one", first, first, shared, batch_sizes=(1, 2)),
        Model("two", second, second, shared, 10_000, (1,)),
    ]
    return Problem(models, [10] * 3, [1] * 3, utility=[[0.6, 0.5, 0.9]] * 3, query_ids=["a", "b", "c"])


FREE = {
    "no model has a price": (priced(0, 0), 2.7),
    "one model has none": (priced(0, 1), 1.8),
    "the better model has none": (priced(1, 0), 2.7),
    "of the other only the shared prompt has one": (
        priced(0, 1).replace(input_tokens=[0] * 3, output_tokens=[0] * 3),
        1.8,
    ),
    "a state is forbidden": (priced(0, 1).restrict(forbidden=[("a", ("one", 1))]), 1.7),
    "a limit of calls": (priced(0, 0).replace(constraints=Constraints(max_calls={"two": 1})), 2.1),
}


@pytest.mark.parametrize("cost", ["amortized", "realized"])
@pytest.mark.parametrize("case", FREE)
@pytest.mark.parametrize("solver", ["exact", "greedy", "highs", "cpsat"])
def test_a_budget_of_zero_takes_what_is_free(solver, case, cost):
    problem, best = FREE[case]
    if problem.constraints is not None and (solver == "exact" or cost == "amortized"):
        return
    assert problem.budget_at(0.0) == 0.0
    plan = solve(problem, 0.0, solver, cost)
    assert plan.budget == plan.amortized_cost == plan.realized_cost == 0.0
    assert plan.utility == pytest.approx(best)
    assert plan.bound is None or plan.bound == pytest.approx(best)
    if problem.constraints is None and plan.shadow_price is not None:
        assert sensitivity(problem, plan).shadow_price == plan.shadow_price
        assert (plan.shadow_price > 0.0) == (best < 2.0)


@pytest.mark.parametrize("cost", ["amortized", "realized"])
def test_a_budget_of_zero_that_pays_for_nothing_is_explained(cost):
    plan = solve(priced(1, 2), 0.0, cost=cost)
    assert plan.status == "infeasible"
    assert "budget 0 USD is" in (plan.message or "")
    found = explain(priced(1, 2).replace(constraints=Constraints(max_calls={"two": 1})), 0.0, cost)
    assert found.feasible is False
    assert found.clashes[0].kind == "budget"
    assert solve(priced(0, 0), 0.0, cost=cost).status == "optimal"
    assert explain(priced(0, 0), 0.0, cost).feasible


@pytest.mark.parametrize("budget", [-1, -1e-300, math.nan, math.inf, "1", None, True])
def test_budget_is_a_number_of_at_least_zero(budget):
    with pytest.raises(InputError, match=r"budget is .*: a finite number of USD of at least 0 is needed"):
        solve(tiny(), budget)


@pytest.mark.parametrize(
    ("argument", "value"),
    [("solver", "magic"), ("cost", "free"), ("time_limit", 0), ("gap", -1), ("gap", math.nan), ("seed", -1)]
    + [("seed", 1.5), ("threads", 0), ("initial_plan", [0, 0]), ("initial_plan", [0, 0, 9])],
)
def test_bad_arguments_are_named(argument, value):
    with pytest.raises(InputError):
        solve(tiny(), 1.0, **{argument: value})


def test_gap_stops_early_and_says_so():
    problem = generate("strongly-correlated", queries=60, models=3, batch_sizes=(1, 2), seed=1)
    plan = solve(problem, problem.budget_at(0.4), "highs", gap=0.2, cost="amortized")
    assert plan.gap <= 0.2
    assert (plan.status, plan.limit) in (("feasible", "gap"), ("optimal", None))


@pytest.mark.parametrize("solver", ["greedy", "pareto", "highs"])
def test_same_seed_same_plan(solver):
    problem = generate("ties", queries=80, models=3, batch_sizes=(1, 4), seed=3)
    budget = problem.budget_at(0.3)
    plans = [
        solve(problem, budget, solver, seed=7, threads=threads, time_limit=20, cost="amortized")
        for threads in (1, 1, 2)
    ]
    if solver == "highs":
        assert len({plan.utility for plan in plans}) == 1
    else:
        assert all(np.array_equal(plan.assignment, plans[0].assignment) for plan in plans)


def test_a_plan_goes_to_a_file_and_back(tmp_path):
    problem = tiny(query_ids=["a", "b", "c"], groups=["x", "y", "x"])
    plan = solve(problem, problem.budget_at(0.7), "greedy", cost="realized")
    plan.write(tmp_path / "plan.parquet")
    back = Plan.read(tmp_path / "plan.parquet")
    verify(problem, back)
    assert back.summary() == plan.summary()
    assert np.array_equal(back.assignment, plan.assignment)
    assert back.query_ids.tolist() == ["a", "b", "c"]
    assert [call.queries.tolist() for call in back.calls()] == [call.queries.tolist() for call in plan.calls()]


def test_a_missing_plan_goes_to_a_file_and_back(tmp_path):
    problem = tiny()
    plan = solve(problem, problem.cheapest_budget / 2, cost="amortized")
    plan.write(tmp_path / "plan.parquet")
    back = Plan.read(tmp_path / "plan.parquet")
    assert back.summary() == plan.summary()
    assert back.assignment is None
    with pytest.raises(InputError, match="infeasible"):
        back.calls()
