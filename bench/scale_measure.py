"""One solver in one cell of the scaling benchmark: whether it may run, and its run."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from robatch.bench import oracle, wording
from robatch.bench.passes import Pass, dense_utilities
from robatch.bench.scale_cells import Series, input_bytes
from robatch.bench.scale_rows import ScaleRow
from robatch.instances.problem import Problem
from robatch.solvers.registry import get
from robatch.solvers.solve import solve

ENOUGH_S = 0.1  # a solver is run again until its runs in a cell took this long together ...
MOST_REPEATS = 15  # ... or there are this many

MEMORY_SHARE = 0.6
"""The part of the memory available at the start that a cell may take by estimate; else it is skipped."""

PASS_SHARE = 0.2  # of it for a dense array that only the pass needs; else a part of the array is passed over
PASS_ROWS = 1 << 20

STATE_BYTES = {"own": 60, "foreign": 2000}
"""Bytes that a solver takes for each query and state, by estimate, where a smaller size was not measured: solvers of
this library, and mixed-integer and linear solvers of others."""


@dataclass(frozen=True, slots=True)
class Room:
    """The memory that a cell may take.

    Parameters
    ----------
    available
        Bytes available at the start, None if unknown.
    """

    available: int | None

    def refusal(self, needed: float) -> str | None:
        """Say why so many bytes may not be taken; None if they may."""
        if self.available is None or needed <= MEMORY_SHARE * self.available:
            return None
        return (
            f"needs about {wording.size(needed)}, more than {100 * MEMORY_SHARE:.0f} % of the "
            f"{wording.size(self.available)} of available memory"
        )

    def pass_rows(self, series: Series, queries: int) -> int:
        """Return over how many rows of the dense array a pass may go."""
        needs_array = series.form == "factored"
        if self.available is None or not needs_array or queries * series.states * 8 <= PASS_SHARE * self.available:
            return queries
        return min(queries, PASS_ROWS)


def refusal(
    series: Series, queries: int, solver: str, smaller: Sequence[ScaleRow], time_limit: float, room: Room
) -> str | None:
    """Say why a solver is not run in a cell; None if it is.

    Parameters
    ----------
    series, queries
        The cell.
    solver
        Its name.
    smaller
        Its rows in the series at smaller sizes.
    time_limit
        Seconds for each run.
    room
        The memory there is.
    """
    stopped = next((reason for row in smaller if (reason := why_stopped(row, time_limit))), None)
    if stopped is not None:
        return stopped
    if solver == oracle.NAME and queries > oracle.MOST_QUERIES:
        return f"made for up to {oracle.MOST_QUERIES:,} queries"
    held = series.input_bytes(queries)
    if series.form == "factored":
        held += room.pass_rows(series, queries) * series.states * 8
    last = next((row for row in reversed(smaller) if row.memory_bytes), None)
    if last is not None and last.memory_bytes:
        taken = last.memory_bytes * queries / last.queries
    else:
        taken = queries * series.states * STATE_BYTES["own" if get(solver).package == "robatch" else "foreign"]
    return room.refusal(max(series.making_bytes(queries), held + taken))


def why_stopped(row: ScaleRow, time_limit: float) -> str | None:
    """Say why a solver is not run at larger sizes than a row's; None if it is."""
    if row.status == "error":
        return f"failed at {row.queries:,} queries"
    if row.limit == "time":
        return f"stopped by its time limit at {row.queries:,} queries"
    if max(row.runtimes, default=0.0) > time_limit:
        return f"took longer than its time limit at {row.queries:,} queries"
    return None


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
    """

    def __init__(self, series: Series, queries: int, settings: Mapping[str, Any], room: Room) -> None:
        self._settings = settings
        self._threads = series.threads
        self.problem: Problem = series.problem(queries, settings["seed"])
        self.budget = self.problem.budget_at(settings["budget_fraction"])  # kept by the problem from now on
        self._pass = Pass(dense_utilities(self.problem, room.pass_rows(series, queries)), queries)

    def measure(self, solver: str) -> dict[str, Any]:
        """Run a solver again and again, with passes between, and return the fields of its row."""
        fields: dict[str, Any] = {"budget": self.budget, "input_bytes": input_bytes(self.problem)}
        runtimes: list[float] = []
        walls: list[float] = []
        passes: list[float] = []
        settings = self._settings
        limit = settings["time_limit"]
        try:
            while True:
                passes.append(self._pass.seconds())
                begin = time.perf_counter()
                plan = solve(
                    self.problem, self.budget, solver, time_limit=limit, seed=settings["seed"], threads=self._threads
                )
                walls.append(time.perf_counter() - begin)
                runtimes.append(plan.runtime)
                if plan.limit == "time" or sum(runtimes) > limit or len(runtimes) >= MOST_REPEATS:
                    break
                if len(runtimes) >= settings["repeats"] and sum(runtimes) >= ENOUGH_S:
                    break
        except Exception as error:  # one solver's failure must not end the run
            return {**fields, "status": "error", "message": wording.failure(error)}
        passes.append(self._pass.seconds())
        statistics = {str(name): float(value) for name, value in (getattr(plan, "statistics", None) or {}).items()}
        return {
            **fields,
            "status": plan.status,
            "limit": plan.limit,
            "utility": plan.utility,
            "bound": plan.bound if plan.bound is None or math.isfinite(plan.bound) else None,
            "own_gap": plan.gap,
            "shadow_price": plan.shadow_price,
            "statistics": {name: value for name, value in statistics.items() if math.isfinite(value)},
            "runtime_s": median(runtimes),
            "wall_s": median(walls),
            "pass_s": median(passes),
            "pass_scaled": self._pass.scaled,
            "runtimes": runtimes,
            "walls": walls,
            "passes": passes,
            "message": plan.message,
        }
