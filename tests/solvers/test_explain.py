"""Why there is no plan: the limits that are named conflict, none of them can be spared, and what would be enough is."""

from __future__ import annotations

import dataclasses
import importlib
import re

import numpy as np
import pytest

from robatch.instances import Constraints, InputError, Model, Problem, generate
from robatch.solvers import Clash, explain, solve

clashes = importlib.import_module("robatch.solvers.infeasible.conflict_set")
explaining = importlib.import_module(
    "robatch.solvers.infeasible.explain"
)  # by full name: `robatch.solvers.infeasible.explain` is the function

COSTS = ["amortized", "realized"]


def small(**limits):
    """Two models; the large one answers well, the small one badly."""
    problem = Problem(
        [Model("small", 0.1, 0.4, 200, batch_sizes=(1, 2)), Model("large", 2.0, 8.0, 200, batch_sizes=(1, 2))],
        [30, 40, 50, 60], [5] * 4, utility=[[0.2, 0.1, 0.9, 0.8]] * 4, groups=list("aabb"),
    )  # fmt: skip
    return problem.replace(constraints=Constraints(**limits))


def changed(problem, budget, clash, limit):
    """Return a problem and a budget with another number in place of a clash's."""
    if clash.kind == "budget":
        return problem, limit
    constraints = problem.constraints or Constraints()
    limits = {**getattr(constraints, clash.kind), clash.label: limit}
    return problem.replace(constraints=dataclasses.replace(constraints, **{clash.kind: limits})), budget


def without(problem, budget, clash, named):
    """Return a problem and a budget that keep of the limits `named` all but one."""
    kept = {}
    for other in named:
        if other is not clash and other.kind != "budget":
            kept.setdefault(other.kind, {})[other.label] = other.limit
    enough = any(other.kind == "budget" for other in named if other is not clash)
    return problem.replace(constraints=Constraints(**kept)), budget if enough else 1e6


def feasible(problem, budget, cost):
    return solve(problem, budget, "brute-force", cost=cost).status != "infeasible"


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("apart", [False, True])
def test_explanations_are_true(cost, apart):
    explained = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        n, k = int(rng.integers(2, 6)), int(rng.integers(2, 4))
        problem = generate("realistic", queries=n, models=k, batch_sizes=((1, 2), (1,), (3,))[seed % 3], seed=seed)
        problem = problem.replace(groups=rng.choice(["a", "b"], n))
        names, labels = [model.name for model in problem.models], problem.group_labels
        if apart:
            problem = problem.replace(conflicts=[(0, 1)] if n < 4 else [(0, 1), (1, 2), (2, 3), (0, 2)])
        problem = problem.replace(
            constraints=Constraints(
                max_queries={names[0]: int(rng.integers(0, 3))},
                max_calls={name: int(rng.integers(0, 4)) for name in names},
                max_cost={names[1]: problem.budget_at(0.3)},
                min_group_utility={label: float(rng.random()) for label in labels},
                group_budget={label: problem.budget_at(float(rng.random())) / 2 for label in labels},
            )
        )
        budget = problem.budget_at(float(rng.random()))
        found = explain(problem, budget, cost)
        assert found.feasible == feasible(problem, budget, cost)
        if found.feasible:
            assert found.clashes == ()
            continue
        explained += 1
        assert found.smallest
        for clash in found.clashes:
            assert not feasible(*without(problem, budget, None, found.clashes), cost)
            assert feasible(*without(problem, budget, clash, found.clashes), cost)
            if clash.among:
                open_ = {"min_group_utility": 0.0, "max_queries": n, "max_calls": n}.get(clash.kind, 1e6)
                assert not feasible(*changed(problem, budget, clash, open_), cost)
                others = without(problem, budget, clash, found.clashes)
                named = changed(*others, clash, clash.enough)
                assert feasible(*named, cost)
                continue
            assert feasible(*changed(problem, budget, clash, clash.enough), cost)
            step = -1 if clash.kind in ("max_queries", "max_calls") else -1e-6 * clash.enough
            nearer = clash.enough - step if clash.kind == "min_group_utility" else clash.enough + step
            if nearer >= 0 and (clash.kind != "min_group_utility" or nearer <= 1):
                assert not feasible(*changed(problem, budget, clash, nearer), cost)
    assert explained > 5


@pytest.mark.parametrize("cost", COSTS)
def test_the_sentence_names_limits_and_what_would_be_enough(cost):
    problem = small(max_queries={"large": 1}, min_group_utility={"a": 0.5, "b": 0.5}, max_cost={"small": 1.0})
    plan = solve(problem, 1.0, "highs", cost=cost)
    assert plan.status == "infeasible"
    assert plan.message == explain(problem, 1.0, cost).message
    assert plan.message == (
        "no plan keeps together: max_queries of model 'large', 1 query (alone, 2 queries would be enough); "
        "min_group_utility of group 'a', 0.5 (alone, 0.2 would be enough); "
        f"min_group_utility of group 'b', 0.5 (alone, 0.2 would be enough) ({cost} cost)"
    )


def test_a_limit_that_no_plan_keeps_stands_alone():
    found = explain(small(min_group_utility={"a": 0.95}), 1.0, cost="amortized")
    assert [(clash.kind, clash.label, clash.limit, clash.enough) for clash in found.clashes] == [
        ("min_group_utility", "a", 0.95, pytest.approx(0.9, rel=1e-12))
    ]
    assert found.message.startswith("no plan keeps: min_group_utility of group 'a', 0.95")


@pytest.mark.parametrize("cost", COSTS)
def test_a_budget_is_explained_too(cost):
    problem = small(max_queries={"small": 2})
    budget = problem.cheapest_budget / 2
    plan = solve(problem, budget, "highs", cost=cost)
    (clash,) = explain(problem, budget, cost).clashes
    assert clash.kind == "budget"
    assert feasible(*changed(problem, budget, clash, clash.enough), cost)
    said = float(re.search(r"alone, ([0-9.e-]+) USD would be enough", plan.message)[1])
    assert clash.enough <= said <= clash.enough * (1 + 1e-5)  # rounded to the safe side
    assert feasible(problem, said, cost)


def test_without_constraints_the_message_is_that_of_the_budget():
    problem = small()
    assert problem.constraints is None
    plan = solve(problem, problem.cheapest_budget / 2, "highs", cost="amortized")
    assert "USD below the cheapest plan" in plan.message
    assert explain(problem, 1.0, cost="amortized").feasible
    assert [clash.kind for clash in explain(problem, problem.cheapest_budget / 2, cost="amortized").clashes] == [
        "budget"
    ]


def test_calls_that_conflicts_need_are_explained():
    problem = small(max_calls={"large": 1, "small": 1}).replace(groups=None)
    assert explain(problem, 1.0, cost="amortized").feasible
    for cost in COSTS:  # the first query needs a call of its own, and the others two
        found = explain(problem.replace(conflicts=[(0, 1), (0, 2), (0, 3)]), 1.0, cost)
        assert found.message == (
            "no plan keeps together: max_calls of model 'large', 1 call (alone, 2 calls would be enough); "
            f"max_calls of model 'small', 1 call (alone, 2 calls would be enough) ({cost} cost)"
        )


def test_what_time_and_size_leave_open_is_said(monkeypatch):
    problem = small(max_queries={"large": 0, "small": 1})
    found = explain(problem, 1.0, time_limit=1e-9, cost="amortized")
    assert (found.feasible, found.clashes, found.smallest) == (None, (), False)
    assert "not decided in 1e-09 s" in found.message
    assert "was not found in time" in str(Clash("max_queries", "large", 3))
    monkeypatch.setattr(explaining, "MAX_CANDIDATES", 3)
    assert "too large" in explain(problem, 1.0, cost="amortized").message
    assert solve(problem, 1.0, "highs", cost="amortized").status == "infeasible"


def test_where_the_smallest_set_takes_too_long_a_larger_one_is_named(monkeypatch):
    problem = small(max_queries={"large": 0, "small": 1}, max_cost={"large": 1.0})
    monkeypatch.setattr(clashes.Search, "prices", lambda search: search.limits)
    monkeypatch.setattr(clashes, "SUBSET_SHARE", 0.0)
    found = explain(problem, 1.0, cost="amortized")
    assert found.feasible is False
    assert not found.smallest
    assert len(found.clashes) == 4


@pytest.mark.parametrize("cost", COSTS)
def test_large_problems_are_told_apart_by_linear_programs(cost, monkeypatch):
    problem = small(max_queries={"large": 1}, min_group_utility={"a": 0.5, "b": 0.5}, max_cost={"small": 1.0})
    found = explain(problem, 1.0, cost)
    monkeypatch.setattr(clashes, "MAX_SOLVED", 1)
    assert explain(problem, 1.0, cost).message == found.message
    assert explain(problem, 1.0, cost).smallest  # as for each clash what would be enough was found


@pytest.mark.parametrize("cost", COSTS)
def test_where_what_would_be_enough_is_not_found_what_is_needed_is_said(cost, monkeypatch):
    problem = small(max_queries={"large": 1}, min_group_utility={"a": 0.5, "b": 0.5})
    true = {(clash.kind, clash.label): clash.enough for clash in explain(problem, 1.0, cost).clashes}
    monkeypatch.setattr(clashes.Search, "enough", lambda *_: (None, False))
    for clash in explain(problem, 1.0, cost).clashes:
        assert clash.enough is None
        below = clash.needed if clash.kind != "min_group_utility" else -clash.needed
        above = true[clash.kind, clash.label] * (1 if clash.kind != "min_group_utility" else -1)
        assert below <= above + 1e-9
        words = "no plan has more than" if clash.kind == "min_group_utility" else "at least 2 queries would be needed"
        assert f"(alone, {words}" in str(clash)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [((-1.0,), "budget is -1"), ((1.0, "free"), "cost is 'free'"), ((1.0, "realized", 0), "time_limit is 0")],
)
def test_bad_arguments_are_named(arguments, words):
    with pytest.raises(InputError, match=words):
        explain(small(), *arguments)
