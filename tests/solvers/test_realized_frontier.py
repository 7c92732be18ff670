"""The frontier as billed: against every assignment of tiny problems, against `exact`, and by the independent check."""

from __future__ import annotations

import itertools
import math
import re
from functools import cache

import numpy as np
import pytest

from robatch.instances import Constraints, InputError, Model, Problem, generate
from robatch.solvers import RealizedFrontier, frontier, solve, verify

SIZES = (1, 2, 4)


def tiny(family: str, seed: int) -> Problem:
    """At most 6 queries; some have groups, windows, forbidden pairs, conflicts or grades as utilities."""
    rng = np.random.default_rng([seed, len(family)])
    n = int(rng.integers(2 if family == "adversarial" else 1, 7))
    problem = generate(family, n, 2, (1, 3) if seed % 2 else (1, 2), seed, factored=False)
    if seed % 5 == 1:
        problem = problem.replace(groups=rng.integers(0, 2, n))
    if seed % 5 == 2:
        forbidden = rng.random((n, problem.n_states)) < 0.3
        forbidden[np.arange(n), rng.integers(0, problem.n_states, n)] = False
        problem = problem.replace(forbidden=forbidden)
    if seed % 5 == 3:
        problem = problem.replace(utility=rng.integers(0, 3, (n, problem.n_states)) / 2)
    if seed % 5 == 4 and n > 1:
        problem = problem.replace(conflicts=[(0, 1)])
    return problem


@cache
def every(family: str, seed: int) -> tuple[Problem, np.ndarray, np.ndarray]:
    """Return a tiny problem, and bill and utility of each of its assignments, by rising bill."""
    problem = tiny(family, seed)
    states = itertools.product(*(np.flatnonzero(row).tolist() for row in problem.allowed()))
    found = [problem.evaluate(np.array(one)) for one in states]
    order = np.argsort([one.realized_cost for one in found], kind="stable")
    bills = np.array([one.realized_cost for one in found])[order]
    return problem, bills, np.maximum.accumulate(np.array([one.utility for one in found])[order])


def checked(curve: RealizedFrontier, budgets: np.ndarray) -> None:
    """Check by independent code that a plan at each budget keeps it and is as good as is said, and what is implied."""
    for budget in budgets.tolist():
        said, bound = curve.utility(budget), curve.bound(budget)
        if math.isnan(said):
            continue
        plan = curve.plan(budget)
        true = verify(curve.problem, plan)
        assert plan.cost == "realized"
        assert plan.realized_cost <= budget == plan.budget
        assert true.realized_cost <= budget * (1 + 1e-12)
        assert true.utility >= said * (1 - 1e-12)
        assert plan.bound <= bound * (1 + 1e-12)
        assert said <= bound
        assert curve.budget(said) <= budget
        assert curve.utility(curve.budget(said)) == said
    assert (np.diff(curve.budgets) > 0).all()
    known = curve.utilities[~np.isnan(curve.utilities)]
    assert (np.diff(known) >= 0).all()
    assert np.isnan(curve.utilities[: len(curve.utilities) - len(known)]).all()
    assert (np.diff(curve.bounds) >= 0).all()
    assert np.array_equal(curve.utility(curve.budgets), curve.utilities, equal_nan=True)
    assert (curve.bound(curve.budgets) <= curve.bounds).all()


@pytest.mark.parametrize("family", ["realistic", "uncorrelated", "ties", "adversarial"])
def test_tiny_problems_agree_with_every_assignment(family):
    for seed in range(10):
        problem, bills, best = every(family, seed)
        curve = frontier(problem)
        spread = np.linspace(bills[0], bills[-1], 23)
        checked(curve, np.concatenate([curve.budgets[::17], spread]))
        for budget in np.concatenate([curve.budgets, spread, bills[::7]]):
            place = np.searchsorted(bills, budget, side="right") - 1
            if place >= 0:
                assert curve.bound(budget) >= best[place] * (1 - 1e-12), (seed, budget)
                assert not curve.utility(budget) > best[place] * (1 + 1e-12), (seed, budget)


@pytest.mark.parametrize("family", ["realistic", "uncorrelated", "ties"])
def test_small_problems_lie_between_plan_and_bound_of_exact(family):
    problem = generate(family, 20, 3, (1, 4, 8), seed=2)
    curve = frontier(problem)
    checked(curve, curve.budgets[::29])
    for budget in curve.budgets[20::45].tolist():
        best = solve(problem, budget, "exact", cost="realized")
        assert curve.utility(budget) <= best.bound * (1 + 1e-12)
        assert curve.bound(budget) >= best.utility * (1 - 1e-12)
        assert curve.utility(budget) >= 0.9 * best.utility


@pytest.mark.parametrize(
    ("queries", "groups"), [(150, 1), (150, 3), (600, 1), (120, 50), (3000, 1)], ids=lambda value: str(value)
)
def test_problems_of_other_sizes_and_with_groups(queries, groups):
    problem = generate("realistic", queries, 3, (1, 8), seed=4)
    if groups > 1:
        problem = problem.replace(groups=np.arange(queries) % groups)
    low, high = (problem.realized_cost(states) for states in (problem.cheapest_assignment, problem.best_assignment))
    curve = frontier(problem, budgets=np.linspace(low, high, 12))
    checked(curve, curve.budgets)
    checked(curve, np.linspace(low, high, 7))
    for budget in curve.budgets[3::4].tolist():
        plan = solve(problem, budget, "greedy", cost="realized")
        assert curve.utility(budget) <= plan.bound * (1 + 1e-12)
        assert curve.bound(budget) >= plan.utility * (1 - 1e-12)
        assert curve.utility(budget) >= plan.utility * 0.97


def test_bounds_and_utilities_carry_over_to_other_budgets():
    problem = generate("realistic", 60, 3, (1, 8), seed=1)
    curve = frontier(problem)
    fine = np.linspace(curve.budgets[0], curve.budgets[-1] * 1.1, 999)
    assert (np.diff(curve.bound(fine)) >= -1e-12).all()
    assert (np.diff(curve.utility(fine)) >= 0).all()
    assert curve.utility(curve.budgets[0] / 2) != curve.utility(curve.budgets[0] / 2)  # nan
    assert curve.bound(problem.cheapest_budget / 2) != curve.bound(problem.cheapest_budget / 2)
    assert curve.utility(10.0 * curve.budgets[-1]) == curve.utilities[-1]
    assert math.isnan(curve.budget(problem.n_queries + 1.0))
    assert curve.plan(curve.budgets[0] / 3).status == "infeasible"
    assert curve.budget([curve.utilities[0], curve.utilities[-1]]).tolist()[0] <= curve.budgets[0]
    assert curve.gap == np.nanmax(curve.gaps) >= 0


def test_a_solver_may_improve_a_plan():
    problem = generate("realistic", 30, 3, (1, 8), seed=1)
    curve = frontier(problem)
    budget = float(curve.budgets[100])
    best = curve.plan(budget, "exact")
    assert best.solver == "exact"
    assert best.status == "optimal"
    assert curve.utility(budget) <= best.utility <= curve.bound(budget)


@pytest.mark.parametrize("share", [0.1, 0.2, 0.4, 0.7])
def test_its_plan_is_at_least_that_of_greedy(share):
    problem = generate("realistic", 40, 3, (1, 8), seed=2)
    curve = frontier(problem, budgets=[problem.budget_at(0.05), problem.budget_at(0.9)])
    budget = problem.budget_at(share)
    alone, plan = solve(problem, budget, "greedy"), curve.plan(budget)
    assert plan.utility >= alone.utility
    assert plan.bound <= alone.bound
    assert plan.realized_cost <= budget


def test_constraints_and_conflicts_are_kept():
    problem = generate("realistic", 24, 2, (1, 4), seed=3)
    name = problem.models[1].name
    for limited in (
        problem.replace(constraints=Constraints(max_queries={name: 9})),
        problem.replace(constraints=Constraints(max_calls={name: 3})),
        problem.replace(conflicts=[(0, 1), (2, 3), (4, 5)]),
    ):
        free = frontier(problem).budgets
        curve = frontier(limited, budgets=np.linspace(free[0], free[-1], 6))
        checked(curve, curve.budgets)
        assert not np.isnan(curve.utilities[-1])
    assert len(frontier(limited).budgets) <= 40


def test_one_query_one_state_and_free_models():
    one = Problem([Model("a", 1, 1, shared_tokens=100, batch_sizes=(1,))], [10], [1], utility=[[0.5]])
    curve = frontier(one)
    assert curve.utilities.tolist() == curve.bounds.tolist() == [0.5]
    checked(curve, curve.budgets)
    free = Model("free", 0, 0, batch_sizes=(1,)), Model("paid", 2, 2, shared_tokens=10, batch_sizes=(1, 2))
    problem = Problem(list(free), [10, 20], [1, 1], utility=[[0.5, 0.9, 0.8], [0.4, 0.9, 0.85]])
    curve = frontier(problem)
    assert curve.budgets[0] == 0.0
    assert curve.utilities[0] == pytest.approx(0.9)
    assert curve.utilities[-1] == pytest.approx(1.8)
    checked(curve, curve.budgets)
    nothing = problem.replace(utility=np.zeros((2, 3)))
    assert frontier(nothing).utilities.max() == 0.0


def test_the_same_for_any_number_of_threads_and_every_time():
    problem = generate("realistic", 400, 3, (1, 8), seed=5)
    one, two, again = (frontier(problem, threads=count) for count in (1, 2, 1))
    for other in (two, again):
        assert np.array_equal(one.utilities, other.utilities)
        assert np.array_equal(one.bounds, other.bounds)


def test_frame_and_repr():
    curve = frontier(generate("ties", 10, 2, (1, 4), seed=0), budgets=[0.5, 0.1, 0.1, 0.9])
    assert curve.budgets.tolist() == [0.1, 0.5, 0.9]
    frame = curve.to_frame()
    assert list(frame.columns) == ["budget", "utility", "bound", "gap", "shadow_price"]
    assert np.array_equal(frame["utility"], curve.utilities, equal_nan=True)
    assert repr(curve).startswith("RealizedFrontier(3 budgets, 0.1 to 0.9 USD, ")


@pytest.mark.parametrize("value", ["x", [], [math.nan], [-1.0], [1.0, math.inf], None])
def test_bad_budgets(value):
    problem = generate("ties", 4, 2, (1, 4), seed=0)
    if value is None:
        with pytest.raises(InputError, match=r"resolution is 0\.1: it is for cost='amortized'"):
            frontier(problem, 0.1)
        with pytest.raises(InputError, match="cost is 'both'"):
            frontier(problem, cost="both")
        with pytest.raises(InputError, match="budgets are given"):
            frontier(problem, cost="amortized", budgets=[1.0])
        return
    with pytest.raises(InputError, match=re.escape(f"budgets is {value!r}: finite numbers of USD")):
        frontier(problem, budgets=value)
