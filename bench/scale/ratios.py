"""Times of the schedulers as ratios, each measured side by side in one process: what this library is held to."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import product
from statistics import median
from typing import Any

import numpy as np

from robatch.bench.common import heap_baseline, machine
from robatch.bench.common.compilation import WarmUp, uncompiled
from robatch.bench.common.utility_pass import Pass, dense_utilities, greatest
from robatch.bench.scale.cells import Series
from robatch.bench.scale.measure import small_series
from robatch.bench.scale.measure_in_subprocess import measure_in_subprocess
from robatch.bench.scale.memory_limit import MemoryLimit
from robatch.bench.scale.ratio_results import Ratio, Ratios
from robatch.instances.display import wording
from robatch.instances.problem import Problem
from robatch.instances.scalars import whole
from robatch.solvers.analysis.frontier import frontier
from robatch.solvers.choice import AUTO
from robatch.solvers.plan.plan import Plan
from robatch.solvers.solve import solve

TARGETS: dict[str, dict[str, float]] = {"dense": {"greedy": 4, "exact": 6}, "factored": {"greedy": 4, "exact": 2}}
TARGET_QUERIES = 1_000_000
"""Queries for which the targets are meant."""

FRACTION = 0.3
RESOLUTION = 1e-8
RUNS = 9
HARD = ("ties", "strongly-correlated", "subset-sum")
MIP = ("highs", "scip", "cpsat", "cbc")
TABLE_FRACTIONS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.9)
FIRST_CALL = (
    "import sys, robatch; p = robatch.generate('realistic', queries=100); "
    "robatch.solve(p, p.budget_at(0.3), cost=sys.argv[1])"
)


def measure_ratios(
    queries: int = 1_000_000,
    table: Problem | None = None,
    time_limit: float = 60.0,
    seed: int = 0,
    command: str | None = None,
    shown: Callable[[Ratio], None] | None = None,
) -> Ratios:
    """Measure the ratios that this library is held to.

    Parameters
    ----------
    queries
        Of the large problems; others are a tenth of it. Only with a million of them are there targets.
    table
        A problem to solve to the proven optimum at nine budgets too; None for none.
    time_limit
        Seconds for each run of a mixed-integer solver, and for each proof.
    seed
        Of the problems.
    command
        The command that repeats the measurement, for the written page.
    shown
        Is called with each figure when it is there.

    Raises
    ------
    InputError
        If an argument is not allowed.
    """
    queries = whole("queries", queries, 10_000, most=10**8)
    rows = []
    with heap_baseline.registered():
        compiled_s = _warm_up(seed)
        for row in _all(queries, table, time_limit, seed):
            row = row if queries == TARGET_QUERIES else replace(row, target="", reached=None)
            rows.append(row)
            if shown is not None:
                shown(row)
    return Ratios(tuple(rows), machine.describe(), machine.commit(), command, compiled_s)


def _all(queries: int, table: Problem | None, time_limit: float, seed: int) -> Iterator[Ratio]:
    for form in ("dense", "factored"):
        yield from _large(Series(form=form), queries, seed)
    yield _memory(queries, seed, time_limit)
    yield from _small(seed)
    yield from _cold()
    for size, runs in ((min(200, queries // 500), RUNS), (min(1_000, queries // 200), 1)):
        yield _against_mip(size, runs, time_limit, seed)
    yield _against_heap(queries // 10, seed)
    for family in HARD:
        for size in sorted({1_000, queries // 10}):
            yield _proof(family, size, time_limit, seed)
    if table is not None:
        yield _table(table, time_limit)


def _warm_up(seed: int) -> float:
    """Let everything compile that will be timed, and return the seconds that it took."""
    warm_up = WarmUp()
    for form, solvers in TARGETS.items():
        for solver, threads in product(solvers, (1, 2)):
            series = Series(form=form, threads=threads)  # type: ignore[arg-type]  # a form
            warm_up.run(small_series(series, TARGET_QUERIES, solver, seed))
    for family in HARD:
        warm_up.run(small_series(Series(family), TARGET_QUERIES, "exact", seed))
    for solver in (*MIP, heap_baseline.NAME):
        warm_up.run(replace(small_series(Series(), TARGET_QUERIES, solver, seed), threads=None))
    return warm_up.seconds


def _solve(problem: Problem, solver: str = "exact", time_limit: float | None = None, threads: int | None = 1) -> Plan:
    budget = problem.budget_at(FRACTION)
    return uncompiled(lambda: solve(problem, budget, solver, "amortized", time_limit=time_limit, threads=threads))[0]


def _times(run: Callable[[], float], unit: Callable[[], float], runs: int = RUNS) -> float:
    """Return the median of a time over the median of a unit, measured in turn after a warm-up."""
    run()
    taken = [(run(), unit()) for _ in range(runs)]
    return median(time for time, _ in taken) / median(unit for _, unit in taken)


def _wall(run: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def _large(series: Series, queries: int, seed: int) -> Iterator[Ratio]:
    """Measure what is linear in the size, against passes over the utilities."""
    problem = series.problem(queries, seed)
    budget = problem.budget_at(FRACTION)  # kept by the problem from now on
    utility = dense_utilities(problem, queries)
    greatest(utility)  # compiles
    one_pass = Pass(utility, queries).seconds
    one_max = partial(_wall, partial(greatest, utility))
    for solver, most in TARGETS[series.form].items():

        def alone(threads: int = 1, solver: str = solver) -> float:
            return _solve(problem, solver, threads=threads).runtime

        def call(solver: str = solver) -> float:
            return uncompiled(partial(solve, problem, budget, solver, "amortized", threads=1))[1]

        work = f"`{solver}`, {series.form}, {queries:,} x {problem.n_states}"
        yield _bounded(work, "max", _times(alone, one_max), most)
        yield Ratio(work, "pass", _times(alone, one_pass))
        yield Ratio(f"{work}, call", "pass", _times(call, one_pass))
        faster = _times(alone, partial(alone, 2))
        yield Ratio(f"{work}, two threads", "times faster", faster, ">= 1.7", faster >= 1.7)
    if series.form == "dense":
        curve = partial(_wall, partial(frontier, problem, RESOLUTION, 1, cost="amortized"))
        work = f"whole frontier, dense, {queries:,}, error {RESOLUTION:g}"
        yield _bounded(work, "max", _times(curve, one_max, 5), 18)
        yield Ratio(work, "pass", _times(curve, one_pass, 5))


def _bounded(work: str, unit: str, value: float, most: float, note: str = "") -> Ratio:
    return Ratio(work, unit, value, f"<= {most:g}", value <= most, note)


def _memory(queries: int, seed: int, time_limit: float) -> Ratio:
    settings = {"budget_fraction": FRACTION, "seed": seed, "time_limit": time_limit, "repeats": 1}
    memory = MemoryLimit(machine.available_bytes())
    measured = measure_in_subprocess(Series(), queries, "exact", settings, memory, memory_only=True)
    work, taken = f"`exact`, dense, {queries:,}: peak memory beyond the input", measured.get("memory_bytes")
    if taken is None:
        return Ratio(work, "of the input", None, note="this system does not tell")
    return _bounded(work, "of the input", taken / measured["input_bytes"], 0.15)


def _small(seed: int) -> Iterator[Ratio]:
    for queries, most in ((50, 0.0005), (1_000, 0.004)):
        problem = Series().problem(queries, seed)
        budget = problem.budget_at(FRACTION)
        call = partial(solve, problem, budget, "exact", "amortized", threads=1)
        call()
        value = median(_wall(call) for _ in range(20 * RUNS))
        yield Ratio(f"`exact`, {queries:,} queries, one call", "s", value, f"<= {most * 1e3:g} ms", value <= most)


def _cold() -> Iterator[Ratio]:
    """Measure a whole process, imports included, with nothing compiled and again with all of it."""
    for cost, solver in AUTO.items():
        with tempfile.TemporaryDirectory() as folder:
            for when in ("after installation", "of a process"):
                begin = time.perf_counter()
                done = subprocess.run(
                    [sys.executable, "-c", FIRST_CALL, cost], env={**os.environ, "NUMBA_CACHE_DIR": folder},
                    stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=600,
                )  # fmt: skip
                value = None if done.returncode else time.perf_counter() - begin
                work = f"`{solver}`, {cost} cost, 100 queries, first call {when}, imports included"
                yield Ratio(work, "s", value)


def _against_mip(queries: int, runs: int, time_limit: float, seed: int) -> Ratio:
    """Compare `exact` with the mixed-integer solver that proves the same optimum first."""
    factors, notes = [], []
    for i in range(runs):
        problem = Series().problem(queries, seed + i)
        mine = _repeated(problem)
        theirs = {name: _solve(problem, name, time_limit, threads=None) for name in MIP}
        best = float(mine[0].utility or 0.0)
        same = {
            name: plan.runtime
            for name, plan in theirs.items()
            if plan.status == "optimal" and abs(float(plan.utility or 0.0) - best) <= 2e-9 * best
        }
        first = min(same, key=lambda name: same[name], default=None)
        slowest = time_limit if first is None else same[first]
        factors.append(slowest / median(plan.runtime for plan in mine))
        notes.append(first or "none in time")
    least = 500 if runs > 1 else 1_000
    value = median(factors)
    note = "fastest: " + ", ".join(f"{name} ({notes.count(name)})" for name in dict.fromkeys(notes))
    work = f"`exact` against the best of {', '.join(MIP)}, {queries:,} queries, median of {runs}"
    return Ratio(work, "times faster", value, f">= {least}", value >= least, note)


def _against_heap(queries: int, seed: int) -> Ratio:
    problem = Series().problem(queries, seed)
    heap = _solve(problem, heap_baseline.NAME, threads=None)
    mine = _repeated(problem)
    value = heap.runtime / median(plan.runtime for plan in mine)
    lost = 1 - float(heap.utility or 0.0) / float(mine[0].utility or np.nan)
    work, note = f"`exact` against `{heap_baseline.NAME}`, {queries:,} queries", f"the heap loses {wording.gap(lost)}"
    return Ratio(work, "times faster", value, ">= 100, never worse", value >= 100 and lost >= 0, note)


def _repeated(problem: Problem) -> list[Plan]:
    """Return the plans of `exact`, whose runtimes count, after one that does not."""
    return [_solve(problem) for _ in range(1 + RUNS)][1:]


def _proof(family: str, queries: int, time_limit: float, seed: int) -> Ratio:
    plan = _solve(Series(family).problem(queries, seed), time_limit=time_limit)
    work = f"`exact`, `{family}`, {queries:,} queries, to the proof"
    proven = plan.status == "optimal"
    note = "" if proven else f"gap {plan.gap:.1e}"
    return Ratio(work, "s", plan.runtime, f"proven in {time_limit:g} s", proven, note)


def _table(table: Problem, time_limit: float) -> Ratio:
    few = table.take(np.arange(min(300, table.n_queries)))
    _solve(few)
    plans = [
        uncompiled(partial(solve, table, table.budget_at(f), "exact", "amortized", time_limit=time_limit, threads=1))[0]
        for f in TABLE_FRACTIONS
    ]
    total = sum(plan.runtime for plan in plans)
    proven = sum(plan.status == "optimal" for plan in plans)
    work = f"`exact`, the given table, {table.n_queries:,} x {table.n_states}, nine budgets"
    reached = proven == len(plans) and total <= 10.0
    return Ratio(work, "s", total, "all proven in 10 s", reached, f"{proven} of {len(plans)} proven")
