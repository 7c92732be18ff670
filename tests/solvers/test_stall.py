"""HiGHS going round in circles: noticed, ended, and begun again with another seed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from robatch.instances import generate
from robatch.solvers import solve, verify
from robatch.solvers.mip import highs_watchdog
from robatch.solvers.mip.cut_loop import Outcome
from robatch.solvers.registry import Request


@pytest.fixture(autouse=True)
def no_program_stalls_highs():
    """Stalls are simulated here: see conftest.py for all other tests."""


@pytest.fixture
def problem():
    return generate("realistic", queries=40, models=4, seed=1)


def checks(watch, count, nodes=0, bound=1.0):
    """Check the limits `count` times; tell whether the last one was answered with an order to end."""
    order = SimpleNamespace(user_interrupt=False)
    for _ in range(count):
        watch(0, "", SimpleNamespace(mip_node_count=nodes, mip_dual_bound=bound, mip_primal_bound=0.0), order, None)
    return order.user_interrupt


def test_only_checks_without_progress_end_a_run():
    watch = highs_watchdog.Watch()
    for node in range(5):
        assert not checks(watch, highs_watchdog.MAX_CHECKS, node)
    assert not checks(watch, highs_watchdog.MAX_CHECKS, 4, bound=0.9)
    assert not watch.stalled
    assert checks(watch, 1, 4, bound=0.9)
    assert watch.stalled


def test_a_stalled_run_begins_again_with_another_seed(problem):
    seeds = []

    def run(request, watch):
        seeds.append(request.seed)
        assert request.time_limit is None
        watch.stalled = len(seeds) < 3
        return Outcome(bound=float(len(seeds)))

    assert highs_watchdog.until_progress(run, Request(problem, 1.0, "amortized", seed=7)) == Outcome(bound=3.0)
    assert seeds == [7, 8, 9]


def test_all_attempts_share_one_time_limit(problem):
    limits = []

    def run(request, watch):
        limits.append(request.time_limit)
        watch.stalled = True
        return Outcome(bound=2.0)

    outcome = highs_watchdog.until_progress(run, Request(problem, 1.0, "amortized", time_limit=1e-9))
    assert limits == [1e-9]
    assert (outcome.limit, outcome.bound) == ("time", 2.0)


@pytest.mark.parametrize("solver", ["highs", "pulp-highs"])
def test_a_run_that_always_stalls_says_so_and_keeps_its_plan(problem, solver, monkeypatch):
    monkeypatch.setattr(highs_watchdog, "MAX_CHECKS", 3)
    budget = problem.budget_at(0.1)
    plan = solve(problem, budget, solver, cost="realized")
    verify(problem, plan)
    assert (plan.status, plan.limit) == ("feasible", "other")
    assert "stopped making progress" in plan.message
    assert plan.bound is None or plan.bound >= plan.utility
