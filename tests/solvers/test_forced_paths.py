"""Small problems sent down the paths of large ones: every limit and size shrunk, against every plan there is."""

from __future__ import annotations

import importlib
import math
from fractions import Fraction

import numpy as np
import pytest

from robatch.instances import Model, Problem
from robatch.instances.kernels import flat
from robatch.solvers import solve, verify

relaxation, threading, exact, core_kernels, core, core_search, frontier, relaxation_kernels = (
    importlib.import_module(f"robatch.solvers.{name}")
    for name in (
        "bounds.relaxation",
        "bounds.threads",
        "exact.amortized",
        "exact.core_kernels",
        "exact.core",
        "exact.core_search",
        "analysis.amortized_frontier",
        "bounds.relaxation_kernels",
    )
)

SIZES = (
    (relaxation, "DIRECT", (None, 2, 3, 4)),
    (relaxation, "SAMPLE", (None, 2, 3)),
    (threading, "CHUNK", (None, 1, 2, 3)),
    (relaxation, "DEVIATIONS", (None, 0.0, 0.1, 1.0)),
    (exact, "AT_ONCE", (None, 0, 0)),
    (exact, "FIRST_CUT", (None, 2, 100, 1e6)),
    (exact, "LOWER", (None, -1.0, -1.0, 2.0)),
    (exact, "LEFT", (None, 10.0, 10.0)),
    (exact, "DEPTH", (None, 0, 1, 12)),
    (core, "PATIENCE", (None, 0, 0, 1)),
    (core_search, "SMALLEST_LIST", (None, 8, 16, 32)),
)
LIMITS = ((core_search, "LARGEST_LIST", (8, 16, 64)), (core_search, "MAX_NODES", (16, 64)))
WAYS = ("_collapse", "_look_near", "_enter")


def best_utility(problem, budget):
    """Return the most utility within a budget by lists of undominated partial plans, costs without rounding."""
    money, (n, width) = problem.money, (problem.n_queries, problem.n_states)
    utilities, allowed = problem.utilities().astype(np.float64), problem.allowed()
    plans = [(Fraction(0), 0.0)]
    for i in range(n):
        longer = []
        for s in np.arange(width)[allowed[i]]:
            k = problem.state_model[s]
            sent, received = (
                Fraction(float(tokens[i, k if tokens.shape[1] > 1 else 0]))
                for tokens in (problem.input_tokens, problem.output_tokens)
            )
            cost = sent * money.price_in[k] + received * money.price_out[k] + money.share[s]
            longer += [(paid + cost, worth + utilities[i, s]) for paid, worth in plans]
        plans, top = [], -1.0
        for cost, worth in sorted(longer, key=lambda plan: (plan[0], -plan[1])):
            if worth > top and money.usd(cost) <= budget:
                plans.append((cost, worth))
                top = worth
    return plans[-1][1] if plans else None


def random_problem(rng):
    """Return a problem of up to 10 queries; free models, equal states, fractions of tokens, float32 and windows."""
    n, k = int(rng.integers(1, 11)), int(rng.integers(1, 4))
    dtype = np.float32 if rng.random() < 0.35 else np.float64
    kind, scale = rng.integers(4), 10.0 ** rng.integers(-12, 5) if rng.random() < 0.2 else 1.0
    models = []
    for name in "abc"[:k]:
        prices = (
            rng.integers(0, 4, 2),
            np.round(10 * scale * rng.random(2), 2),
            (scale * 10.0 ** rng.uniform(-6, 6), 0.0),
            rng.choice([0.0, 0.15, 0.6, 3.0, 15.0], 2),
        )[kind]
        sizes = rng.choice([1, 2, 3, 4, 8, 16], int(rng.integers(1, 4)), replace=False)
        shared = float(rng.choice([0, 1, 100, 12345]))
        models.append(Model(name, *map(float, prices), shared, None, tuple(sizes.tolist())))
    width = int(rng.choice([1, k]))
    tokens = (
        lambda: rng.integers(0, 3, (n, width)).astype(float),
        lambda: np.full((n, width), float(rng.integers(0, 100))),
        lambda: rng.random((n, width)) * 100,
        lambda: rng.integers(0, 2000, (n, width)).astype(float),
    )[rng.integers(4)]
    inputs, outputs = tokens().astype(dtype), tokens().astype(dtype)
    columns = sum(len(model.batch_sizes) for model in models)
    drawn = (
        lambda width: rng.integers(0, 2, (n, width)).astype(float),
        lambda width: rng.integers(0, 11, (n, width)) / 10,
        lambda width: np.full((n, width), float(rng.random())),
        lambda width: np.tile(rng.random((1, width)), (n, 1)),
        lambda width: rng.random((n, width)),
    )[rng.integers(5)]
    if rng.random() < 0.5:
        given = {"utility": drawn(columns).astype(dtype)}
    else:  # retention up to 2, where base utilities leave room
        kept = rng.random((1 if rng.random() < 0.5 else n, columns)) * rng.choice([1.0, 2.0])
        given = {"base_utility": (drawn(k) / max(kept.max(), 1.0)).astype(dtype), "retention": kept.astype(dtype)}
    if rng.random() < 0.25:
        longest = float((inputs.astype(np.float64) + outputs).max())
        models = [
            model.replace(context_window=max(1, math.ceil(model.shared_tokens + model.batch_sizes[0] * longest)))
            for model in models
        ]
    return Problem(models=models, input_tokens=inputs, output_tokens=outputs, **given)


def random_budget(problem, rng):
    """Return a budget, often what some plan costs to the last digit."""
    if rng.random() < 0.35:
        states = np.array([rng.choice(np.flatnonzero(row)) for row in problem.allowed()])
        return max(problem.amortized_cost(states), problem.cheapest_budget, 1e-300)
    return max(problem.budget_at(float(rng.random() ** rng.choice([1, 3]))), 1e-300)


def force(monkeypatch, rng):
    """Shrink some sizes; return whether the search may end before it is done."""
    limited = rng.random() < 0.5
    for module, name, values in SIZES + (LIMITS if limited else ()):
        value = values[rng.integers(len(values))]
        if value is not None:
            monkeypatch.setattr(module, name, value)
    if rng.random() < 0.1:  # the search comes back to look at the clock all the time
        monkeypatch.setattr(core_kernels, "search", core_kernels.search.py_func)
        monkeypatch.setattr(core_kernels, "WORK", int(rng.choice([0, 5, 50])))
    if rng.random() < 0.4:
        monkeypatch.setattr(core.Core, WAYS[rng.integers(3)], lambda self, run: None)
        limited = True
    return limited


@pytest.mark.parametrize("block", range(4))
def test_forced_paths_equal_every_plan_there_is(block, monkeypatch):
    for seed in range(250):
        rng = np.random.default_rng([block, seed])
        problem = random_problem(rng)
        budget = random_budget(problem, rng)
        # sums of fractions of tokens are rounded: there, the very edge of the budget is a matter of their order
        whole = all((tokens == np.rint(tokens)).all() for tokens in (problem.input_tokens, problem.output_tokens))
        edge = 0.0 if whole else 1e-12
        least, most = best_utility(problem, budget * (1 - edge)), best_utility(problem, budget * (1 + edge))
        gap, threads = float(rng.choice([0.0, 1e-9, 0.1])), int(rng.choice([1, 2]))
        with monkeypatch.context() as patch:
            limited = force(patch, rng)
            plans = [
                solve(problem, budget, name, gap=gap, threads=threads, cost="amortized") for name in ("exact", "greedy")
            ]
            curves = [frontier.amortized_frontier(problem, resolution, 1) for resolution in (0.0, 1e-3)]
        least = 0.0 if least is None else least
        for plan in plans:
            verify(problem, plan)
            assert plan.amortized_cost <= budget, (block, seed, plan)
            assert least * (1 - 2e-12) <= plan.bound, (block, seed, plan, least)
            assert plan.utility <= most * (1 + 1e-12), (block, seed, plan, most)
            if plan.status == "optimal":
                assert plan.utility >= least * (1 - 1.1e-9), (block, seed, plan, least)
        if whole and not limited and gap < 0.1:
            assert plans[0].status == "optimal", (block, seed, plans[0])
        for curve in curves:
            reached = curve.utility(budget)
            assert np.isnan(reached) or reached + curve.error >= least * (1 - 1e-9), (block, seed, curve, least)


def test_fractions_of_tokens_are_paid_from_fractions_of_a_unit():
    """The unit of whole prices is a millionth of a USD: more than what such a plan's cost is above whole units."""
    models = [Model("a", 1, 0, batch_sizes=(1,)), Model("b", 2, 0, batch_sizes=(1,))]
    problem = Problem(
        models=models, input_tokens=[[2.25], [3.5]], output_tokens=[[0.0], [0.0]], utility=[[0.1, 0.5], [0.1, 0.9]]
    )
    for budget in (9.25e-6, 9.3e-6, 9.99e-6):  # both queries in b cost 11.5e-6, the second one 9.25e-6
        plan = solve(problem, budget, "exact", cost="amortized")
        assert plan.status == "optimal"
        assert plan.utility == pytest.approx(1.0)


def test_a_branch_may_spend_the_whole_budget(monkeypatch):
    """All queries but the branch's are answered for free."""
    for name, value in (("AT_ONCE", 0), ("LOWER", -1.0), ("LEFT", 1e9)):
        monkeypatch.setattr(exact, name, value)
    monkeypatch.setattr(core, "PATIENCE", 0)
    models = [Model("free", 0, 0, batch_sizes=(1,)), Model("dear", 1, 0, batch_sizes=(1,))]
    problem = Problem(
        models=models,
        input_tokens=[[1e6], [7e5], [6e5]],
        output_tokens=np.zeros((3, 1)),
        utility=[[0.0, 0.9], [0.0, 0.65], [0.0, 0.2]],
    )
    plan = solve(problem, 1.0, "exact", gap=0.0, cost="amortized")
    assert plan.utility == 0.9
    assert plan.status == "optimal"


def test_prices_per_token_with_few_digits_in_float32():
    """At 1e30 utility per USD, a token of 1e-45 USD matters, and float32 keeps no digit of it."""
    for price in np.linspace(1e-39, 9e-39, 9):
        models = [Model("a", 0, 0, batch_sizes=(1,)), Model("b", float(price), 0, batch_sizes=(1,))]
        for gain in np.linspace(1e-4, 3e-3, 30):
            problem = Problem(
                models=models,
                input_tokens=np.full((5, 1), 9e11),
                output_tokens=np.zeros((5, 1)),
                utility=np.tile([0.5, 0.5 + gain], (5, 1)),
            )
            high = 9e29
            steps = relaxation.find_steps(flat(problem), high, high * (1 - 1e-9))
            worth = problem.utilities() - high * problem.amortized_costs()
            assert (worth[np.arange(5), steps.states] >= worth.max(axis=1) - 1e-12).all(), (price, gain)


def test_a_price_far_off_costs_few_passes(monkeypatch):
    """A high price that is far too low is soon taken to be infinite."""
    passes = []
    find = relaxation.find_steps
    monkeypatch.setattr(relaxation, "DIRECT", 2)
    monkeypatch.setattr(relaxation, "find_steps", lambda *args: passes.append(args) or find(*args))
    models = [Model("a", 1, 0, batch_sizes=(1,)), Model("b", 3, 0, batch_sizes=(1,))]
    problem = Problem(
        models=models, input_tokens=np.ones((9, 1)), output_tokens=np.zeros((9, 1)), utility=np.tile([0.1, 0.5], (9, 1))
    )
    steps = relaxation.steps_around(
        flat(problem), relaxation.Goal.budget(problem.cheapest_budget / 2), 1, (1e-9, 0.99e-9)
    )
    assert steps.high == np.inf
    assert len(passes) < 20


def test_the_greatest_budget_there_is():
    problem = Problem(
        models=[Model("a", 1, 0, batch_sizes=(1,))], input_tokens=[[1.0]], output_tokens=[[1.0]], utility=[[0.5]]
    )
    for solver in ("exact", "greedy"):
        assert solve(problem, float(np.finfo(np.float64).max), solver, cost="amortized").status == "optimal"


def test_a_binned_frontier_says_how_far_infinite_slopes_put_it_off():
    rng = np.random.default_rng(0)
    models = [Model(name, price, 0, batch_sizes=(1,)) for name, price in (("a", 1e-310), ("b", 3e-310), ("c", 9e-310))]
    problem = Problem(
        models=models,
        input_tokens=rng.integers(100, 2000, (20, 1)).astype(float),
        output_tokens=np.zeros((20, 1)),
        utility=np.sort(rng.random((20, 3)), axis=1),
    )
    curve, binned = (frontier.amortized_frontier(problem, resolution, 1) for resolution in (0.0, 1e-3))
    scale = 2.0**1000  # interpolation would overflow
    above = curve.utilities - np.interp(curve.budgets * scale, binned.budgets * scale, binned.utilities)
    assert above.max() > 0.1
    assert binned.error >= above.max() * (1 - 1e-9)
