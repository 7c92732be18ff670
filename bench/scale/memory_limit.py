"""Whether a solver may run in a cell of the scaling benchmark: its earlier rows, and the memory there is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from robatch.bench.common import heap_baseline
from robatch.bench.scale.cells import Series
from robatch.bench.scale.rows import ScaleRow
from robatch.instances.display import wording
from robatch.solvers.registry import get

MEMORY_SHARE = 0.6
"""The part of the memory available at the start that a cell may take by estimate; else it is skipped."""

PASS_SHARE = 0.2
"""The part of it that a dense array may take which only the pass needs; else the pass goes over `PASS_ROWS` of it."""

PASS_ROWS = 1 << 20

STATE_BYTES = {"own": 60, "foreign": 6000}
"""Bytes that a solver takes for each query and state, by estimate, where a smaller size was not measured: solvers of
this library, and mixed-integer and linear solvers of others."""

SUBPROCESS_FROM = 10_000
"""Queries from which solvers of others run in a process of their own, as some ignore their time limit."""


@dataclass(frozen=True, slots=True)
class MemoryLimit:
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
    series: Series, queries: int, solver: str, smaller: Sequence[ScaleRow], time_limit: float, memory: MemoryLimit
) -> str | None:
    """Say why a solver is not run in a cell; None if it is. Its rows at smaller sizes of the series may tell."""
    stopped = next((reason for row in smaller if (reason := why_stopped(row, time_limit))), None)
    if stopped is not None:
        return stopped
    if solver == heap_baseline.NAME and queries > heap_baseline.MOST_QUERIES:
        return f"made for up to {heap_baseline.MOST_QUERIES:,} queries"
    held = series.input_bytes(queries)
    if series.form == "factored":
        held += memory.pass_rows(series, queries) * series.states * 8
    last = next((row for row in reversed(smaller) if row.memory_bytes), None)
    if last is not None and last.memory_bytes:
        taken = last.memory_bytes * queries / last.queries
    else:
        taken = queries * series.states * STATE_BYTES["foreign" if is_foreign(solver) else "own"]
    return memory.refusal(max(series.making_bytes(queries), held + taken))


def why_stopped(row: ScaleRow, time_limit: float) -> str | None:
    """Say why a solver is not run at larger sizes than a row's; None if it is."""
    if row.status == "error":
        return f"failed at {row.queries:,} queries"
    if row.limit == "time":
        return f"stopped by its time limit at {row.queries:,} queries"
    if max(row.runtimes, default=0.0) > time_limit:
        return f"took longer than its time limit at {row.queries:,} queries"
    return None


def is_foreign(solver: str) -> bool:
    """Whether a solver of this library leaves the work to another package."""
    entry = get(solver)
    return entry.package != "robatch" and isinstance(entry.run, str) and entry.run.startswith("robatch.")
