"""What a plan hangs on: margins and next states against numpy, and whether they foretell changes."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from robatch.instances import InputError, Model, Problem, generate
from robatch.solvers import sensitivity, solve

FAMILIES = ("realistic", "uncorrelated", "weakly-correlated", "ties", "adversarial")


def worths(problem, price):
    """Utility less cost at the price, of each query in each state: (N, S)."""
    worth = problem.utilities().astype(float) - price * problem.amortized_costs()
    return np.where(problem.allowed(), worth, -np.inf)


def made(family, dtype="float64", windows=False):
    problem = generate(family, 60, models=3, batch_sizes=(1, 2, 8), seed=3, dtype=dtype)
    if windows:  # in which not every query fits 8 times
        longest = float((problem.input_tokens + problem.output_tokens).max())
        models = [m.replace(context_window=int(m.shared_tokens + 4 * longest)) for m in problem.models]
        problem = problem.replace(models=models)
        assert not problem.all_allowed
    return problem


@pytest.mark.parametrize("solver", ["greedy", "exact"])
@pytest.mark.parametrize("windows", [False, True])
@pytest.mark.parametrize(("family", "dtype"), [*((family, "float64") for family in FAMILIES), ("realistic", "float32")])
def test_margins_and_next_states(family, dtype, windows, solver):
    problem = made(family, dtype, windows and family == "realistic")
    rows = np.arange(problem.n_queries)
    for fraction in (0.1, 0.5, 1.0):
        plan = solve(problem, problem.budget_at(fraction), solver, cost="amortized")
        found = sensitivity(problem, plan)
        assert found.shadow_price == plan.shadow_price
        worth = worths(problem, plan.shadow_price)
        mine = worth[rows, plan.assignment]
        worth[rows, plan.assignment] = -np.inf
        assert found.margin == pytest.approx(mine - worth.max(axis=1), rel=1e-9, abs=1e-12)
        assert (found.next_state != plan.assignment).all()
        assert worth[rows, found.next_state] == pytest.approx(worth.max(axis=1), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("part", [0.999, 1.001])
def test_margins_foretell_changes(part):
    problem = made("realistic").replace(utility=made("realistic").utilities(), base_utility=None, retention=None)
    plan = solve(problem, problem.budget_at(0.5), "exact", cost="amortized")
    found = sensitivity(problem, plan)
    falls = problem.utility.copy()
    rows = np.flatnonzero((found.margin > 1e-9) & (found.margin * 1.001 < falls.min(axis=1)))
    assert len(rows) > 10
    states, others = plan.assignment[rows], found.next_state[rows]
    falls[rows, states] -= part * found.margin[rows]
    best = worths(problem.replace(utility=falls), plan.shadow_price)[rows].argmax(axis=1)
    assert np.array_equal(best, states if part < 1 else others)
    rises = problem.utility * 0.5  # all worths move, so that there is room to rise in
    half = problem.replace(utility=rises)
    plan = replace(plan, shadow_price=plan.shadow_price / 2)
    found = sensitivity(half, plan)
    rises[rows, others] += part * found.margin[rows]
    best = worths(half.replace(utility=rises), plan.shadow_price)[rows].argmax(axis=1)
    assert np.array_equal(best, states if part < 1 else others)


def test_margins_are_negative_only_for_states_that_are_not_the_best():
    problem = made("weakly-correlated")
    plan = solve(problem, problem.budget_at(0.5), "greedy", cost="amortized")
    found = sensitivity(problem, plan)
    assert (found.margin > 0).any()
    changed = plan.assignment.copy()
    row = int(np.argmax(found.margin))
    changed[row] = found.next_state[row]
    after = sensitivity(problem, replace(plan, assignment=changed))
    assert after.margin[row] == pytest.approx(-found.margin[row])
    assert after.next_state[row] == plan.assignment[row]


def test_queries_with_one_state_have_no_next_one():
    problem = Problem([Model("a", 1, 1, batch_sizes=(1,))], [10, 20], [1, 2], utility=[[0.5], [0.25]])
    found = sensitivity(problem, solve(problem, 1.0, "greedy", cost="amortized"))
    assert (found.margin.tolist(), found.next_state.tolist()) == ([np.inf, np.inf], [-1, -1])
    model = Model("a", 1, 1, context_window=100, batch_sizes=(1, 8))
    problem = Problem([model], [10, 90], [1, 2], utility=[[0.75, 0.5], [0.5, 0.25]])
    found = sensitivity(problem, solve(problem, 1.0, "greedy", cost="amortized"))
    assert (found.margin.tolist(), found.next_state.tolist()) == ([0.25, np.inf], [1, -1])


def test_threads_change_nothing():
    problem = generate("realistic", 70_000, models=2, batch_sizes=(1, 8), seed=0)
    plan = solve(problem, problem.budget_at(0.4), "greedy", cost="amortized")
    one, *others = (sensitivity(problem, plan, threads) for threads in (1, 2, 3))
    for other in others:
        assert np.array_equal(one.margin, other.margin)
        assert np.array_equal(one.next_state, other.next_state)


def test_plans_that_say_too_little_are_refused():
    problem = made("realistic")
    budget = problem.budget_at(0.5)
    plan = solve(problem, budget, "greedy", cost="amortized")
    for bad in (
        solve(problem, budget, "cheapest", cost="amortized"),
        solve(problem, problem.cheapest_budget / 2, "greedy", cost="amortized"),
        replace(plan, shadow_price=None),
        replace(plan, shadow_price=np.inf),
        replace(plan, shadow_price=np.nan),
        replace(plan, assignment=None),
    ):
        words = f"{bad.solver!r} has status {bad.status!r} and shadow price {bad.shadow_price}: "
        with pytest.raises(InputError, match=re.escape(words)):
            sensitivity(problem, bad)


def test_plans_of_other_problems_are_refused():
    problem = made("realistic").replace(query_ids=range(60))
    plan = solve(problem, problem.budget_at(0.5), "greedy", cost="amortized")
    renamed = problem.replace(models=[model.replace(name=model.name + "!") for model in problem.models])
    for other in (renamed, problem.take(np.arange(60)[::-1]), problem.replace(query_ids=None)):
        with pytest.raises(InputError, match="made for another one"):
            sensitivity(other, plan)
    with pytest.raises(InputError, match=r"assignment has shape \(60,\)"):
        sensitivity(problem.replace(query_ids=None).take(np.arange(50)), replace(plan, query_ids=None))
    assert sensitivity(problem.replace(query_ids=range(60)), plan).margin.shape == (60,)


@pytest.mark.parametrize("value", ["x", 0, 2.5, True, 5000])
def test_bad_threads(value):
    problem = made("ties")
    plan = solve(problem, problem.budget_at(0.5), "greedy", cost="amortized")
    with pytest.raises(InputError, match=re.escape(f"threads is {value!r}: a whole number")):
        sensitivity(problem, plan, threads=value)
