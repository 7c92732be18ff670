"""The amortized frontier against one merged from naive concave hulls, and against the plans that it makes."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest

from robatch import solvers
from robatch.instances import InputError, Model, Problem, generate
from robatch.solvers import solve
from robatch.solvers.bounds import relaxation_kernels
from robatch.solvers.bounds.relaxation import DIRECT, sample
from robatch.solvers.bounds.shared import Bounds
from robatch.solvers.greedy.single_upgrade import HALF
from robatch.solvers.registry import Request

FAMILIES = ("realistic", "uncorrelated", "weakly-correlated", "subset-sum", "ties", "adversarial")
frontier = partial(solvers.frontier, cost="amortized")
SPREAD = ("realistic", "uncorrelated", "weakly-correlated")  # families whose steps have many different slopes


def corners(costs, utilities):
    """Walk up a query's concave hull, always along the steepest step and as far as it leads."""
    at = min(range(len(costs)), key=lambda s: (costs[s], -utilities[s]))
    walk = [at]
    while higher := [s for s in range(len(costs)) if costs[s] > costs[at] and utilities[s] > utilities[at]]:
        slopes = {s: (utilities[s] - utilities[at]) / (costs[s] - costs[at]) for s in higher}
        at = max(higher, key=lambda s: (slopes[s], costs[s]))
        walk.append(at)
    return [(costs[s], utilities[s]) for s in walk]


def naive(problem):
    """Budgets and utilities of all breakpoints, and the slopes between them."""
    table = zip(problem.amortized_costs(), problem.utilities().astype(float), problem.allowed(), strict=True)
    hulls = [corners(costs[some].tolist(), utilities[some].tolist()) for costs, utilities, some in table]
    first = [math.fsum(hull[0][i] for hull in hulls) for i in range(2)]
    steps = [(b[0] - a[0], b[1] - a[1]) for hull in hulls for a, b in pairwise(hull)]
    steps = np.array(sorted(steps, key=lambda step: -step[1] / step[0])).reshape(-1, 2)
    budgets, utilities = (np.cumsum([first[i], *steps[:, i]]) for i in range(2))
    return budgets, utilities, steps[:, 1] / steps[:, 0]


def windowed(problem):
    """Keep the larger batches from the longer queries."""
    longest = float((problem.input_tokens + problem.output_tokens).max())
    windows = [math.ceil(model.shared_tokens + 3 * longest) for model in problem.models]
    models = [model.replace(context_window=most) for model, most in zip(problem.models, windows, strict=True)]
    assert not problem.replace(models=models).all_allowed
    return problem.replace(models=models)


def small(family, dtype="float64", factored=None, seed=3):
    return generate(family, 40, models=3, batch_sizes=(1, 2, 8), seed=seed, dtype=dtype, factored=factored)


def inner_budgets(problem, count):
    return [problem.budget_at(fraction) for fraction in np.linspace(0.001, 0.999, count)]


FORMS = {
    **{family: small(family) for family in FAMILIES},
    "from-knapsack": generate("from-knapsack", 40, batch_sizes=(1,), seed=3),
    "dense": small("realistic", factored=False),
    "float32": small("realistic", "float32"),
    "dense float32": small("weakly-correlated", "float32"),
    "windows": windowed(small("realistic", factored=False)),
    "factored windows": windowed(small("realistic", "float32", seed=5)),
    "one query": small("realistic").take([7]),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_breakpoint_is_that_of_the_merged_hulls(form):
    problem = FORMS[form]
    curve = frontier(problem, resolution=0)
    budgets, utilities, slopes = naive(problem)
    assert curve.error == 0.0
    assert [curve.budgets[0], curve.budgets[-1]] == pytest.approx([budgets[0], budgets[-1]], rel=1e-12)
    assert [curve.utilities[0], curve.utilities[-1]] == pytest.approx([utilities[0], utilities[-1]], rel=1e-12)
    assert (curve.shadow_prices[1:] <= curve.shadow_prices[:-1] * (1 + 1e-9)).all()
    at = np.concatenate([budgets[:-1], (budgets[1:] + budgets[:-1]) / 2, curve.budgets[:-1]])
    assert curve.utility(at) == pytest.approx(np.interp(at, budgets, utilities), rel=1e-9)
    assert (curve.bound(at) >= np.interp(at, budgets, utilities)).all()
    wide = np.diff(budgets) > 1e-9 * budgets[-1]
    middles = ((budgets[1:] + budgets[:-1]) / 2)[wide]
    assert curve.shadow_price(middles) == pytest.approx(slopes[wide], rel=1e-9)
    if form in SPREAD:
        assert len(curve.budgets) == len(budgets)


def test_scalars_and_arrays_inside_and_outside():
    curve = frontier(small("realistic"), resolution=0)
    low, high = curve.budgets[0], curve.budgets[-1]
    assert isinstance(curve.utility(float(high)), float)
    assert isinstance(curve.shadow_price(float(high)), float)
    assert isinstance(curve.budget(5.0), float)
    assert curve.utility([[low, high], [2 * high, low / 2]]).shape == (2, 2)
    assert curve.utility([low / 2, low, high, 2 * high]).tolist() == pytest.approx(
        [math.nan, curve.utilities[0], curve.utilities[-1], curve.utilities[-1]], nan_ok=True
    )
    assert curve.shadow_price([low / 2, low, high, 2 * high]).tolist() == pytest.approx(
        [math.nan, curve.shadow_prices[0], 0.0, 0.0], nan_ok=True
    )
    top = curve.utilities[-1]
    assert curve.budget([curve.utilities[0] / 2, top, top * 1.01]).tolist() == pytest.approx(
        [low, high, math.nan], nan_ok=True
    )
    assert curve.utility(curve.budgets[5]) == curve.utilities[5]
    assert curve.shadow_price(curve.budgets[5]) == curve.shadow_prices[5]  # what the next dollar buys
    assert curve.budget(curve.utilities[5]) == curve.budgets[5]


@pytest.mark.parametrize("resolution", [0, 1e-3])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_cheapest_and_the_dearest_budget_are_on_the_curve(family, resolution):
    for seed in range(5):
        problem = small(family, seed=seed)
        curve = frontier(problem, resolution)
        assert curve.utility(problem.cheapest_budget) == pytest.approx(
            problem.total_utility(problem.cheapest_assignment), rel=1e-9
        )
        assert curve.shadow_price(problem.cheapest_budget) == curve.shadow_prices[0]
        best = problem.total_utility(problem.best_assignment)
        assert curve.utility(problem.dearest_budget) == pytest.approx(best, rel=1e-9)
        assert curve.plan(float(curve.budgets[0])).assignment is not None
        assert curve.plan(float(curve.budgets[-1]), "exact").utility == pytest.approx(best, rel=1e-9)


@pytest.mark.parametrize("queries", [300, 5000])
@pytest.mark.parametrize("family", FAMILIES)
def test_utility_is_the_bound_of_greedy(family, queries):
    problem = generate(family, queries, models=3, batch_sizes=(1, 2, 8), seed=1)
    curve = frontier(problem, resolution=0)
    for budget in inner_budgets(problem, 25):
        plan = solve(problem, budget, "greedy", cost="amortized")
        if plan.bound < curve.utility(budget) * (1 - 1e-9):  # states that no budget pays for are left out of it
            relaxation = Bounds.of(Request(problem, budget, "amortized")).relaxer.at(budget)
            assert relaxation.plan()[1] < HALF * relaxation.bound
            plan = replace(plan, bound=relaxation.bound)
        assert curve.utility(budget) == pytest.approx(plan.bound, rel=1e-9)


@pytest.mark.parametrize("resolution", [0, 1e-4])
@pytest.mark.parametrize("family", FAMILIES)
def test_budget_undoes_utility(family, resolution):
    curve = frontier(small(family), resolution)
    budgets = np.linspace(curve.budgets[0], curve.budgets[-1], 57)
    assert curve.budget(curve.utility(budgets)) == pytest.approx(budgets, rel=1e-9)


def within_error(curve, exact):
    """Check that a curve is nowhere above the exact one, nor further below than it says."""
    at = np.concatenate([exact.budgets[1:-1], np.linspace(exact.budgets[0], exact.budgets[-1], 999)[1:-1]])
    below = exact.utility(at) - curve.utility(at)
    rounding = 1e-12 * exact.utilities[-1]
    assert below.min() >= -rounding
    assert below.max() <= curve.error + rounding
    return below.max()


@pytest.mark.parametrize("resolution", [1e-3, 1e-6])
@pytest.mark.parametrize("family", FAMILIES)
def test_steps_of_nearly_equal_slope_are_counted_together(family, resolution):
    problem = generate(family, 5000, seed=2)
    exact, curve = frontier(problem, resolution=0), frontier(problem, resolution)
    missed = within_error(curve, exact)
    assert len(curve.budgets) < len(exact.budgets)
    if family in SPREAD:
        assert missed > 0.0
        assert 0.0 < curve.error <= resolution * curve.utilities[-1]


def test_slopes_far_from_those_of_the_sample_are_counted():
    models = [Model("a", 1, 1, batch_sizes=(1,)), Model("b", 2, 2, batch_sizes=(1,))]
    utility, tokens = np.tile([0.1, 0.2], (5000, 1)), np.full(5000, 100.0)
    steep = np.setdiff1d(np.arange(5000), sample(5000, DIRECT))[::1000]
    utility[steep], tokens[steep] = (0.0, 0.3), 10.0 ** -np.arange(1, 1 + len(steep))
    problem = Problem(models, tokens, tokens, utility)
    curve = frontier(problem, resolution=1e-3)
    assert within_error(curve, frontier(problem, resolution=0)) > 0.1
    assert curve.utilities[-1] == pytest.approx(problem.total_utility(problem.best_assignment))


def test_the_default_keeps_every_step_of_few_queries_and_a_1e_8th_of_many():
    assert frontier(small("realistic")).error == 0.0
    problem = generate("realistic", 150_000, seed=0, dtype="float32")
    assert problem.utility is None
    curve = frontier(problem)
    assert 0.0 < curve.error <= 1e-8 * curve.utilities[-1]
    within_error(curve, frontier(problem, resolution=0))


@pytest.mark.parametrize("resolution", [0, 1e-3])
@pytest.mark.parametrize("family", FAMILIES)
def test_plans_are_those_of_solve(family, resolution):
    problem = generate(family, 300, models=3, batch_sizes=(1, 2, 8), seed=4)
    curve = frontier(problem, resolution)
    for budget in inner_budgets(problem, 5):
        assert curve.plan(budget).utility == solve(problem, budget, "greedy", cost="amortized").utility
        assert curve.plan(budget).solver == "greedy"
        exact = curve.plan(budget, "exact")
        assert (exact.solver, exact.budget) == ("exact", budget)
        assert exact.utility == pytest.approx(solve(problem, budget, "exact", cost="amortized").utility, rel=2e-9)


def test_plans_of_a_problem_whose_steps_are_not_all_sorted():
    problem = generate("realistic", 5000, seed=6)
    for curve in (frontier(problem, resolution=0), frontier(problem, resolution=1e-3)):
        for budget in inner_budgets(problem, 4):
            cold, plan = solve(problem, budget, "greedy", cost="amortized"), curve.plan(budget)
            assert plan.bound == pytest.approx(cold.bound, rel=1e-12)
            assert plan.bound - 1.0 <= plan.utility <= plan.bound  # greedy lacks less than one query's utility
            exact = curve.plan(budget, "exact", gap=0.0001)
            assert exact.gap <= 0.0001
    realized = curve.plan(problem.budget_at(0.5), cost="realized")
    assert realized.realized_cost <= realized.budget == problem.budget_at(0.5)


def test_one_frontier_makes_many_plans_without_another_look_at_the_problem(monkeypatch):
    problem = generate("realistic", 5000, seed=6)
    curve = frontier(problem, resolution=0)
    monkeypatch.setattr(relaxation_kernels, "steps", None)
    for budget in [*inner_budgets(problem, 9), *reversed(inner_budgets(problem, 8))]:
        plan = curve.plan(budget)
        assert plan.amortized_cost <= budget
        assert plan.bound == pytest.approx(curve.utility(budget), rel=1e-9)
    with pytest.raises(TypeError):
        solve(problem, budget, "greedy", cost="amortized")  # it does look


@pytest.mark.parametrize("resolution", [0, 1e-6])
def test_threads_change_nothing(resolution):
    problem = generate("realistic", 70_000, models=3, batch_sizes=(1, 8), seed=1)
    one, *others = (frontier(problem, resolution, threads) for threads in (1, 2, 3))
    for other in others:
        assert np.array_equal(one.budgets, other.budgets)
        assert np.array_equal(one.utilities, other.utilities)
        assert np.array_equal(one.shadow_prices, other.shadow_prices)
        assert one.error == other.error


@pytest.mark.parametrize("resolution", [0, 1e-3])
def test_one_state_is_one_breakpoint(resolution):
    problem = Problem([Model("a", 1, 1, batch_sizes=(1,))], [10, 20, 30], [1, 2, 3], utility=[[0.5], [0.25], [0.125]])
    curve = frontier(problem, resolution)
    assert curve.budgets.tolist() == pytest.approx([66e-6], rel=1e-12)
    assert curve.utilities.tolist() == [0.875]
    assert (curve.shadow_prices.tolist(), curve.error) == ([], 0.0)
    assert curve.utility([66e-6, 1.0, 65e-6]).tolist() == pytest.approx([0.875, 0.875, math.nan], nan_ok=True)
    assert curve.budget(0.875) == pytest.approx(66e-6)
    assert curve.shadow_price(1.0) == 0.0
    assert curve.plan(float(curve.budgets[0])).assignment.tolist() == [0, 0, 0]


@pytest.mark.parametrize("resolution", [0, 1e-3])
@pytest.mark.parametrize(("price", "worth"), [(0, 1.6), (1, 1.0)])
def test_models_that_cost_nothing(resolution, price, worth):
    models = [Model("free", 0, 0, batch_sizes=(1,)), Model("other", price, price, batch_sizes=(1,))]
    problem = Problem(models, [10, 20], [0, 0], utility=[[0.25, 0.85], [0.75, 0.5]])
    curve = frontier(problem, resolution)
    assert curve.utility(0.0) == pytest.approx(worth)
    assert curve.utilities[-1] == pytest.approx(1.6)
    for solver in ("greedy", "exact"):
        assert curve.plan(0.0, solver).utility == pytest.approx(worth)


@pytest.mark.parametrize("resolution", [0, 1e-3])
def test_steps_that_cost_next_to_nothing(resolution):
    models = [Model("a", 1e-303, 0, batch_sizes=(1,)), Model("b", 2e-303, 0, batch_sizes=(1,))]
    curve = frontier(Problem(models, [1], [0], utility=[[0.25, 0.75]]), resolution)
    assert curve.utility([1e-300, 1.0]).tolist() == pytest.approx([0.75, 0.75])


def test_frame_and_repr():
    curve = frontier(small("ties"), resolution=0)
    frame = curve.to_frame()
    assert list(frame.columns) == ["budget", "utility", "shadow_price"]
    assert np.array_equal(frame["budget"], curve.budgets)
    assert np.array_equal(frame["utility"], curve.utilities)
    assert np.array_equal(frame["shadow_price"], [*curve.shadow_prices, 0.0])
    assert repr(curve).startswith(f"Frontier({len(curve.budgets)} breakpoints, budgets {curve.budgets[0]:.6g} to ")
    assert repr(curve).endswith(", error 0)")


@pytest.mark.parametrize("value", ["x", -1, 1.5, math.nan, True])
def test_bad_resolutions(value):
    with pytest.raises(InputError, match=re.escape(f"resolution is {value!r}: a number from 0 to 1")):
        frontier(small("ties"), resolution=value)


@pytest.mark.parametrize("value", ["x", 0, 2.5, True, 5000])
def test_bad_threads(value):
    with pytest.raises(InputError, match=re.escape(f"threads is {value!r}: a whole number")):
        frontier(small("ties"), threads=value)


def test_bad_plans():
    curve = frontier(small("ties"))
    for budget in ("x", None, math.nan, -1.0, math.inf, [1.0]):
        with pytest.raises(InputError, match=re.escape(f"budget is {budget!r}")):
            curve.plan(budget)
    with pytest.raises(InputError, match="solver is 'nix'"):
        curve.plan(1.0, "nix")
    assert curve.plan(float(curve.budgets[0]) / 2).status == "infeasible"
