"""One solver in one cell of the scaling benchmark."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import suppress
from statistics import median
from typing import Any

from robatch.bench.common.memory import peak_beyond, reset_peak
from robatch.bench.common.passes import Pass, dense_utilities
from robatch.bench.scale.cells import Series, input_bytes
from robatch.bench.scale.memory_limit import Room
from robatch.instances.display import wording
from robatch.instances.problem import Problem
from robatch.solvers.plan.plan import Plan
from robatch.solvers.solve import solve

ENOUGH_S = 0.1  # a solver is run again until its runs in a cell took this long together ...
MOST_REPEATS = 15  # ... or there are this many

WARM_UP_QUERIES = 300
WARM_UP_S = 1.0


def warm_up(series: Series, queries: int, solver: str, seed: int) -> None:
    """Run a solver once on a small problem of a series, so that compilation and imports are not measured."""
    with suppress(Exception):  # a failure shows when it counts
        few = series.problem(min(queries, WARM_UP_QUERIES), seed)
        budget = few.budget_at(0.5)
        solve(few, budget, solver, time_limit=WARM_UP_S, seed=seed, threads=series.threads)


class Bench:
    """A cell's problem, made once, with the pass over its utilities.

    Parameters
    ----------
    series, queries
        The cell.
    settings
        Of the benchmark.
    room
        The memory there is.
    with_pass
        Whether passes are to be timed too.
    """

    def __init__(
        self, series: Series, queries: int, settings: Mapping[str, Any], room: Room, with_pass: bool = True
    ) -> None:
        self._settings = settings
        self._threads = series.threads
        self.problem: Problem = series.problem(queries, settings["seed"])
        self.budget = self.problem.budget_at(settings["budget_fraction"])  # kept by the problem from now on
        self._pass: Pass | None = None
        if with_pass:
            self._pass = Pass(dense_utilities(self.problem, room.pass_rows(series, queries)), queries)

    def measure(self, solver: str, memory: bool = False, once: bool = False) -> dict[str, Any]:
        """Run a solver again and again, with passes between, and return the fields of its row.

        Parameters
        ----------
        solver
            Its name.
        memory
            Whether to measure peak memory in the first run: only in a process that did nothing before.
        once
            Whether one run is enough.
        """
        fields: dict[str, Any] = {"budget": self.budget, "input_bytes": input_bytes(self.problem)}
        runtimes: list[float] = []
        walls: list[float] = []
        passes: list[float] = []
        try:
            while True:
                passes += [] if self._pass is None else [self._pass.seconds()]
                before = reset_peak() if memory and not runtimes else None
                begin = time.perf_counter()
                plan = self._solve(solver)
                walls.append(time.perf_counter() - begin)
                runtimes.append(plan.runtime)
                if before is not None:
                    fields["memory_bytes"] = peak_beyond(before)
                if once or self._enough(plan, runtimes):
                    break
        except Exception as error:  # one solver's failure must not end the run
            return {**fields, "status": "error", "message": wording.failure(error)}
        passes += [] if self._pass is None else [self._pass.seconds()]
        return {
            **fields,
            "status": plan.status,
            "limit": plan.limit,
            "utility": plan.utility,
            "bound": plan.bound if plan.bound is None or math.isfinite(plan.bound) else None,
            "own_gap": plan.gap,
            "shadow_price": plan.shadow_price,
            "statistics": {name: value for name, value in plan.statistics.items() if math.isfinite(value)},
            "runtime_s": median(runtimes),
            "wall_s": median(walls),
            "pass_s": median(passes) if passes else None,
            "pass_scaled": self._pass is not None and self._pass.scaled,
            "runtimes": runtimes,
            "walls": walls,
            "passes": passes,
            "message": plan.message,
        }

    def _solve(self, solver: str) -> Plan:
        limit, seed = self._settings["time_limit"], self._settings["seed"]
        return solve(self.problem, self.budget, solver, time_limit=limit, seed=seed, threads=self._threads)

    def _enough(self, plan: Plan, runtimes: list[float]) -> bool:
        """Whether a solver ran often enough, or long enough."""
        taken = sum(runtimes)
        if plan.limit == "time" or taken > self._settings["time_limit"] or len(runtimes) >= MOST_REPEATS:
            return True
        return len(runtimes) >= self._settings["repeats"] and taken >= ENOUGH_S
