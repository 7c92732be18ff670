"""Which solver keeps which constraint, and what the others say."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from robatch.instances import Constraints, InputError, generate
from robatch.solvers import Solver, choice, frontier, register, registry, sensitivity, solve, solvers, verify
from robatch.solvers.limits import excess, needs

COSTS = ["amortized", "realized"]
KINDS = ["max_queries", "max_calls", "max_cost", "min_group_utility", "group_budget"]
ALL = [*KINDS, "conflicts"]
REFUSED = [(entry.name, kind) for entry in solvers() for kind in ALL if kind not in entry.constraints]


def limited_by(kind):
    problem = generate("uncorrelated", queries=4, models=2, batch_sizes=(1, 2), seed=1).replace(groups=list("aabb"))
    if kind == "conflicts":
        return problem.replace(conflicts=[(0, 1)])
    label = "a" if kind in ("min_group_utility", "group_budget") else problem.models[0].name
    return problem.replace(constraints=Constraints(**{kind: {label: 1}}))


@pytest.mark.parametrize(("solver", "kind"), REFUSED)
def test_solvers_that_cannot_keep_a_constraint_say_who_can(solver, kind):
    problem = limited_by(kind)
    for cost in registry.get(solver).costs:
        if kind == "conflicts" and cost == "amortized":
            verify(problem, solve(problem, 1.0, solver, cost=cost))
            continue
        with pytest.raises(InputError, match=rf"solver '{solver}' cannot keep {kind} .*solvers that can are .*highs"):
            solve(problem, 1.0, solver, cost=cost)


def test_who_keeps_what():
    programs = {"highs", "cpsat", "scip", "cbc", "pulp-highs", "lp", "brute-force"}
    kept = {entry.name: entry.constraints for entry in solvers() if entry.constraints}
    everything = registry.COUPLED | {registry.OWN_COSTS}
    search = {"greedy": registry.COUPLED, "exact": frozenset({"conflicts"})}
    assert kept == {**dict.fromkeys(programs, everything), **search}


@pytest.mark.parametrize("kind", KINDS)
def test_frontier_and_sensitivity_refuse_constraints(kind):
    problem = limited_by(kind)
    plan = solve(problem.replace(constraints=None), 1.0, "greedy", cost="amortized")
    with pytest.raises(InputError, match=f"the frontier cannot keep {kind}"):
        frontier(problem, cost="amortized")
    with pytest.raises(InputError, match=f"sensitivity cannot keep {kind}"):
        sensitivity(problem, plan)
    free = problem.replace(constraints=None, conflicts=[(0, 1)])
    assert len(frontier(free, cost="amortized").budgets)
    assert len(sensitivity(free, plan).margin) == 4


def test_what_auto_stands_for():
    free = limited_by("max_calls").replace(constraints=None)
    assert choice.chosen("auto", free, "amortized").name == "exact"
    assert choice.chosen("auto", free.replace(conflicts=[(0, 1)]), "amortized").name == "exact"
    for kind in KINDS:
        for cost in COSTS:
            assert choice.chosen("auto", limited_by(kind), cost).name == "greedy"
            assert needs(limited_by(kind), cost) == [kind]


def test_a_third_party_says_what_it_keeps(monkeypatch):
    monkeypatch.setattr(registry, "_solvers", dict(registry._solvers))
    run = registry.get("highs").load()
    register(Solver("mine", "only queries", run, constraints=frozenset({"max_queries"})))
    assert solve(limited_by("max_queries"), 1.0, "mine", cost="amortized").status == "optimal"
    with pytest.raises(InputError, match="'mine' cannot keep max_cost"):
        solve(limited_by("max_cost"), 1.0, "mine", cost="amortized")


def test_excess_is_relative_to_the_limit():
    problem = limited_by("max_queries")
    name = problem.models[0].name
    states = np.zeros(4, dtype=np.int64)
    for limit, over in ((4, 0.0), (2, 1.0), (0, 4.0)):
        limited = problem.replace(constraints=Constraints(max_queries={name: limit}))
        assert excess(limited, states, "amortized") == over
    tight = dataclasses.replace(problem.constraints, max_queries={}, min_group_utility={"a": 1.0})
    assert 0 < excess(problem.replace(constraints=tight), states, "amortized") < 1
