"""Times of the schedulers as ratios, each measured side by side in one process: what this library is held to."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from robatch.bench.common import heap_baseline as oracle
from robatch.bench.common import machine
from robatch.bench.common.passes import Pass, dense_utilities, greatest
from robatch.bench.common.subprocess_runner import measure_apart
from robatch.bench.gap.results import csv_text, write_files
from robatch.bench.scale.cells import Series
from robatch.bench.scale.memory_limit import Room
from robatch.instances.display import wording
from robatch.instances.problem import Problem
from robatch.instances.scalars import whole
from robatch.solvers.analysis.frontier import frontier
from robatch.solvers.plan.plan import Plan
from robatch.solvers.solve import solve

TARGETS: dict[str, dict[str, float]] = {"dense": {"greedy": 4, "exact": 6}, "factored": {"greedy": 4, "exact": 2}}
HELD_AT = 1_000_000  # queries for which the targets are meant
FRACTION = 0.3
RESOLUTION = 1e-8
RUNS = 9
MIP = ("highs", "scip", "cpsat", "cbc")
TABLE_FRACTIONS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.9)
FIRST_CALL = "import robatch; p = robatch.generate('realistic', queries=100); robatch.solve(p, p.budget_at(0.3))"
FILES = ("ratios.csv", "ratios.md")

UNITS = """\
*pass*: the time of one pass over the dense utilities by a compiled loop on one thread that finds the greatest utility
of every query. *max*: the same by a loop that finds the greatest of all, each step of which waits for the one before.
Times are medians, of the solver alone unless "call" says that evaluation and check are in them too.
"""


@dataclass(frozen=True, slots=True)
class Ratio:
    """One figure.

    Attributes
    ----------
    work, unit
        What was measured, and in what.
    value
        The figure, None if it could not be measured.
    target
        What was aimed at, as text; empty if nothing was.
    reached
        Whether it was reached; None without one.
    note
        What else there is to say.
    """

    work: str
    unit: str
    value: float | None
    target: str = ""
    reached: bool | None = None
    note: str = ""


@dataclass(frozen=True)
class Ratios:
    """All figures, with the machine that they were measured on.

    Attributes
    ----------
    rows
        The figures.
    machine
        CPU, cores, memory, system, Python and package versions.
    commit
        Of the sources, None if unknown.
    command
        The command that repeats the measurement.
    """

    rows: tuple[Ratio, ...]
    machine: dict[str, Any]
    commit: str | None
    command: str | None

    def markdown(self) -> str:
        """Return the page: a table, and what it was measured on."""
        lines = ["# Ratios", "", UNITS, "| work | measured | target | reached | |", "| --- | ---: | ---: | --- | --- |"]
        for row in self.rows:
            reached = {True: "yes", False: "**no**", None: ""}[row.reached]
            lines.append(f"| {row.work} | {figure(row)} | {row.target} | {reached} | {row.note} |")
        where = f"{self.machine['cpu']}, {self.machine['cores']} cores, {self.machine['python']}"
        how = f", by `{self.command}`" if self.command else ""
        return "\n".join([*lines, "", f"Measured on {where}, commit {self.commit or 'unknown'}{how}.", ""])

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        return asdict(self)

    def write(self, folder: str | Path) -> None:
        """Write ratios.csv and ratios.md into a folder.

        Raises
        ------
        InputError
            If a file cannot be written.
        """
        names = tuple(each.name for each in fields(Ratio))
        texts = (csv_text(names, self.rows), self.markdown())
        write_files(folder, {name: text.encode() for name, text in zip(FILES, texts, strict=True)})


def figure(row: Ratio) -> str:
    """Write a figure with its unit."""
    if row.value is None:
        return wording.NONE
    if row.unit == "s":
        return wording.seconds(row.value)
    return f"{wording.ratio(row.value)} {row.unit}"


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
    with oracle.registered():
        for row in _all(queries, table, time_limit, seed):
            row = row if queries == HELD_AT else replace(row, target="", reached=None)
            rows.append(row)
            if shown is not None:
                shown(row)
    return Ratios(tuple(rows), machine.describe(), machine.commit(), command)


def _all(queries: int, table: Problem | None, time_limit: float, seed: int) -> Iterator[Ratio]:
    for form in ("dense", "factored"):
        yield from _large(Series(form=form), queries, seed)
    yield _memory(queries, seed, time_limit)
    yield from _small(seed)
    yield from _cold()
    for size, runs in ((min(200, queries // 500), RUNS), (min(1_000, queries // 200), 1)):
        yield _against_mip(size, runs, time_limit, seed)
    yield _against_heap(queries // 10, seed)
    for family in ("ties", "strongly-correlated", "subset-sum"):
        for size in sorted({1_000, queries // 10}):
            yield _proof(family, size, time_limit, seed)
    if table is not None:
        yield _table(table, time_limit)


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
    budget = problem.budget_at(FRACTION)
    utility = dense_utilities(problem, queries)
    greatest(utility)  # compiles
    one_pass = Pass(utility, queries).seconds

    def one_max() -> float:
        return _wall(lambda: greatest(utility))

    for solver, most in TARGETS[series.form].items():

        def run(threads: int = 1, solver: str = solver) -> Plan:
            return solve(problem, budget, solver, threads=threads)

        def alone(threads: int = 1, run: Callable[[int], Plan] = run) -> float:
            return run(threads).runtime

        def call(run: Callable[[int], Plan] = run) -> float:
            return _wall(lambda: run(1))

        work = f"`{solver}`, {series.form}, {queries:,} x {problem.n_states}"
        yield _bounded(work, "max", _times(alone, one_max), most)
        yield Ratio(work, "pass", _times(alone, one_pass))
        yield Ratio(f"{work}, call", "pass", _times(call, one_pass))
        faster = _times(alone, lambda alone=alone: alone(2))  # type: ignore[misc]
        yield Ratio(f"{work}, two threads", "times faster", faster, ">= 1.7", faster >= 1.7)
    if series.form == "dense":

        def curve() -> float:
            return _wall(lambda: frontier(problem, RESOLUTION, 1))

        work = f"whole frontier, dense, {queries:,}, error {RESOLUTION:g}"
        yield _bounded(work, "max", _times(curve, one_max, 5), 18)
        yield Ratio(work, "pass", _times(curve, one_pass, 5))


def _bounded(work: str, unit: str, value: float, most: float, note: str = "") -> Ratio:
    return Ratio(work, unit, value, f"<= {most:g}", value <= most, note)


def _memory(queries: int, seed: int, time_limit: float) -> Ratio:
    settings = {"budget_fraction": FRACTION, "seed": seed, "time_limit": time_limit, "repeats": 1}
    room = Room(machine.available_bytes())
    measured = measure_apart(Series(), queries, "exact", settings, room, memory_only=True)
    work, taken = f"`exact`, dense, {queries:,}: peak memory beyond the input", measured.get("memory_bytes")
    if taken is None:
        return Ratio(work, "of the input", None, note="this system does not tell")
    return _bounded(work, "of the input", taken / measured["input_bytes"], 0.15)


def _small(seed: int) -> Iterator[Ratio]:
    for queries, most in ((50, 0.0005), (1_000, 0.004)):
        problem = Series().problem(queries, seed)
        budget = problem.budget_at(FRACTION)
        solve(problem, budget, "exact", threads=1)

        def call(problem: Problem = problem, budget: float = budget) -> Plan:
            return solve(problem, budget, "exact", threads=1)

        value = median(_wall(call) for _ in range(20 * RUNS))
        yield Ratio(f"`exact`, {queries:,} queries, one call", "s", value, f"<= {most * 1e3:g} ms", value <= most)


def _cold() -> Iterator[Ratio]:
    """Measure a whole process, imports included, with nothing compiled and again with all of it."""
    with tempfile.TemporaryDirectory() as folder:
        for when in ("after installation", "of a process"):
            begin = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-c", FIRST_CALL], env={**os.environ, "NUMBA_CACHE_DIR": folder},
                stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=600,
            )  # fmt: skip
            value = None if done.returncode else time.perf_counter() - begin
            yield Ratio(f"`exact`, 100 queries, first call {when}, imports included", "s", value)


def _against_mip(queries: int, runs: int, time_limit: float, seed: int) -> Ratio:
    """Compare `exact` with the mixed-integer solver that proves the same optimum first."""
    factors, notes = [], []
    for i in range(runs):
        problem = Series().problem(queries, seed + i)
        budget = problem.budget_at(FRACTION)
        solve(problem, budget, "exact", threads=1)
        mine = [solve(problem, budget, "exact", threads=1) for _ in range(RUNS)]
        theirs = {name: solve(problem, budget, name, time_limit=time_limit) for name in MIP}
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
    budget = problem.budget_at(FRACTION)
    heap = solve(problem, budget, oracle.NAME)
    solve(problem, budget, "exact", threads=1)
    mine = [solve(problem, budget, "exact", threads=1) for _ in range(RUNS)]
    value = heap.runtime / median(plan.runtime for plan in mine)
    lost = 1 - float(heap.utility or 0.0) / float(mine[0].utility or np.nan)
    work, note = f"`exact` against `{oracle.NAME}`, {queries:,} queries", f"the heap loses {wording.gap(lost)}"
    return Ratio(work, "times faster", value, ">= 100, never worse", value >= 100 and lost >= 0, note)


def _proof(family: str, queries: int, time_limit: float, seed: int) -> Ratio:
    problem = Series(family).problem(queries, seed)
    few = Series(family).problem(300, seed)
    solve(few, few.budget_at(FRACTION), "exact", threads=1)
    plan = solve(problem, problem.budget_at(FRACTION), "exact", time_limit=time_limit, threads=1)
    work = f"`exact`, `{family}`, {queries:,} queries, to the proof"
    proven = plan.status == "optimal"
    return Ratio(
        work, "s", plan.runtime, f"proven in {time_limit:g} s", proven, "" if proven else f"gap {plan.gap:.1e}"
    )


def _table(table: Problem, time_limit: float) -> Ratio:
    few = table.take(np.arange(min(300, table.n_queries)))
    solve(few, few.budget_at(FRACTION), "exact", threads=1)
    plans = [solve(table, table.budget_at(f), "exact", time_limit=time_limit, threads=1) for f in TABLE_FRACTIONS]
    total = sum(plan.runtime for plan in plans)
    proven = sum(plan.status == "optimal" for plan in plans)
    work = f"`exact`, the given table, {table.n_queries:,} x {table.n_states}, nine budgets"
    reached = proven == len(plans) and total <= 10.0
    return Ratio(work, "s", total, "all proven in 10 s", reached, f"{proven} of {len(plans)} proven")
