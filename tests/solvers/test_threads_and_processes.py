"""Solves in threads that ask for different numbers of threads, and in processes made in every way, after other solves.

Nothing here waits without a limit.
"""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from types import SimpleNamespace

import highspy
import joblib
import pytest

from robatch.instances import generate
from robatch.solvers import cheapest, explain, solve
from robatch.solvers.mip import highs_watchdog, scip
from robatch.solvers.mip.own_thread import in_own_thread

SECONDS = 120.0  # a wait that lasts longer is one for ever
PROBLEM = generate("uncorrelated", queries=8, models=2, batch_sizes=(1, 4), seed=3)
BUDGET = PROBLEM.budget_at(0.4)
SOLVERS = ["highs", "pulp-highs", "exact", "lp", "cpsat", "scip", "cbc", "greedy"]


def options(solver, threads):
    """Return the arguments of a solve whose answer does not depend on the threads."""
    return {"solver": solver, "cost": "realized" if solver == "exact" else "amortized", "threads": threads}


def same(plans):
    assert {plan.limit for plan in plans} <= {None}
    assert len({plan.status for plan in plans}) == 1
    assert len({plan.bound for plan in plans}) == 1
    assert len({plan.utility for plan in plans}) == 1


def by_the_user(threads):
    """Run HiGHS as other code in the same thread does; tell whether it ran."""
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("threads", threads)
    x = highs.addVariable(0.0, 9.0, type=highspy.HighsVarType.kInteger)
    highs.addConstr(2.0 * x >= 4.5)
    return highs.minimize(x) == highspy.HighsStatus.kOk and highs.val(x) == 3.0


@pytest.mark.parametrize("solver", SOLVERS)
def test_each_thread_has_its_own_number_of_threads(solver):
    begin = threading.Barrier(3)

    def three(counts):
        begin.wait(SECONDS)
        return [solve(PROBLEM, BUDGET, **options(solver, count)) for count in counts]

    with ThreadPoolExecutor(3) as pool:
        found = pool.map(three, [(1, 2, None), (2, 3, 1), (None, 1, 2)], timeout=SECONDS)
        same([plan for plans in found for plan in plans])


@pytest.mark.parametrize("work", ["cheapest", "explain", "joblib"])
def test_other_entries_run_in_threads_too(work):
    def run(threads):
        if work == "cheapest":
            found = cheapest(PROBLEM, mean=0.5, solver="highs", threads=threads)
            return found.status, found.cost, found.bound
        if work == "explain":
            return explain(PROBLEM, PROBLEM.cheapest_budget / 2, cost="amortized").message
        plan = solve(PROBLEM, BUDGET, "highs", threads=threads, cost="amortized")
        return plan.status, plan.utility, plan.bound

    if work == "joblib":
        found = joblib.Parallel(3, backend="threading")(joblib.delayed(run)(count) for count in (1, 2, 3, 1, 2, 3))
    else:
        with ThreadPoolExecutor(3) as pool:
            found = list(pool.map(run, (1, 2, 3, 1, 2, 3), timeout=SECONDS))
    assert len(set(found)) == 1


def test_highs_of_other_code_in_the_same_thread_neither_disturbs_nor_is_disturbed():
    highspy.Highs.resetGlobalScheduler(True)  # of tests that ran HiGHS in this thread
    for theirs, ours in ((2, 1), (2, 3), (2, None)):
        assert by_the_user(theirs)
        assert solve(PROBLEM, BUDGET, "highs", threads=ours, cost="amortized").status == "optimal"
        assert solve(PROBLEM, BUDGET, "pulp-highs", threads=ours, cost="amortized").status == "optimal"
    assert by_the_user(2)
    highspy.Highs.resetGlobalScheduler(True)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_process_that_is_forked_after_a_solve_solves_too(solver):
    before = solve(PROBLEM, BUDGET, **options(solver, 2))
    with multiprocessing.get_context("fork").Pool(1) as pool:
        for threads in (2, 1, None):
            asked = pool.apply_async(solve, (PROBLEM, BUDGET), options(solver, threads))
            same([before, asked.get(SECONDS)])


def test_a_process_that_is_forked_while_scip_runs_waits_for_nobody():
    before = solve(PROBLEM, BUDGET, "scip", threads=1, cost="amortized")
    with scip._several_threads, multiprocessing.get_context("fork").Pool(1) as pool:
        same([before, pool.apply_async(solve, (PROBLEM, BUDGET, "scip", "amortized"), {"threads": 2}).get(SECONDS)])


@pytest.mark.parametrize("method", ["forkserver", "spawn", "executor", "joblib", "in-a-thread", "after-the-user"])
def test_other_ways_to_processes(method):
    before = solve(PROBLEM, BUDGET, "highs", threads=2, cost="amortized")
    if method == "joblib":
        found = joblib.Parallel(1, backend="multiprocessing")(
            [joblib.delayed(solve)(PROBLEM, BUDGET, "highs", "amortized")]
        )[0]
    elif method == "executor":
        with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
            found = pool.submit(solve, PROBLEM, BUDGET, "highs", "amortized", threads=3).result(SECONDS)
    elif method == "in-a-thread":  # while the thread that forks, and another one, have each run HiGHS
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(by_the_user, 2).result(SECONDS)
            found = pool.submit(in_process, "fork").result(SECONDS)
    else:
        assert method != "after-the-user" or by_the_user(2)
        found = in_process("fork" if method == "after-the-user" else method)
        highspy.Highs.resetGlobalScheduler(True)
    same([before, found])


def in_process(method):
    with multiprocessing.get_context(method).Pool(1) as pool:
        return pool.apply_async(solve, (PROBLEM, BUDGET, "highs", "amortized"), {"threads": 2}).get(SECONDS)


@pytest.mark.parametrize("solver", ["highs", "pulp-highs"])
def test_a_run_that_highs_refuses_is_not_called_one_that_ran_out_of_time(solver, monkeypatch):
    ran = []

    def refused(self):
        ran.append(self)
        return highspy.HighsStatus.kError

    monkeypatch.setattr(highspy.Highs, "run", refused)
    plan = solve(PROBLEM, BUDGET, solver, time_limit=60.0, cost="amortized")
    assert ran
    assert (plan.status, plan.limit) == ("feasible", "other")
    assert "HiGHS stopped with status" in plan.message


@pytest.mark.parametrize("error", [AttributeError("no such reason"), RuntimeError("an end\nunheard of"), ValueError()])
def test_an_end_of_scip_without_a_reason_leaves_the_plan_that_is_known(error, monkeypatch):
    def ended(*_, **__):
        raise error

    monkeypatch.setattr(scip.mathopt, "solve", ended)
    plan = solve(PROBLEM, BUDGET, "scip", threads=2, cost="amortized")
    assert (plan.status, plan.limit) == ("feasible", "other")
    assert "SCIP stopped without an answer: " in plan.message
    assert "\n" not in plan.message


@pytest.fixture
def key():
    """Press a key that interrupts the main thread: a signal of its own, as some shells have SIGINT ignored."""
    before = signal.signal(signal.SIGUSR1, signal.default_int_handler)
    yield lambda: signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, before)


def test_an_interrupted_wait_ends_the_run_and_waits_for_its_end(key):
    checks, watch, order = [], highs_watchdog.Watch(), SimpleNamespace(user_interrupt=False)

    def run():
        end = time.monotonic() + SECONDS
        while not order.user_interrupt and time.monotonic() < end:
            checks.append(SimpleNamespace(mip_node_count=len(checks), mip_dual_bound=0.0, mip_primal_bound=0.0))
            watch(0, "", checks[-1], order, None)
            if len(checks) == 3:
                key()

    with pytest.raises(KeyboardInterrupt):
        in_own_thread(run, watch.stop)
    assert order.user_interrupt
    assert not watch.stalled
