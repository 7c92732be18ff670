"""`verify` catches every lie."""

from __future__ import annotations

import ast
import dataclasses
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from robatch.instances import InputError, Model, Problem, State
from robatch.solvers import Call, Plan, VerificationError, solve, verify

PROBLEM = Problem(
    [
        Model("small", 0.1, 0.4, 200, batch_sizes=(1, 4), context_window=500),
        Model("large", 2.0, 8.0, 200, batch_sizes=(1, 4)),
    ],
    input_tokens=[30, 40, 50, 90],
    output_tokens=[5, 5, 9, 9],
    utility=[[0.5, 0.3, 0.9, 0.8], [0.2, 0.1, 0.8, 0.8], [0.9, 0.7, 0.9, 0.9], [0.4, 0.4, 0.5, 0.5]],
    groups=["a", "a", "b", "b"],
)
BUDGET = PROBLEM.budget_at(0.6)


@pytest.mark.parametrize("cost", ["amortized", "realized"])
def test_true_plans_pass(cost):
    verify(PROBLEM, solve(PROBLEM, BUDGET * 2, "highs", cost=cost))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"utility": 3.5}, "utility is said to be"),
        ({"amortized_cost": 1e-9}, "amortized cost is said to be"),
        ({"realized_cost": 1e-9}, "realized cost is said to be"),
        ({"budget": 1e-9}, "over its budget"),
        ({"bound": 0.1}, "below the utility"),
        ({"bound": None, "status": "optimal"}, "without a bound"),
        ({"bound": 4.0, "status": "optimal"}, "called optimal"),
        ({"bound": float("inf")}, "bound is inf"),
        ({"assignment": np.array([0, 0, 0])}, "one state for each"),
        ({"assignment": np.array([0, 0, 0, 4])}, "outside 0 to 3"),
        ({"assignment": np.array([0, 0, 0, 1])}, "do not fit the context window"),
        ({"assignment": None}, "needs one state"),
        ({"status": "excellent"}, "status is 'excellent'"),
        ({"status": "no_solution"}, "cannot have an assignment"),
        ({"cost": "banana"}, "cost is 'banana'"),
        ({"limit": "moon"}, "limit is 'moon'"),
        ({"limit": "time", "status": "optimal"}, "called optimal, and stopped"),
        ({"budget": float("nan")}, "budget is nan"),
        ({"shadow_price": -5.0}, "shadow price -5"),
        ({"query_ids": np.array(["a", "b", "c", "d"])}, "query ids"),
        ({"states": PROBLEM.states[::-1]}, "made for another one"),
    ],
)
def test_lies_are_found(change, complaint):
    plan = dataclasses.replace(solve(PROBLEM, BUDGET, "highs", cost="amortized"), **change)
    with pytest.raises(VerificationError, match=complaint):
        verify(PROBLEM, plan)


def test_infeasible_is_not_believed_where_a_plan_exists():
    plan = solve(PROBLEM, PROBLEM.cheapest_budget / 2, cost="amortized")
    verify(PROBLEM, plan)
    with pytest.raises(VerificationError, match="called infeasible, but a plan costs"):
        verify(PROBLEM, dataclasses.replace(plan, budget=PROBLEM.cheapest_budget * 1.1))


@pytest.mark.parametrize("cost", ["amortized", "realized"])
def test_optimal_is_not_believed_where_one_query_can_do_better(cost):
    plan = solve(PROBLEM, PROBLEM.realized_cost(PROBLEM.best_assignment) * 2, "cheapest", cost=cost)
    lie = dataclasses.replace(plan, status="optimal", bound=plan.utility)
    with pytest.raises(VerificationError, match="alone gains"):
        verify(PROBLEM, lie)


def test_infeasible_realized_is_not_believed_either():
    plan = solve(PROBLEM, PROBLEM.cheapest_budget / 2, cost="realized")
    with pytest.raises(VerificationError, match="called infeasible, but a plan costs"):
        verify(PROBLEM, dataclasses.replace(plan, budget=1.0))


def test_a_file_whose_rows_were_changed_is_refused(tmp_path):
    import pyarrow.parquet as pq

    path = tmp_path / "plan.parquet"
    solve(PROBLEM, BUDGET, "greedy", cost="amortized").write(path)
    table = pq.read_table(path)
    for column in ("model", "batch_size", "call"):
        values = table[column].to_pylist()
        values[0] = {"model": "zzz", "batch_size": 99, "call": 77}[column]
        at = table.column_names.index(column)
        changed = table.set_column(at, column, [values])
        pq.write_table(changed.cast(table.schema).replace_schema_metadata(table.schema.metadata), path)
        with pytest.raises(InputError, match="models, batch sizes or calls"):
            Plan.read(path)


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda calls: calls[:-1], "in 0 calls"),
        (lambda calls: [*calls, calls[0]], "in 2 calls"),
        (lambda calls: [Call(calls[0].state, np.arange(4)), *calls[1:]], "holds"),
    ],
)
def test_illegal_calls_are_found(spoil, complaint, monkeypatch):
    plan = solve(PROBLEM, BUDGET, "greedy", cost="amortized")
    calls = spoil(plan.calls())
    monkeypatch.setattr(Plan, "calls", lambda _: calls)
    with pytest.raises(VerificationError, match=complaint):
        verify(PROBLEM, plan)


def test_a_call_of_another_group_or_no_state_is_found(monkeypatch):
    problem = PROBLEM.replace(models=[model.replace(context_window=None) for model in PROBLEM.models])
    plan = solve(problem, BUDGET, "cheapest", cost="amortized")
    a, b = plan.calls()
    assert a.state == b.state == State("small", 4)
    mixed = [Call(a.state, np.array([0, 2])), Call(b.state, np.array([1, 3]))]
    unknown = [a, Call(State("large", 64), b.queries)]
    for calls, complaint in ((mixed, "different groups"), (unknown, "another state"), ([], "query 0 is in 0 calls")):
        monkeypatch.setattr(Plan, "calls", lambda _, calls=calls: calls)
        with pytest.raises(VerificationError, match=complaint):
            verify(problem, plan)


def test_group_numbers_that_are_not_the_groups_are_not_believed():
    plan = solve(PROBLEM, BUDGET, "cheapest", cost="amortized")  # batches of four that are not full
    assert plan.realized_cost > plan.amortized_cost
    for codes in ([0, 0, 0, 0], [0, 1, 2, 3], [0, 1, 0, 1], [0, 0, -1, -1], [7, 7, 8, 8]):
        lie = dataclasses.replace(plan, group_codes=np.array(codes))
        assert verify(PROBLEM, lie, calls=False).realized_cost == pytest.approx(plan.realized_cost, rel=1e-15)
    lie = dataclasses.replace(plan, group_codes=np.zeros(4, dtype=np.int64))
    with pytest.raises(VerificationError, match="different groups"):
        verify(PROBLEM, lie)


def test_a_budget_that_does_not_bind_has_a_price_of_nothing():
    plan = solve(PROBLEM, PROBLEM.dearest_budget * 2, "greedy", cost="amortized")
    assert plan.shadow_price == 0
    assert verify(PROBLEM, plan).dual_bound == pytest.approx(PROBLEM.utilities().max(axis=1).sum(), rel=1e-15)


@pytest.mark.parametrize("price", [math.inf, 1e300, 1e15])
def test_a_price_that_rounding_blurs_proves_nothing(price):
    plan = dataclasses.replace(solve(PROBLEM, PROBLEM.cheapest_budget, "greedy", cost="amortized"), shadow_price=price)
    assert verify(PROBLEM, plan).dual_bound is None


def test_verify_shares_no_code_with_solvers():
    allowed = {"__future__", "collections.abc", "dataclasses", "typing", "math", "numpy", "numpy.typing", "numba"}
    allowed |= {
        f"robatch.{name}"
        for name in (
            "instances.arrays",
            "instances.compilation",
            "instances.errors",
            "instances.model",
            "instances.prices.entry",
            "instances.problem",
            "solvers.plan.given",
            "solvers.plan.packing",
            "solvers.plan.plan",
        )
    }
    room = {f"robatch.solvers.check.{name}" for name in ("calls", "constraints", "kernels", "raw", "tiers", "verify")}
    allowed |= room
    for module in room:
        tree = ast.parse(Path(sys.modules[module].__file__).read_text(encoding="utf-8"))
        nodes = list(ast.walk(tree))
        imported = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
        imported |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        assert imported <= allowed
        packing = [node for node in nodes if isinstance(node, ast.ImportFrom) and "packing" in str(node.module)]
        assert {alias.name for node in packing for alias in node.names} <= {"Call", "Calls"}  # what a plan hands over
