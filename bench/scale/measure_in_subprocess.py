"""One solver in one cell of the scaling benchmark, measured in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from robatch.bench.common.compilation import MOST_TRIES, WarmUp
from robatch.bench.common.heap_baseline import registered
from robatch.bench.common.subprocess_runner import end_after, run_module, serve
from robatch.bench.scale.cells import Series
from robatch.bench.scale.measure import CellProblem, small_series
from robatch.bench.scale.memory_limit import MemoryLimit

GRACE_S = 60.0
"""Seconds for a process besides the runs, once its problem is made and everything is compiled."""

GRACE_PER_QUERY_S = 20e-6
"""The same for each query."""

TIME_LIMITS = 1 + MOST_TRIES
"""Each try of the first run may take one. Runs end when they took more than one together; the last may take another."""


def measure_in_subprocess(
    series: Series, queries: int, solver: str, settings: Mapping[str, Any], memory: MemoryLimit, memory_only: bool
) -> dict[str, Any]:
    """Measure a solver in a cell, its peak memory included.

    The process runs the solver on small problems of the same kind before it measures, and its time is limited only from
    then on. With `memory_only` it measures one run, and only its memory. The fields are those of `CellProblem.measure`,
    the errors those of `run_module`.
    """
    task = {
        "series": asdict(series), "queries": queries, "solver": solver, "settings": dict(settings),
        "available": memory.available, "memory_only": memory_only,
        "limit_s": TIME_LIMITS * settings["time_limit"] + GRACE_S + GRACE_PER_QUERY_S * queries,
    }  # fmt: skip
    return run_module(__name__, task)


def _measure(task: Mapping[str, Any]) -> dict[str, Any]:
    series, queries, solver, settings = Series(**task["series"]), task["queries"], task["solver"], task["settings"]
    with registered():
        problem = CellProblem(
            series, queries, settings, MemoryLimit(task["available"]), with_pass=not task["memory_only"]
        )
        WarmUp().run(small_series(series, queries, solver, settings["seed"]))
        end_after(task["limit_s"])
        return problem.measure(solver, memory=True, once=task["memory_only"])


if __name__ == "__main__":
    serve(_measure)
