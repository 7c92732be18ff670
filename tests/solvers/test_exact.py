"""The exact solver: as good as brute force on numbers of every kind and as HiGHS, and proven at any size.

That it equals brute force on every family of problems is tested in ``tests/contract/test_small.py``.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robatch.instances import FAMILIES, Model, Problem, generate
from robatch.solvers import solve, verify

EXACT = ({"gap": 0.0}, {})


def exact(problem, budget, **options):
    """Solve, and check all that a plan says."""
    plan = solve(problem, budget, "exact", "amortized", **options)
    found = verify(problem, plan)
    assert all(type(count) is int and count >= 0 for count in plan.statistics.values())
    if plan.assignment is not None:
        assert plan.bound >= plan.utility
        assert problem.amortized_cost(plan.assignment) <= budget
    if found.dual_bound is not None:
        assert found.dual_bound >= plan.bound * (1 - 1e-9)
    return plan


def check_optimal(problem, budget, best, **options):
    plan = exact(problem, budget, **options)
    assert plan.status == best.status, (plan, best)
    assert plan.limit is None
    if best.utility is not None:
        assert plan.utility == pytest.approx(best.utility, rel=1e-9, abs=1e-12)
        assert plan.bound >= best.utility * (1 - 1e-12)
        assert plan.bound - plan.utility <= 1e-9 * plan.bound
    return plan


# ---- against other solvers


prices = st.one_of(st.integers(0, 2), st.floats(0.001, 100))
utilities = st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1, allow_subnormal=False))


@st.composite
def any_problem(draw, numbers):
    """Equal and different, free and not."""
    sizes = draw(st.lists(st.sampled_from([(1,), (1, 2), (3, 4)]), min_size=1, max_size=2))
    models = [Model(f"m{k}", draw(prices), draw(prices), draw(numbers), None, of) for k, of in enumerate(sizes)]
    n, states = draw(st.integers(1, 5)), sum(map(len, sizes))
    rows = st.lists(utilities, min_size=states, max_size=states)
    tokens = st.lists(numbers, min_size=n, max_size=n)
    return Problem(models, draw(tokens), draw(tokens), utility=draw(st.lists(rows, min_size=n, max_size=n)))


def check_to_rounding(problem, fraction):
    """As far as float64 can tell plans apart where the budget is worth very much more than a query."""
    budget = problem.cheapest_budget + fraction * (problem.dearest_budget - problem.cheapest_budget)
    budget = max(budget, 1e-12)
    best = solve(problem, budget, "brute-force", cost="amortized")
    for options in EXACT:
        plan = exact(problem, budget, **options)
        rounding = 1e-9 * best.utility + 1e-12 + 1e-13 * plan.shadow_price * budget
        if plan.limit is not None:  # sums of any numbers cannot be told from a budget that they miss by a hair
            less, more = (
                solve(problem, budget * (1 + hair), "brute-force", cost="amortized") for hair in (-1e-11, 1e-11)
            )
            assert plan.limit == "other"
            assert (less.utility or 0.0) - rounding <= plan.utility <= plan.bound <= more.utility + rounding
            continue
        assert abs(plan.utility - best.utility) <= rounding, (plan, best)
        assert best.utility * (1 - 1e-12) <= plan.bound <= best.utility + rounding, (plan, best)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(any_problem(st.integers(0, 3)), st.floats(0, 1.2))
def test_equals_brute_force_on_whole_tokens(problem, fraction):
    check_to_rounding(problem, fraction)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(any_problem(st.floats(0, 1000, allow_subnormal=False)), st.sampled_from([0.0, 0.21, 0.5, 0.83, 1.2]))
def test_equals_brute_force_on_real_tokens(problem, fraction):
    check_to_rounding(problem, fraction)


HARD = {"adversarial", "strongly-correlated", "subset-sum"}  # for HiGHS, which soon runs out of time on them


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_equals_highs(family):
    proven = 0
    for n, fraction in ((8, 0.5), (25, 0.3), (60, 0.7)):
        for seed in range(1 if family in HARD else 3):
            problem = generate(family, n, 3, (1, 4), seed)
            budget = max(problem.budget_at(fraction), 1e-12)
            other = solve(problem, budget, "highs", threads=1, time_limit=1 if family in HARD else 20, cost="amortized")
            plan = exact(problem, budget, gap=0.0)
            assert plan.status == "optimal"
            assert plan.bound >= other.utility * (1 - 1e-12)
            assert plan.utility >= other.utility * (1 - 1e-9)
            if other.status == "optimal":
                proven += 1
                assert plan.utility == pytest.approx(other.utility, rel=1e-9)
    assert proven or family in HARD


# ---- budgets at the edge


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_budgets_of_exactly_the_cheapest_and_the_dearest_plan(family):
    for seed in range(20):
        problem = generate(family, queries=4, models=2, batch_sizes=((1, 4), (3, 7))[seed % 2], seed=seed)
        low, high = problem.cheapest_budget, problem.dearest_budget
        for budget in (
            math.nextafter(low, 0),
            low,
            math.nextafter(low, math.inf),
            math.nextafter(high, 0),
            high,
            math.nextafter(high, math.inf),
        ):
            if budget > 0:
                check_optimal(problem, budget, solve(problem, budget, "brute-force", cost="amortized"), gap=0.0)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_edges_at_some_size(family):
    problem = generate(family, queries=5000, models=3, batch_sizes=(1, 3), seed=1)
    if problem.cheapest_budget > 0:
        assert exact(problem, math.nextafter(problem.cheapest_budget, 0)).status == "infeasible"
        plan = exact(problem, problem.cheapest_budget)
        assert plan.status == "optimal"
        assert plan.amortized_cost == problem.cheapest_budget
        assert plan.utility == pytest.approx(problem.total_utility(problem.cheapest_assignment), rel=1e-12)
    greatest = problem.total_utility(problem.best_assignment)
    for budget in (problem.dearest_budget, math.nextafter(problem.dearest_budget, math.inf)):
        plan = exact(problem, budget)
        assert plan.status == "optimal"
        assert plan.utility == pytest.approx(greatest, rel=1e-12)
    plan = exact(problem, math.nextafter(problem.dearest_budget, 0))
    assert plan.status == "optimal"
    assert plan.utility <= greatest * (1 + 1e-12)


# ---- many queries


@pytest.mark.parametrize("fraction", [0.1, 0.3, 0.7])
@pytest.mark.parametrize("family", ["ties", "subset-sum", "strongly-correlated"])
def test_hard_families_are_proven(family, fraction):
    problem = generate(family, queries=1000, seed=1)
    assert exact(problem, problem.budget_at(fraction)).status == "optimal"


def alike(n):
    models = [Model("small", 0.1, 0.4, 200, None, (1, 4)), Model("large", 2.0, 8.0, 200, None, (1, 4))]
    return Problem(models, np.full(n, 30.0), np.full(n, 7.0), utility=np.tile([0.4, 0.25, 0.93, 0.81], (n, 1)))


@pytest.mark.parametrize("fraction", [0.13, 0.9])
def test_a_million_identical_queries_are_proven(fraction):
    problem, few = alike(1_000_000), alike(7)
    plan = exact(problem, problem.budget_at(fraction))
    assert plan.status == "optimal"
    share = solve(few, few.budget_at(fraction), "brute-force", cost="amortized").utility / 7
    assert plan.utility >= share * 1_000_000 * (1 - 1e-9)
    assert len(np.unique(plan.assignment)) <= 4


def test_threads_and_repetition_change_nothing():
    problem = generate("realistic", queries=200_000, seed=5)
    assert problem.utility is None
    budget = problem.budget_at(0.3)
    plans = [exact(problem, budget, threads=threads) for threads in (1, 2, 3, 1, None)]
    for plan in plans:
        assert plan.status == "optimal"
        assert np.array_equal(plan.assignment, plans[0].assignment)
        assert (plan.utility, plan.bound, plan.shadow_price) == (
            plans[0].utility, plans[0].bound, plans[0].shadow_price,
        )  # fmt: skip
        assert plan.statistics == plans[0].statistics


# ---- limits and starts


def test_a_time_limit_leaves_a_plan_and_a_bound():
    problem = generate("strongly-correlated", queries=100_000, seed=1)
    plan = exact(problem, problem.budget_at(0.7), time_limit=1e-6)
    assert plan.status == "feasible"
    assert plan.limit == "time"
    assert plan.gap < 0.01
    assert plan.utility >= solve(problem, plan.budget, "greedy", cost="amortized").utility * (1 - 1e-12)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_wide_gap_ends_early(family):
    for seed in range(4):
        problem = generate(family, queries=30, models=3, batch_sizes=(1, 4), seed=seed)
        budget = problem.budget_at(0.65)
        best = exact(problem, budget)
        plan = exact(problem, budget, gap=0.05)
        assert plan.gap <= 0.05
        assert (plan.status, plan.limit) in (("feasible", "gap"), ("optimal", None))
        assert plan.bound >= best.utility * (1 - 1e-12)
        assert plan.utility <= best.utility * (1 + 1e-12)


def test_a_wide_gap_saves_work():
    problem = generate("strongly-correlated", queries=300, models=3, batch_sizes=(1, 4), seed=1)
    noise = np.random.default_rng(1).random((300, 6)) * 1e-4
    problem = problem.replace(utility=problem.utilities() * (1 - noise))  # no multiples of one number
    early, late = (exact(problem, problem.budget_at(0.3), gap=gap) for gap in (0.05, 0.0))
    assert (early.status, early.limit, late.status) == ("feasible", "gap", "optimal")
    assert early.statistics.get("nodes", 0) < late.statistics["nodes"]


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_better_start_is_never_made_worse(family):
    for seed in range(4):
        problem = generate(family, queries=30, models=3, batch_sizes=(1, 4), seed=seed)
        budget = problem.budget_at(0.65)
        best = exact(problem, budget, gap=0.0)
        for start in (best, best.assignment):
            for options in ({"gap": 0.5}, {"time_limit": 1e-6}, {"gap": 0.0}):
                plan = exact(problem, budget, initial_plan=start, **options)
                assert plan.utility >= best.utility * (1 - 1e-15)
                assert plan.bound >= best.utility


def test_a_start_over_the_budget_is_left_out():
    problem = generate("uncorrelated", queries=30, models=3, batch_sizes=(1, 4), seed=1)
    budget = problem.budget_at(0.3)
    plan = exact(problem, budget, initial_plan=problem.best_assignment)
    assert np.array_equal(plan.assignment, exact(problem, budget).assignment)


def test_fractional_tokens_between_whole_units_of_cost():
    models = [Model("skip", 0, 0, 0, None, (1,)), Model("take", 1, 0, 0, None, (1,))]
    rng = np.random.default_rng(0)
    for case in range(300):
        n = int(rng.integers(1, 6))
        worth = np.stack([np.zeros(n), np.round(rng.random(n), 1)], axis=1)
        problem = Problem(models, np.round(rng.random(n) * 10, 1), [0] * n, utility=worth)
        budget = round(float(rng.random() * problem.dearest_budget), 8)
        if case % 3 == 0:  # exactly what some plan costs
            budget = problem.amortized_cost(rng.integers(0, 2, n))
        if budget > 0:
            check_optimal(problem, budget, solve(problem, budget, "brute-force", cost="amortized"), gap=0.0)


def test_a_hair_below_the_dearest_plan_loses_one_step_only():
    problem = generate("ties", 20_000, seed=1)
    plan = exact(problem, math.nextafter(problem.dearest_budget, 0))
    assert plan.status == "optimal"
    assert plan.utility == problem.total_utility(problem.best_assignment) - 1
    greedy = solve(problem, math.nextafter(problem.dearest_budget, 0), "greedy", cost="amortized")
    assert greedy.utility >= plan.utility - 1
