"""Kernels run as Python before they are compiled: the same plans to the last bit, given up in time."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest

from robatch.instances import compilation, generate, interpretation
from robatch.instances.compilation import njit
from robatch.solvers import solve

PROBLEMS = (("realistic", 25, "float64"), ("ties", 12, "float32"), ("adversarial", 10, "float64"))
SOLVED = (("exact", "amortized"), ("greedy", "amortized"), ("greedy", "realized"))
PAIR = np.dtype([("count", np.int64), ("usd", np.float64)])


def plans() -> list[list[object]]:
    """Return what is known of plans, to the last bit."""
    found: list[list[object]] = []
    for family, queries, dtype in PROBLEMS:
        problem = generate(family, queries=queries, seed=1, dtype=dtype)
        for kind in (problem, problem.replace(groups=[i % 2 for i in range(queries)])):
            for solver, cost in SOLVED:
                plan = solve(kind, kind.budget_at(0.4), solver, cost=cost)
                figures = [plan.utility, plan.bound, plan.amortized_cost, plan.realized_cost, plan.shadow_price]
                states = None if plan.assignment is None else plan.assignment.tolist()
                hexed = [None if one is None else float(one).hex() for one in figures]
                found.append([family, solver, cost, plan.status, *hexed, states])
    return found


def test_plans_are_the_same_whether_kernels_are_compiled_or_not(tmp_path):
    script = (
        "import json, numba\n"
        "from tests.instances.test_tiers import plans\n"
        "from robatch.solvers.bounds.relaxation_kernels import steps\n"
        "found = plans()\n"
        "assert not steps.overloads and steps.spent > 0, 'it was compiled'\n"
        "print(json.dumps(found))\n"
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    patience, compilation.PATIENCE = compilation.PATIENCE, 0.0
    try:
        assert plans() == json.loads(done.stdout)
    finally:
        compilation.PATIENCE = patience


@njit(inner=True)
def added(total: float, value: float) -> float:
    return total + value


def summed(values, pairs, times):
    total = 0.0
    for _ in range(times):
        for i in range(values.size):
            total = added(total, values[i])
            values[i] += 1.0
            pairs[i].count += 1
            pairs[i].usd = total
    return total, values.size


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("times", [1, 3])
def test_a_kernel_changes_its_arguments_alike_in_both_tiers(times, kept):
    kernel = njit(small=True)(summed)
    kernel.spent = math.inf if kept else 0.0
    values, pairs = np.arange(5.0), np.zeros(5, dtype=PAIR)
    result = kernel(values, pairs, times)
    assert bool(kernel.overloads) is kept
    assert result == (sum(sum(range(5)) + 5 * t for t in range(times)), 5)
    assert [*map(type, result)] == [float, int]
    assert values.tolist() == [i + times for i in range(5)]
    assert pairs["count"].tolist() == [times] * 5
    assert pairs["usd"][-1] == result[0]


@pytest.mark.parametrize("why", ["large", "spent", "in the middle"])
def test_a_kernel_is_compiled_when_python_would_take_long(monkeypatch, why):
    monkeypatch.setattr(compilation, "SMALL", 3 if why == "large" else 1000)
    monkeypatch.setattr(compilation, "PATIENCE", {"large": 1.0, "spent": -1.0, "in the middle": 1e-3}[why])
    kernel = njit(small=True)(summed)
    values, pairs = np.zeros(5), np.zeros(5, dtype=PAIR)
    total, _ = kernel(values, pairs, 20_000)
    assert len(kernel.overloads) == 1
    assert (kernel.spent > 0.0) is (why == "in the middle")
    assert values.tolist() == [20_000.0] * 5  # what had been done before was undone
    assert pairs["count"].tolist() == [20_000] * 5
    assert total == 5 * sum(range(20_000))


def test_where_it_is_given_up_everything_is_as_before():
    values, pairs = np.zeros(5), np.zeros(5, dtype=PAIR)
    with pytest.raises(interpretation.Impatient):
        interpretation.run(summed, (values, pairs, 10**9), patience=1e-3)
    assert not values.any()
    assert not pairs["count"].any()
    assert interpretation.here.deadline is None


@pytest.mark.parametrize(
    "value", [np.float64(0.5), np.int64(2), np.bool_(True), (np.float32(0.5), (np.int8(1), None)), 3, "text"]
)
def test_results_hold_numbers_of_python(value):
    found = interpretation.plain(value)
    flat = found if isinstance(found, tuple) else (found,)
    assert found == value
    assert not any(isinstance(one, np.generic) for one in flat)
