"""The realized cost of a plan is what its calls bill, one by one, to the last digit."""

from __future__ import annotations

from fractions import Fraction

import pytest

import robatch
from robatch.solvers import solve, verify


def bill(problem: robatch.Problem, plan: robatch.Plan) -> Fraction:
    """Send every call to nobody: the shared prompt once, then each query's own tokens, as a provider counts them."""
    models = {model.name: (k, model) for k, model in enumerate(problem.models)}
    usd = Fraction(0)
    for call in plan.calls():
        k, model = models[call.state.model]
        price_in, price_out = Fraction(repr(model.price_in)) / 10**6, Fraction(repr(model.price_out)) / 10**6
        usd += price_in * Fraction(model.shared_tokens)
        for query in call.queries:
            inputs, outputs = problem.input_tokens[query], problem.output_tokens[query]
            usd += price_in * Fraction(float(inputs[k if len(inputs) > 1 else 0]))
            usd += price_out * Fraction(float(outputs[k if len(outputs) > 1 else 0]))
    return usd


@pytest.mark.parametrize("fraction", [0.02, 0.1, 0.3, 0.6, 1.0])
@pytest.mark.parametrize("solver", ["greedy", "highs"])
def test_measured(solver, fraction):
    problem = robatch.load("measured")
    budget = problem.budget_at(fraction)
    plan = solve(problem, budget, solver, cost="realized", time_limit=10)
    verify(problem, plan)
    billed = bill(problem, plan)
    assert billed <= Fraction(budget)
    assert float(billed) == plan.realized_cost


def test_read_back(tmp_path):
    problem = robatch.load("measured")
    plan = solve(problem, problem.budget_at(0.2), "greedy", cost="realized")
    plan.write(tmp_path / "plan.parquet")
    again = robatch.Plan.read(tmp_path / "plan.parquet")
    assert float(bill(problem, again)) == plan.realized_cost
