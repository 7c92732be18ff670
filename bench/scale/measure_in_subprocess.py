"""One solver in one cell of the scaling benchmark, measured in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from robatch.bench.common.compilation import WarmUp
from robatch.bench.common.heap_baseline import registered
from robatch.bench.common.subprocess_runner import run_module, serve
from robatch.bench.scale.cells import Series
from robatch.bench.scale.measure import CellProblem, small_series
from robatch.bench.scale.memory_limit import MemoryLimit

GRACE_S = 60.0
"""Seconds for a process besides the runs: to import, to compile and to make the problem."""

GRACE_PER_QUERY_S = 20e-6
"""The same for each query."""

TIME_LIMITS = 3
"""Runs end when they took more than one time limit together; the last may take another."""


def measure_in_subprocess(
    series: Series, queries: int, solver: str, settings: Mapping[str, Any], memory: MemoryLimit, memory_only: bool
) -> dict[str, Any]:
    """Measure a solver in a cell, its peak memory included.

    The process runs the solver on small problems of the same kind before it measures; with `memory_only` once, and only
    for its memory. The fields are those of `CellProblem.measure`, the errors those of `run_module`.
    """
    task = {
        "series": asdict(series), "queries": queries, "solver": solver, "settings": dict(settings),
        "available": memory.available, "memory_only": memory_only,
    }  # fmt: skip
    return run_module(__name__, task, TIME_LIMITS * settings["time_limit"] + GRACE_S + GRACE_PER_QUERY_S * queries)


def _measure(task: Mapping[str, Any]) -> dict[str, Any]:
    series, queries, solver, settings = Series(**task["series"]), task["queries"], task["solver"], task["settings"]
    with registered():
        problem = CellProblem(
            series, queries, settings, MemoryLimit(task["available"]), with_pass=not task["memory_only"]
        )
        WarmUp().run(small_series(series, queries, solver, settings["seed"]))
        return problem.measure(solver, memory=True, once=task["memory_only"])


if __name__ == "__main__":
    serve(_measure)
