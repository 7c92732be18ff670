"""The exact solver beside every mixed-integer backend, on problems that brute force cannot do."""

from __future__ import annotations

import pytest

from robatch.instances import FAMILIES, generate
from robatch.solvers import solve, solvers, verify

BACKENDS = [entry.name for entry in solvers() if entry.proves == "optimum" and entry.package != "robatch"]
EASY = sorted(set(FAMILIES) - {"adversarial", "strongly-correlated", "subset-sum"})


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("family", EASY)
@pytest.mark.parametrize(("queries", "fraction"), [(25, 0.2), (60, 0.6)])
def test_every_backend_agrees(backend, family, queries, fraction):
    problem = generate(family, queries=queries, models=3, batch_sizes=(1, 4), seed=queries)
    budget = max(problem.budget_at(fraction), 1e-9)
    exact, other = (
        solve(problem, budget, "exact", cost="amortized"),
        solve(problem, budget, backend, time_limit=30, cost="amortized"),
    )
    verify(problem, exact)
    assert exact.status == other.status == "optimal"
    assert exact.utility == pytest.approx(other.utility, rel=1e-9)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("family", sorted(set(FAMILIES) - set(EASY)))
def test_no_backend_contradicts_it_where_proofs_are_hard(backend, family):
    problem = generate(family, queries=40, models=3, batch_sizes=(1, 4), seed=2)
    budget = problem.budget_at(0.4)
    exact, other = (
        solve(problem, budget, "exact", cost="amortized"),
        solve(problem, budget, backend, time_limit=1, cost="amortized"),
    )
    assert exact.status == "optimal"
    assert other.utility <= exact.utility * (1 + 1e-9)
    assert other.bound is None or other.bound >= exact.utility * (1 - 1e-9)
