"""`verify` catches every lie."""

from __future__ import annotations

import ast
import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

from robatch.instances import InputError, Model, Problem
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
    plan = dataclasses.replace(solve(PROBLEM, BUDGET, "highs"), **change)
    with pytest.raises(VerificationError, match=complaint):
        verify(PROBLEM, plan)


def test_infeasible_is_not_believed_where_a_plan_exists():
    plan = solve(PROBLEM, PROBLEM.cheapest_budget / 2)
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
    solve(PROBLEM, BUDGET, "greedy").write(path)
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
    plan = solve(PROBLEM, BUDGET, "greedy")
    calls = spoil(plan.calls())
    monkeypatch.setattr(Plan, "calls", lambda _: calls)
    with pytest.raises(VerificationError, match=complaint):
        verify(PROBLEM, plan)


def test_verify_shares_no_code_with_solvers():
    source = Path(sys.modules[verify.__module__].__file__)
    tree = ast.parse(source.read_text(encoding="utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported <= {"__future__", "collections.abc", "typing", "robatch.instances.problem", "robatch.solvers.plan"}
