"""The kernels of `verify` against a naive count in extended precision, and the bound that a shadow price proves."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from robatch.instances import Model, Problem, generate
from robatch.solvers import VerificationError, solve, verify

pytestmark = pytest.mark.nojit


def random_problem(seed):
    """Dense or factored, float32 or float64, with or without windows, groups and models that cost nothing."""
    rng = np.random.default_rng(seed)
    n = int(rng.choice([1, 7, 64, 65, 150]))
    dtype = np.float32 if seed % 2 else np.float64
    sizes = [(1, 4, 16), (2,), (1, 3)]
    models = [Model(f"m{k}", *rng.uniform(0.1, 9, 2), rng.integers(0, 500), None, sizes[k]) for k in range(3)]
    inputs, outputs = rng.uniform(1, 300, (n, 3 if seed % 3 else 1)), rng.integers(1, 99, (n, 1 if seed % 5 else 3))
    if seed % 7 < 3:
        models[1] = models[1].replace(price_in=0, price_out=0)
    if seed % 3:  # the larger batches of the longer queries do not fit
        models[0] = models[0].replace(context_window=int(models[0].shared_tokens + 500))
    if seed % 4 < 2:
        utilities = {"utility": rng.random((n, 6)).astype(dtype)}
    else:
        kept = 1 - 0.3 * rng.random((n if seed % 3 else 1, 6))
        utilities = {"base_utility": rng.random((n, 3)).astype(dtype), "retention": kept}
        utilities["base_utility"][0] = 1.0
        kept[:, 0] = 1 + 5e-7  # rounding of a profile: clipped at 1
    groups = rng.choice(["x", "yy", "z"], n) if seed % 5 < 2 else None
    return Problem(models, inputs, outputs, groups=groups, **utilities)


def naive_table(problem):
    """Utility, own USD, USD of the prompt a query and a call, and whether a query fits: each (N, S), longdouble."""
    n, columns = problem.n_queries, []
    for k, model in enumerate(problem.models):
        t_in = problem.input_tokens[:, k % problem.input_tokens.shape[1]].astype(np.longdouble)
        t_out = problem.output_tokens[:, k % problem.output_tokens.shape[1]].astype(np.longdouble)
        own = (np.longdouble(model.price_in) * t_in + np.longdouble(model.price_out) * t_out) / 1_000_000
        prompt = np.longdouble(model.price_in) * model.shared_tokens / 1_000_000
        for size in model.batch_sizes:
            s = len(columns)
            if problem.utility is not None:
                utility = problem.utility[:, s]
            else:
                utility = np.minimum(problem.base_utility[:, k] * problem.retention[:, s], problem.dtype.type(1))
            window = np.inf if model.context_window is None else model.context_window
            fits = model.shared_tokens + size * (t_in + t_out) <= window
            columns.append([utility, own, np.full(n, prompt / size), np.full(n, prompt), fits])
    return [np.stack(column, axis=1).astype(np.longdouble) for column in zip(*columns, strict=True)]


def naive_dual(problem, budget, price):
    utility, own, share, _, fits = naive_table(problem)
    scores = np.where(fits > 0, utility - np.longdouble(price) * (own + share), -np.inf)
    return float(np.longdouble(price) * budget + scores.max(axis=1).sum())


def made_plan(problem, states, **fields):
    """Say of an assignment what the naive count finds."""
    utility, own, share, prompt, _ = naive_table(problem)
    rows = np.arange(problem.n_queries)
    groups = np.zeros(len(rows), dtype=int) if problem.groups is None else problem.groups
    realized = own[rows, states].sum()
    for s, state in enumerate(problem.states):
        for group in set(groups.tolist()):
            realized += -(-np.sum((states == s) & (groups == group)) // state.batch_size) * prompt[0, s]
    cheap = solve(problem, problem.cheapest_budget + 1.0, "cheapest", cost="amortized")
    figures = {
        "assignment": states,
        "utility": float(utility[rows, states].sum()),
        "amortized_cost": float((own + share)[rows, states].sum()),
        "realized_cost": float(realized),
        "status": "feasible",
        "bound": None,
        "budget": float(realized) * 1.1 + 1e-9,
    }
    return dataclasses.replace(cheap, **{**figures, **fields})


@pytest.mark.parametrize("seed", range(40))
def test_figures_equal_a_naive_count(seed):
    problem, rng = random_problem(seed), np.random.default_rng(seed)
    states = np.array([rng.choice(np.flatnonzero(row)) for row in problem.allowed()])
    for price in (0.0, 3.0, 700.0):
        plan = made_plan(problem, states, shadow_price=price, group_codes=problem.group_codes)
        found = verify(problem, plan)
        assert found.utility == pytest.approx(plan.utility, rel=1e-15)
        assert found.amortized_cost == pytest.approx(plan.amortized_cost, rel=1e-15)
        assert found.realized_cost == pytest.approx(plan.realized_cost, rel=1e-15)
        assert found.dual_bound == pytest.approx(naive_dual(problem, plan.budget, price), rel=1e-13)
        assert verify(problem, dataclasses.replace(plan, shadow_price=None)).dual_bound is None


@pytest.mark.parametrize("seed", range(40))
def test_states_outside_a_window_are_found(seed):
    problem = random_problem(seed)
    outside = np.argwhere(~problem.allowed())
    for query, state in outside[:: max(1, len(outside) // 5)]:
        states = problem.cheapest_assignment.copy()
        states[query] = state
        with pytest.raises(VerificationError, match=f"query {query} is in a state of .*, whose calls do not fit"):
            verify(problem, made_plan(problem, states))


@pytest.mark.parametrize("cost", ["amortized", "realized"])
@pytest.mark.parametrize("seed", range(40))
def test_a_query_that_alone_does_better_is_found(seed, cost):
    problem, rng = random_problem(seed), np.random.default_rng(seed)
    utility, own, share, prompt, fits = naive_table(problem)
    states = np.array([rng.choice(np.flatnonzero(row)) for row in fits])
    plan = made_plan(problem, states, status="optimal", cost=cost)
    spent = plan.amortized_cost if cost == "amortized" else plan.realized_cost
    plan = dataclasses.replace(plan, bound=plan.utility, budget=spent + float(rng.choice([1e-9, 1e-4])))
    rows = np.arange(problem.n_queries)
    paid = own[rows, states] + (share[rows, states] if cost == "amortized" else 0)
    dearest = own + (share if cost == "amortized" else prompt)
    better = (fits > 0) & (utility > utility[rows, states][:, None] + 1e-8 * plan.utility)
    better &= dearest <= (plan.budget * (1 - 1e-9) - spent + paid)[:, None]
    if not better.any():
        verify(problem, plan)
        return
    query, state = np.argwhere(better)[0]
    with pytest.raises(VerificationError, match=f"query {query} alone gains .* in state {state} within"):
        verify(problem, plan)


@pytest.mark.parametrize("seed", range(40))
def test_the_cheapest_plan_decides_what_is_infeasible(seed):
    problem = random_problem(seed)
    _, own, share, _, fits = naive_table(problem)
    least = float(np.where(fits > 0, own + share, np.inf).min(axis=1).sum())
    if least == 0.0:
        return
    plan = solve(problem, least / 2, cost="amortized")
    assert plan.status == "infeasible"
    verify(problem, dataclasses.replace(plan, budget=least * (1 - 1e-11)))
    with pytest.raises(VerificationError, match="called infeasible, but a plan costs"):
        verify(problem, dataclasses.replace(plan, budget=least * (1 + 1e-11)))


# ---- weak duality


@pytest.mark.parametrize(
    ("solver", "cost"), [("greedy", "amortized"), ("exact", "amortized"), ("lp", "amortized"), ("lp", "realized")]
)
def test_bounds_are_rederived(solver, cost):
    for seed in range(6):
        problem = generate("realistic", queries=40, models=3, seed=seed)
        budget = problem.budget_at(0.1 + 0.1 * seed)
        plan = solve(problem, budget, solver, cost=cost)
        found = verify(problem, plan)
        assert found.dual_bound == pytest.approx(naive_dual(problem, budget, plan.shadow_price), rel=1e-13)
        assert plan.bound <= found.dual_bound * (1 + 1e-9)
        if solver != "exact":
            assert plan.bound == pytest.approx(found.dual_bound, rel=1e-8)
        if plan.status != "optimal":
            lie = dataclasses.replace(plan, bound=found.dual_bound * (1 + 1e-6))
            with pytest.raises(VerificationError, match=r"bound is .*, above the .* that the shadow price"):
                verify(problem, lie)


def test_a_bound_that_knows_of_whole_calls_is_below_the_rederived_one():
    problem = generate("realistic", queries=5, models=2, batch_sizes=(1, 4), seed=1)
    plan = solve(problem, problem.budget_at(0.3), "greedy", cost="realized")
    found = verify(problem, plan)
    assert plan.utility <= plan.bound <= found.dual_bound * (1 + 1e-9)


def test_a_bound_that_its_price_does_not_prove_is_found():
    problem = generate("realistic", queries=40, models=3, seed=1)
    plan = solve(problem, problem.budget_at(0.3), "greedy", cost="amortized")
    loose = plan.shadow_price * 2  # any price proves some bound
    other = dataclasses.replace(plan, shadow_price=loose, bound=naive_dual(problem, plan.budget, loose))
    assert verify(problem, other).dual_bound == pytest.approx(other.bound, rel=1e-13)
    with pytest.raises(VerificationError, match=r"bound is .*, above the .* that the shadow price"):
        verify(problem, dataclasses.replace(other, shadow_price=plan.shadow_price))


def test_prices_of_next_to_nothing():
    models = [Model("a", 1e-303, 0), Model("b", 2e-303, 0)]
    problem = Problem(models, [1], [0], utility=[[0.1] * 6 + [0.9] * 6])
    plan = solve(problem, 1.0, "best", cost="amortized")
    bounds = [
        verify(problem, dataclasses.replace(plan, shadow_price=price)).dual_bound for price in (0.0, 1e300, math.inf)
    ]
    assert bounds == [0.9, 1e300, None]
