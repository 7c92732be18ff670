"""Every solver on small problems of every family: exact ones reach the optimum, no one breaks the budget."""

from __future__ import annotations

import pytest

from robatch.instances import FAMILIES
from robatch.solvers import solve, solvers, verify

ENTRIES = [(entry.name, cost, entry.proves) for entry in solvers() for cost in entry.costs]
EXACT = [(name, cost) for name, cost, proves in ENTRIES if proves == "optimum" and name != "brute-force"]
OTHERS = [(name, cost) for name, cost, proves in ENTRIES if proves != "optimum"]
INSTANCES = 200
BACKENDS = sorted({name for name, _ in EXACT} - {"exact"})


def seeds(solver):
    """All for our own solver; each mixed-integer backend takes three sevenths, and together they take all.

    Seven has no factor in common with what seeds decide on in `make_case`.
    """
    if solver not in BACKENDS:
        return range(INSTANCES)
    first = BACKENDS.index(solver)
    return [seed for seed in range(INSTANCES) if (seed - first) % 7 in (0, 1, 3)]


def test_every_solver_is_installed():
    assert [entry.name for entry in solvers() if not entry.installed] == []


def test_every_instance_is_solved_by_a_backend():
    taken = [seed for solver in BACKENDS for seed in seeds(solver)]
    assert min(taken.count(seed) for seed in range(INSTANCES)) >= 1


@pytest.mark.parametrize(("solver", "cost"), EXACT)
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_exact_solvers_equal_brute_force(case, optimum, family, solver, cost):
    for seed in seeds(solver):
        problem, budget = case(family, seed)
        best = optimum(family, seed, cost)
        plan = solve(problem, budget, solver, cost=cost)
        assert plan.status == best.status, (seed, plan, best)
        assert plan.limit is None
        if best.utility is None:
            assert plan.assignment is None
            continue
        verify(problem, plan)
        assert plan.utility == pytest.approx(best.utility, rel=1e-9, abs=1e-12), (seed, plan, best)
        assert plan.bound >= best.utility * (1 - 1e-12), (seed, plan, best)


@pytest.mark.parametrize(("solver", "cost"), OTHERS)
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_other_solvers_keep_the_budget_and_bound_the_optimum(case, optimum, family, solver, cost):
    found = 0
    for seed in range(INSTANCES):
        problem, budget = case(family, seed)
        best = optimum(family, seed, cost)
        plan = solve(problem, budget, solver, cost=cost)
        verify(problem, plan)
        if plan.utility is not None:
            found += 1
            assert problem.cost(plan.assignment, cost) <= budget
            assert best.utility is not None
            assert plan.utility <= best.utility * (1 + 1e-12), (seed, plan, best)
        if plan.bound is not None and best.utility is not None:
            assert plan.bound >= best.utility * (1 - 1e-12), (seed, plan, best)
        if plan.status == "infeasible":
            assert best.status == "infeasible"
            assert "below" in plan.message
    assert found > 0 or solver in ("lp", "best", "router-only", "batch-only")


@pytest.mark.parametrize("solver", ["greedy", "pareto", "cheapest"])
def test_schedulers_find_a_plan_whenever_the_cheapest_one_fits(case, solver):
    for family in FAMILIES:
        for seed in range(0, INSTANCES, 4):
            problem, budget = case(family, seed)
            if problem.cheapest_budget <= budget:
                assert solve(problem, budget, solver).utility is not None
