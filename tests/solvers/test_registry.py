"""The registry: what solvers say of themselves, and solvers of other people."""

from __future__ import annotations

import pytest

from robatch.instances import InputError, MissingExtraError, generate
from robatch.solvers import Answer, Solver, VerificationError, register, registry, solve, solvers

PROBLEM = generate("uncorrelated", queries=5, models=2, batch_sizes=(1, 2), seed=0)
BUDGET = PROBLEM.budget_at(0.5)


@pytest.fixture
def clean(monkeypatch):
    monkeypatch.setattr(registry, "_solvers", dict(registry._solvers))


def test_names_and_versions():
    names = [entry.name for entry in solvers()]
    assert len(set(names)) == len(names)
    assert {"greedy", "pareto", "cpsat", "scip", "highs", "cbc", "lp", "brute-force"} <= set(names)
    assert all(entry.version not in (None, "unknown") for entry in solvers())


@pytest.mark.usefixtures("clean")
def test_a_third_party_registers_a_solver():
    def run(request):
        return Answer(request.problem.cheapest_assignment)

    register(Solver("mine", "always the cheapest", run))
    plan = solve(PROBLEM, BUDGET, "mine")
    assert plan.amortized_cost == pytest.approx(PROBLEM.cheapest_budget)
    assert plan.solver == "mine"
    with pytest.raises(InputError, match="registered already"):
        register(Solver("mine", "again", run))
    register(Solver("mine", "again", run), replace=True)


@pytest.mark.usefixtures("clean")
def test_a_solver_that_lies_is_caught():
    def spends_too_much(request):
        return Answer(request.problem.best_assignment, bound=1e9)

    register(Solver("liar", "spends too much", spends_too_much))
    with pytest.raises(VerificationError, match="over its budget"):
        solve(PROBLEM, BUDGET, "liar")


@pytest.mark.usefixtures("clean")
def test_a_bound_below_the_plan_is_caught():
    register(Solver("low", "bounds too low", lambda request: Answer(request.problem.best_assignment, bound=0.01)))
    with pytest.raises(VerificationError, match="below the utility"):
        solve(PROBLEM, PROBLEM.dearest_budget, "low", cost="amortized")


@pytest.mark.usefixtures("clean")
def test_a_missing_package_names_what_to_install():
    register(Solver("absent", "not there", "nowhere:run", module="no_such_module", package="nothing", extra="more"))
    entry = registry.get("absent")
    assert not entry.installed
    assert entry.version is None
    with pytest.raises(MissingExtraError, match=r"pip install 'robatch\[more\]'"):
        solve(PROBLEM, BUDGET, "absent")


@pytest.mark.usefixtures("clean")
def test_a_solver_of_one_cost_model_refuses_the_other():
    register(Solver("half", "amortized only", lambda request: Answer(), costs=("amortized",)))
    with pytest.raises(InputError, match=r"cost is 'realized': solver 'half' .* cost='amortized' is needed"):
        solve(PROBLEM, BUDGET, "half")
    assert solve(PROBLEM, BUDGET, "half", cost="amortized").status == "no_solution"
