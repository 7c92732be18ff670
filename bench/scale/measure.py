"""One solver in one cell of the scaling benchmark."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import median
from typing import Any

from robatch.bench.common.compilation import Small, uncompiled
from robatch.bench.common.measure import MOST_REPEATS, error_fields, plan_fields
from robatch.bench.common.peak_memory import peak_beyond, reset_peak
from robatch.bench.common.utility_pass import Pass, dense_utilities
from robatch.bench.scale.cells import Series, input_bytes
from robatch.bench.scale.memory_limit import MemoryLimit
from robatch.instances.problem import Problem
from robatch.solvers.plan.plan import Plan
from robatch.solvers.solve import solve

ENOUGH_S = 0.1
"""A solver is run again until its runs in a cell took this long together, but not more than `MOST_REPEATS` times."""


def small_series(series: Series, queries: int, solver: str, seed: int) -> Small:
    """Return small problems of a series for a solver, which it runs on before it is timed."""
    return Small(
        (series.family, series.shape, series.form, series.dtype),
        lambda few: series.problem(min(few, queries), seed),
        None if series.form == "factored" else series.dtype,
        solver,
        "amortized",
        threads=series.threads,
        seed=seed,
    )


class CellProblem:
    """A cell's problem, made once, with the pass over its utilities.

    Parameters
    ----------
    series, queries
        The cell.
    settings
        Of the benchmark.
    memory
        The memory there is.
    with_pass
        Whether passes are to be timed too.
    """

    def __init__(
        self, series: Series, queries: int, settings: Mapping[str, Any], memory: MemoryLimit, with_pass: bool = True
    ) -> None:
        self._settings = settings
        self._threads = series.threads
        self.problem: Problem = series.problem(queries, settings["seed"])
        self.budget = self.problem.budget_at(settings["budget_fraction"])  # kept by the problem from now on
        self._pass: Pass | None = None
        if with_pass:
            self._pass = Pass(dense_utilities(self.problem, memory.pass_rows(series, queries)), queries)

    def measure(self, solver: str, memory: bool = False, once: bool = False) -> dict[str, Any]:
        """Run a solver again and again, with passes between, and return the fields of its row.

        Parameters
        ----------
        solver
            Its name.
        memory
            Whether to measure the peak memory of the first run: only in a process that did nothing before. Where that
            run is repeated because something was compiled, the peak is that of all its tries.
        once
            Whether one run is enough.
        """
        fields: dict[str, Any] = {"budget": self.budget, "input_bytes": input_bytes(self.problem)}
        runtimes: list[float] = []
        walls: list[float] = []
        passes = self._passes()
        before = reset_peak() if memory else None
        try:
            while True:
                plan, wall = uncompiled(lambda: self._solve(solver))
                if before is not None and not runtimes:
                    fields["memory_bytes"] = peak_beyond(before)
                walls.append(wall)
                runtimes.append(plan.runtime)
                passes += self._passes()
                if once or self._enough(plan, runtimes):
                    break
        except Exception as error:  # one solver's failure must not end the run
            return {**fields, **error_fields(error)}
        return {
            **fields,
            **plan_fields(plan),
            "shadow_price": plan.shadow_price,
            "statistics": {name: value for name, value in plan.statistics.items() if math.isfinite(value)},
            "runtime_s": median(runtimes),
            "wall_s": median(walls),
            "pass_s": median(passes) if passes else None,
            "pass_scaled": self._pass is not None and self._pass.scaled,
            "runtimes": runtimes,
            "walls": walls,
            "passes": passes,
        }

    def _passes(self) -> list[float]:
        return [] if self._pass is None else [self._pass.seconds()]

    def _solve(self, solver: str) -> Plan:
        limit, seed = self._settings["time_limit"], self._settings["seed"]
        return solve(self.problem, self.budget, solver, "amortized", time_limit=limit, seed=seed, threads=self._threads)

    def _enough(self, plan: Plan, runtimes: list[float]) -> bool:
        """Whether a solver ran often enough, or long enough."""
        taken = sum(runtimes)
        if plan.limit == "time" or taken > self._settings["time_limit"] or len(runtimes) >= MOST_REPEATS:
            return True
        return len(runtimes) >= self._settings["repeats"] and taken >= ENOUGH_S
