"""How time, memory and gap of the solvers grow with the number of queries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from robatch.bench.common import machine
from robatch.bench.common.compilation import Small
from robatch.bench.common.harness import Benchmark, check_entries, check_seconds
from robatch.bench.common.heap_baseline import NAME as PYTHON_HEAP
from robatch.bench.common.heap_baseline import registered
from robatch.bench.common.subprocess_runner import OverranError, SolverDiedError
from robatch.bench.common.terminal import LiveTerminal
from robatch.bench.scale.cells import Series, sizes_of
from robatch.bench.scale.measure import CellProblem, small_series
from robatch.bench.scale.measure_in_subprocess import measure_in_subprocess
from robatch.bench.scale.memory_limit import SUBPROCESS_FROM, MemoryLimit, is_foreign, refusal
from robatch.bench.scale.results import ScaleResults
from robatch.bench.scale.rows import Key, ScaleRow, compare
from robatch.bench.scale.tables import ScaleTerminal
from robatch.instances.display import wording
from robatch.instances.scalars import number, whole
from robatch.solvers.registry import get

MEMORY_FROM = 100_000
"""Queries from which peak memory is measured: below, what Python itself takes would count."""


def scale_benchmark(  # wide: one parameter for each setting
    series: Sequence[Series] = (Series(),),
    sizes: Sequence[int] = sizes_of(100, 100_000),
    solvers: Sequence[str] = ("greedy", "pareto", PYTHON_HEAP, "highs"),
    fraction: float = 0.3,
    time_limit: float = 60.0,
    repeats: int = 3,
    seed: int = 0,
    memory_from: int | None = MEMORY_FROM,
    output: str | Path | None = None,
    resume: bool = True,
    progress: bool | LiveTerminal[ScaleRow] = False,
    command: str | None = None,
) -> ScaleResults:
    """Run every solver on problems of growing size, each until it reaches its time limit.

    A cell is a series at a number of queries. In every cell a solver runs several times, and between its runs one
    pass over the utilities as a dense array is timed in the same process: times are reported as multiples of
    it. Before anything is timed, the solver runs on small problems of the series, so that compilation and
    imports are not measured. A solver that stopped at its time limit, or failed, is not run at larger sizes of the
    series; that, and what does not fit the memory, is recorded as a row of status ``"skipped"``.

    Parameters
    ----------
    series
        Kinds of generated problems, see `Series` and `series_of`.
    sizes
        Numbers of queries.
    solvers
        Names from `robatch.solvers.solvers`, and ``"python-heap"``, the scheduler ``pareto`` in plain Python.
    fraction
        Budget, as a fraction between the cheapest and the dearest, see `Problem.budget_at`.
    time_limit
        Seconds for each run of a solver.
    repeats
        Least number of runs of each solver in each cell, while they take less than the time limit together.
    seed
        Seed of the problems and the solvers.
    memory_from
        Number of queries from which peak memory is measured too, by another run in a process of its own; None to
        measure none.
    output, resume, progress
        As for `gap_benchmark`.
    command
        The command that repeats the benchmark, for the written table.

    Returns
    -------
    ScaleResults
        One row a cell and solver, with the settings and the machine.

    Raises
    ------
    InputError
        If an argument is not allowed, or `output` cannot be written or holds rows of other settings.
    """
    check_entries(series=series, sizes=sizes, solvers=solvers)
    least = 2 if any(one.family == "adversarial" for one in series) else 1
    with registered():
        settings = {
            "series": [asdict(one) for one in series],
            "sizes": sorted(whole("size", size, least, most=10**9) for size in sizes),
            "budget_fraction": number("budget fraction", fraction, 0.0, 1.0),
            "solvers": {name: get(name).version for name in solvers},
            "time_limit": check_seconds(time_limit),
            "repeats": whole("repeats", repeats, 1),
            "seed": whole("seed", seed, most=2**63 - 1),
            "memory_from": None if memory_from is None else whole("memory_from", memory_from, 1),
            "commit": machine.commit(),
        }
        return ScaleBenchmark(settings, series).run(output, resume, progress, command)


class ScaleBenchmark(Benchmark[ScaleRow, ScaleResults]):
    """A cell is a series at a number of queries."""

    row, terminal, results = ScaleRow, ScaleTerminal, ScaleResults

    def __init__(self, settings: dict[str, Any], series: Sequence[Series]) -> None:
        super().__init__(settings)
        self._series = series
        self._memory = MemoryLimit(machine.available_bytes())

    def cells(self) -> list[list[Key]]:
        """Return the keys of each cell, sizes ascending within a series."""
        return [
            [(series, queries, name) for name in self.settings["solvers"]]
            for series in self._series
            for queries in self.settings["sizes"]
        ]

    def small(self, key: Key) -> Small:
        """Return small problems of the series."""
        return small_series(*key, self.settings["seed"])

    def refusal(self, key: Key, rows: Mapping[Key, ScaleRow]) -> str | None:
        """Say why a solver is not run in a cell; None if it is."""
        series, queries, name = key
        sizes = [size for size in self.settings["sizes"] if size < queries]
        smaller = [rows[series, size, name] for size in sizes if (series, size, name) in rows]
        return refusal(series, queries, name, smaller, self.settings["time_limit"], self._memory)

    def measure(
        self, keys: Sequence[Key], rows: Mapping[Key, ScaleRow], working: Callable[[str], None]
    ) -> Iterator[ScaleRow]:
        """Measure one solver after the other on one problem.

        What is measured in other processes is measured before this one makes the problem, so that only one process at
        a time holds it.
        """
        outside = [self._outside(key, rows, working) for key in keys]
        problem: CellProblem | None = None
        for key, fields in zip(keys, outside, strict=True):
            if "status" not in fields:
                self._announce(key, "", working)
                problem = problem or CellProblem(key[0], key[1], self.settings, self._memory)
                fields |= problem.measure(key[2])
            yield self._row(key, fields)

    def compare(self, rows: Iterable[ScaleRow]) -> list[ScaleRow]:
        """Compare the solvers of each problem."""
        return compare(rows)

    def _outside(self, key: Key, rows: Mapping[Key, ScaleRow], working: Callable[[str], None]) -> dict[str, Any]:
        """Return what is known of a row before its problem is made; with a status, if that is all there will be."""
        series, queries, name = key
        settings = self.settings
        reason = self.refusal(key, rows)
        if reason is not None:
            return {"status": "skipped", "message": reason}
        foreign = is_foreign(name) and queries >= SUBPROCESS_FROM
        if not foreign and (settings["memory_from"] is None or queries < settings["memory_from"]):
            return {}
        self._announce(key, "" if foreign else ", memory", working)
        try:
            found = measure_in_subprocess(series, queries, name, settings, self._memory, memory_only=not foreign)
        except OverranError as error:
            found = {"status": "no_solution", "limit": "time", "message": str(error)}
        except SolverDiedError as error:
            found = {"status": "error", "message": str(error)}
        return found if foreign or "runtimes" not in found else {"memory_bytes": found.get("memory_bytes")}

    def _row(self, key: Key, fields: Mapping[str, Any]) -> ScaleRow:
        series, queries, solver = key
        return ScaleRow(
            **asdict(series),
            queries=queries,
            states=series.states,
            budget_fraction=self.settings["budget_fraction"],
            solver=solver,
            solver_version=self.settings["solvers"][solver] or "not installed",
            **fields,
        )

    def _announce(self, key: Key, what: str, working: Callable[[str], None]) -> None:
        series, queries, name = key
        working(f"{series.title} · {wording.count(queries)} · {name}{what}")
