"""Coupled constraints and conflicts: every exact backend beside brute force, and that beside a naive search."""

from __future__ import annotations

import importlib
import itertools
import math
from fractions import Fraction
from functools import cache

import numpy as np
import pytest

from robatch.instances import Constraints, Model, Problem, generate
from robatch.solvers import export, registry, solve, verify
from robatch.solvers.limits import amounts, entries, legal
from robatch.solvers.mip.constraints import cliques
from robatch.solvers.mip.formulation import build

cut_loop = importlib.import_module("robatch.solvers.mip.cut_loop")

BACKENDS = ["highs", "cpsat", "scip", "cbc", "pulp-highs"]
COSTS = ["amortized", "realized"]
KINDS = ["max_queries", "max_calls", "max_cost", "min_group_utility", "group_budget"]
SETTINGS = [(kind,) for kind in (*KINDS, "conflicts")] + [("max_calls", "conflicts"), (*KINDS, "conflicts")]
SEEDS = range(10)


# ---- a count in whole numbers that shares nothing with the package


def fewest_calls(queries, size, edges):
    """Return the least number of calls that hold some queries, by putting each in every call that can take it."""

    def place(left, calls):
        if not left:
            return len(calls)
        options = [place(left[1:], [*calls, [left[0]]])]
        for i, call in enumerate(calls):
            if len(call) < size and not any((min(left[0], q), max(left[0], q)) in edges for q in call):
                options.append(place(left[1:], [*calls[:i], [*call, left[0]], *calls[i + 1 :]]))
        return min(options)

    return place(list(queries), [])


def naive(problem, states, cost):
    """Return cost, and by kind and label what is used, of an assignment; money in fractions."""
    edges = set() if problem.conflicts is None else set(map(tuple, problem.conflicts.tolist()))
    groups = ["all"] * len(states) if problem.groups is None else problem.groups.tolist()
    used = {kind: {} for kind in KINDS}
    total = Fraction(0)
    worth = {}

    def add(kind, label, amount):
        used[kind][label] = used[kind].get(label, 0) + amount

    def spend(model, group, usd):
        nonlocal total
        total += usd
        add("max_cost", model.name, usd)
        add("group_budget", group, usd)

    columns = [(model, size) for model in problem.models for size in model.batch_sizes]
    cells = {}
    for i, s in enumerate(states):
        model, size = columns[s]
        k = problem.models.index(model)
        t_in, t_out = (
            Fraction(float(a[i, k if a.shape[1] > 1 else 0])) for a in (problem.input_tokens, problem.output_tokens)
        )
        price = Fraction(repr(model.price_in)) / 10**6
        usd = price * t_in + Fraction(repr(model.price_out)) / 10**6 * t_out
        usd += price * Fraction(model.shared_tokens) / size if cost == "amortized" else 0
        spend(model, groups[i], usd)
        add("max_queries", model.name, 1)
        worth.setdefault(groups[i], []).append(float(problem.utilities()[i, s]))
        cells.setdefault((groups[i], s), []).append(i)
    for (group, s), queries in cells.items():
        model, size = columns[s]
        calls = fewest_calls(queries, size, edges)
        add("max_calls", model.name, calls)
        if cost == "realized":
            spend(model, group, calls * Fraction(repr(model.price_in)) / 10**6 * Fraction(model.shared_tokens))
    used["min_group_utility"] = {label: math.fsum(values) / len(values) for label, values in worth.items()}
    return total, used


def naive_best(problem, budget, cost):
    """Return the greatest utility of all assignments that keep everything, None if none does."""
    allowed, best = problem.allowed(), None
    for states in itertools.product(*(np.flatnonzero(row) for row in allowed)):
        spent, used = naive(problem, states, cost)
        kept = float(spent) <= budget
        for entry in entries(problem):
            amount = used[entry.kind].get(entry.label, 0)
            if entry.kind == "min_group_utility":
                kept &= amount >= entry.limit * (1 - 1e-12)
            else:
                kept &= float(amount) <= entry.limit
        utility = math.fsum(float(problem.utilities()[i, s]) for i, s in enumerate(states))
        if kept and (best is None or utility > best):
            best = utility
    return best


# ---- problems


@cache
def case(seed, setting, cost, most=6):
    """Return a small problem with limits at or near what one assignment uses, and a budget."""
    rng = np.random.default_rng([seed, len(setting), *map(len, setting)])
    family = ("uncorrelated", "ties", "realistic", "adversarial", "strongly-correlated")[seed % 5]
    n, k = int(rng.integers(2, most + 1)), int(rng.integers(2, 4))
    sizes = ((1,), (1, 2), (1, 3), (2, 4), (1, 2, 4))[int(rng.integers(5 if n * k <= 12 else 4))]
    problem = generate(family, queries=n, models=k, batch_sizes=sizes if n * k < 18 else sizes[:1], seed=seed)
    if seed % 2 or "min_group_utility" in setting or "group_budget" in setting:
        problem = problem.replace(groups=rng.choice(["a", "b"], n))
    if seed % 3 == 0:  # windows that forbid the larger batches of the longer queries
        longest = problem.input_tokens.max(axis=1) + problem.output_tokens.max(axis=1)
        models = [
            model.replace(
                context_window=int(np.ceil((model.shared_tokens + model.batch_sizes[0] * longest.max()) / 0.8 + 1))
            )
            for model in problem.models
        ]
        problem = problem.replace(models=models, window_margin=0.2)
    if seed % 4 == 0:  # a forbidden pair for each query that has another one
        mask = np.zeros((n, problem.n_states), dtype=bool)
        mask[np.arange(n), rng.integers(0, problem.n_states, n)] = True
        mask[(problem.allowed() & ~mask).sum(axis=1) == 0] = False
        problem = problem.replace(forbidden=mask)
    if "conflicts" in setting:
        edges = [pair for pair in itertools.combinations(range(n), 2) if rng.random() < 0.5]
        problem = problem.replace(conflicts=edges)
    states = [int(rng.choice(np.flatnonzero(row))) for row in problem.allowed()]
    spent, used = naive(problem, states, cost)
    limits = {}
    for kind in KINDS:
        if kind not in setting:
            continue
        labels = (
            problem.group_labels if kind in ("min_group_utility", "group_budget") else [m.name for m in problem.models]
        )
        chosen = [label for label in labels if rng.random() < 0.7] or list(labels[:1])
        amounts_ = {label: float(used[kind].get(label, 0)) for label in chosen}
        if kind in ("max_queries", "max_calls"):
            limits[kind] = {label: max(0, int(v) + int(rng.integers(-1, 2))) for label, v in amounts_.items()}
        elif kind == "min_group_utility":
            limits[kind] = {label: min(1.0, v * float(rng.choice([1, 1, 0.9, 1.2]))) for label, v in amounts_.items()}
        else:
            limits[kind] = {label: v * float(rng.choice([1, 1, 1.2, 0.5])) for label, v in amounts_.items()}
    budget = max(float(spent) * float(rng.choice([1, 1, 1.2, 2, 0.9])), 1e-9)
    return problem.replace(constraints=Constraints(**limits)), budget


@cache
def optimum(seed, setting, cost):
    problem, budget = case(seed, setting, cost)
    return solve(problem, budget, "brute-force", cost=cost)


# ---- what is measured


@pytest.mark.parametrize("cost", COSTS)
def test_what_an_assignment_uses_is_the_naive_count(cost):
    rng = np.random.default_rng(5)
    for seed in range(12):
        problem, _ = case(seed, SETTINGS[-1], cost)
        every = Constraints(
            max_queries={model.name: 1 for model in problem.models},
            max_calls={model.name: 1 for model in problem.models},
            max_cost={model.name: 1 for model in problem.models},
            min_group_utility=dict.fromkeys(problem.group_labels, 0.5),
            group_budget=dict.fromkeys(problem.group_labels, 1),
        )
        problem = problem.replace(constraints=every)
        states = np.array([int(rng.choice(np.flatnonzero(row))) for row in problem.allowed()])
        spent, used = naive(problem, states, cost)
        assert problem.cost(states, cost) == float(spent)
        for entry, amount in zip(entries(problem), amounts(problem, states, cost), strict=True):
            exact = used[entry.kind].get(entry.label, 0)
            if entry.kind == "min_group_utility":
                assert amount == pytest.approx(exact, rel=1e-15)
            else:
                assert amount == float(exact), entry


@pytest.mark.parametrize("cost", COSTS)
def test_brute_force_is_a_naive_search(cost):
    feasible = 0
    for setting in SETTINGS:
        for seed in range(8):
            problem, budget = case(seed, setting, cost, most=4)
            if np.prod(problem.allowed().sum(axis=1)) > 700:
                continue
            plan, best = solve(problem, budget, "brute-force", cost=cost), naive_best(problem, budget, cost)
            assert (plan.status == "infeasible") == (best is None)
            if best is not None:
                feasible += 1
                assert plan.utility == pytest.approx(best, rel=1e-12)
    assert feasible > 20


# ---- backends


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("solver", BACKENDS)
@pytest.mark.parametrize("setting", SETTINGS, ids="+".join)
def test_exact_backends_equal_brute_force(solver, cost, setting):
    found = set()
    for seed in SEEDS:
        problem, budget = case(seed, setting, cost)
        best = optimum(seed, setting, cost)
        plan = solve(problem, budget, solver, cost=cost)
        found.add(plan.status)
        assert plan.status == best.status, (seed, plan, best)
        assert plan.limit is None
        verify(problem, plan)
        if best.utility is not None:
            assert legal(problem, plan.assignment, budget, cost)
            assert plan.utility == pytest.approx(best.utility, rel=1e-9, abs=1e-12), (seed, plan, best)
            assert plan.bound >= best.utility * (1 - 1e-12)
    assert found == {"optimal", "infeasible"} or setting == ("conflicts",)


@pytest.mark.parametrize("cost", COSTS)
def test_the_linear_relaxation_bounds_every_plan(cost):
    for setting in SETTINGS:
        for seed in SEEDS:
            problem, budget = case(seed, setting, cost)
            best = optimum(seed, setting, cost)
            bound = solve(problem, budget, "lp", cost=cost)
            verify(problem, bound)
            if best.utility is not None:
                assert bound.bound >= best.utility * (1 - 1e-12)
            if bound.status == "infeasible":
                assert best.status == "infeasible"


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize(
    "solver", ["exact", "highs", "greedy", "pareto", "cheapest", "router-only", "batch-only", "best"]
)
def test_pairs_and_margins_are_kept_by_every_solver(solver, cost):
    if cost not in registry.get(solver).costs:
        return
    for seed in range(0, 24, 2):
        problem, budget = case(seed, ("max_queries",), cost)
        problem = problem.replace(constraints=None)
        plan, best = solve(problem, budget, solver, cost=cost), solve(problem, budget, "brute-force", cost=cost)
        verify(problem, plan)
        if plan.utility is not None:
            assert problem.allowed()[np.arange(problem.n_queries), plan.assignment].all()
            assert plan.utility <= best.utility * (1 + 1e-12)
        if registry.get(solver).proves == "optimum":
            assert plan.status == best.status


@pytest.mark.parametrize("solver", BACKENDS)
def test_limits_at_what_a_plan_uses_to_the_last_bit(solver):
    rng = np.random.default_rng(11)
    for seed in range(6):
        problem = generate("uncorrelated", queries=4, models=2, batch_sizes=(1, 3), seed=seed)
        problem = problem.replace(groups=["a", "a", "b", "b"])
        states = rng.integers(0, problem.n_states, 4)
        for cost in COSTS:
            _, used = naive(problem, states, cost)
            for towards in (0.0, 1.0, 2.0):
                limits = {
                    kind: {
                        label: float(amount) if towards == 1.0 else math.nextafter(float(amount), towards)
                        for label, amount in used[kind].items()
                    }
                    for kind in ("max_cost", "group_budget")
                }
                limited = problem.replace(constraints=Constraints(**limits))
                plan = solve(limited, 1.0, solver, cost=cost)
                best = solve(limited, 1.0, "brute-force", cost=cost)
                assert plan.status == best.status
                if best.utility is not None:
                    assert legal(limited, plan.assignment, 1.0, cost)
                    assert plan.utility == pytest.approx(best.utility, rel=1e-9)


@pytest.mark.parametrize("solver", BACKENDS)
def test_where_rounds_run_out_a_legal_plan_and_a_true_bound_are_left(solver, monkeypatch):
    monkeypatch.setattr(cut_loop, "MAX_RECOUNTS", 1)
    monkeypatch.setattr(cut_loop, "MAX_EXCLUSIONS", 1)
    monkeypatch.setattr(cut_loop, "MAX_EXCLUSIONS_COUPLED", 1)
    open_ = 0
    for seed in range(20):
        problem, budget = case(seed, ("conflicts",), "realized")
        best = optimum(seed, ("conflicts",), "realized")
        plan = solve(problem, budget, solver, cost="realized")
        open_ += plan.status != best.status
        if plan.utility is not None:
            assert legal(problem, plan.assignment, budget, "realized")
            assert plan.utility <= best.utility * (1 + 1e-12)
        if plan.bound is not None and best.utility is not None:
            assert plan.bound >= best.utility * (1 - 1e-12)


def test_calls_that_cliques_do_not_ask_for_are_counted():
    """Five queries in a ring of conflicts need three calls, though no three of them conflict with each other."""
    ring = [(i, (i + 1) % 5) for i in range(5)]
    problem = Problem(
        [Model("a", 1.0, 1.0, 1000, batch_sizes=(5,)), Model("b", 1.0, 1.0, 0, batch_sizes=(1,))],
        [10] * 5, [1] * 5, utility=[[0.9, 0.1]] * 5, conflicts=ring,
    )  # fmt: skip
    three, two = (problem.realized_cost([0] * 5) * share for share in (1, 0.9))
    for solver in BACKENDS:
        assert solve(problem, three, solver, cost="realized").utility == pytest.approx(4.5)
        assert solve(problem, two, solver, cost="realized").utility == pytest.approx(3.7)
    limited = problem.replace(constraints=Constraints(max_calls={"a": 2}))
    for cost in COSTS:
        for solver in (*BACKENDS, "brute-force"):
            assert solve(limited, 1.0, solver, cost=cost).utility == pytest.approx(3.7)


def test_cliques_cover_every_conflict_and_nothing_else():
    rng = np.random.default_rng(0)
    for _ in range(30):
        edges = [pair for pair in itertools.combinations(range(9), 2) if rng.random() < 0.6]
        found = {pair for clique in cliques(np.array(edges)) for pair in itertools.combinations(clique.tolist(), 2)}
        assert found == set(edges)


@pytest.mark.parametrize("limit", [0, 1e-300, 1e300])
def test_limits_far_out_of_scale(limit):
    problem = generate("realistic", queries=5, models=2, batch_sizes=(1, 2), seed=2).replace(groups=list("aabbb"))
    name = problem.models[0].name
    for cost in COSTS:
        for limits in ({"max_cost": {name: limit}}, {"group_budget": {"a": limit}}):
            limited = problem.replace(constraints=Constraints(**limits))
            plans = [solve(limited, 1.0, solver, cost=cost) for solver in (*BACKENDS, "brute-force")]
            assert len({plan.status for plan in plans}) == 1
            if plans[-1].utility is not None:
                assert [plan.utility for plan in plans] == pytest.approx([plans[-1].utility] * 6, rel=1e-9)
    small = problem.replace(constraints=Constraints(min_group_utility={"a": min(limit, 1.0)}))
    statuses = {solve(small, 1.0, solver, cost="amortized").status for solver in (*BACKENDS, "brute-force")}
    assert statuses == ({"infeasible"} if limit == 1e300 else {"optimal"})


def test_an_initial_plan_that_breaks_a_constraint_is_no_plan():
    problem = generate("uncorrelated", queries=5, models=2, batch_sizes=(1, 2), seed=4)
    budget = problem.dearest_budget
    free = solve(problem, budget, "highs", cost="amortized")
    name = problem.states[int(free.assignment[0])].model
    limited = problem.replace(constraints=Constraints(max_queries={name: 0}))
    for solver in BACKENDS:
        plan = solve(limited, max(budget, limited.cheapest_budget * 10), solver, initial_plan=free, cost="amortized")
        assert plan.status == "optimal"
        assert {problem.states[s].model for s in plan.assignment}.isdisjoint({name})


# ---- the program and its file


@pytest.mark.parametrize("cost", COSTS)
def test_rows_have_names_and_even_scales(cost, tmp_path):
    problem, budget = case(3, SETTINGS[-1], cost)
    model = build(problem, budget, cost)
    names = model.row_names()
    assert len(names) == model.n_rows == len(set(names))
    kinds = {name.rstrip("0123456789_") for name in names}
    assert {entry.kind for entry in entries(problem)} <= kinds
    soft = np.flatnonzero(~np.isnan(model.right))
    assert (np.abs(model.right[soft]) >= 1).all()
    path = tmp_path / "model.lp"
    export(problem, budget, path, cost)
    assert all(f"{entry.kind}_" in path.read_text() for entry in entries(problem))
