"""One row a solver and cell of the scaling benchmark. A cell is a series at a number of queries."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from robatch.bench.common.rows import BenchmarkRow, best_of, gap_to, grouped
from robatch.bench.scale.cells import Dtype, Form, Series

Cell = tuple[Series, int]
Key = tuple[Series, int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleRow(BenchmarkRow):
    """What one solver did in one cell: a series at a number of queries. Bounds are those with any number of threads.

    Attributes
    ----------
    family, models, batch_sizes, form, dtype, threads
        The series.
    shadow_price
        As in the plan.
    statistics
        What the solver counted, by name.
    runtime_s, wall_s, pass_s
        Median seconds of the solver alone, of the whole call of `solve` with evaluation and check, and of one pass
        over the dense utilities.
    pass_scaled
        Whether the pass went over fewer rows and its time was scaled.
    runtimes, walls, passes
        The seconds of every run, in order: the medians are theirs.
    input_bytes, memory_bytes
        Bytes of the problem's arrays, and most bytes that a run of `solve` took beyond them; None if not measured.
    time_to_pass, wall_to_pass, memory_to_input
        `runtime_s` and `wall_s` over `pass_s`, `memory_bytes` over `input_bytes`.
    core, nodes
        From `statistics`: queries that were left to search, and nodes of the search.
    """

    BENCHMARK: ClassVar[str] = "scale"
    COLUMNS: ClassVar[tuple[str, ...]] = (
        "family", "models", "batch_sizes", "form", "dtype", "threads", "queries", "states", "budget_fraction", "solver",
        "solver_version", "status", "limit", "budget", "utility", "bound", "own_gap", "shadow_price", "statistics",
        "runtime_s", "wall_s", "pass_s", "pass_scaled", "runtimes", "walls", "passes", "input_bytes", "memory_bytes",
        "message", "best_bound", "best_known", "gap", "time_to_pass", "wall_to_pass", "memory_to_input", "core",
        "nodes",
    )  # fmt: skip
    MEASURED: ClassVar[tuple[str, ...]] = COLUMNS[: COLUMNS.index("best_bound")]

    family: str
    batch_sizes: int
    form: Form
    dtype: Dtype
    threads: int
    shadow_price: float | None = None
    statistics: dict[str, float] = field(default_factory=dict)
    wall_s: float | None = None
    pass_s: float | None = None
    pass_scaled: bool = False
    runtimes: list[float] = field(default_factory=list)
    walls: list[float] = field(default_factory=list)
    passes: list[float] = field(default_factory=list)
    input_bytes: int | None = None
    memory_bytes: int | None = None
    time_to_pass: float | None = None
    wall_to_pass: float | None = None
    memory_to_input: float | None = None
    core: float | None = None
    nodes: float | None = None

    @property
    def series(self) -> Series:
        """The series that it belongs to."""
        return Series(self.family, self.models, self.batch_sizes, self.form, self.dtype, self.threads)

    @property
    def cell(self) -> Cell:
        """The cell that it belongs to."""
        return self.series, self.queries

    @property
    def key(self) -> Key:
        """The cell and the solver."""
        return self.series, self.queries, self.solver

    @property
    def problem(self) -> tuple[Any, ...]:
        """What tells problems apart: all of the cell but the threads."""
        return self.family, self.models, self.batch_sizes, self.form, self.dtype, self.queries

    @property
    def place(self) -> str:
        """The cell in words."""
        return f"{self.series.title}, {self.queries:,} queries"


def compare(rows: Iterable[ScaleRow]) -> list[ScaleRow]:
    """Return rows with the fields filled in that follow from others, in the same order."""
    rows = list(rows)
    best = {problem: best_of(members) for problem, members in grouped(rows, lambda row: row.problem).items()}
    return [
        replace(
            row,
            best_bound=best[row.problem][0],
            best_known=best[row.problem][1],
            gap=gap_to(best[row.problem][0], row.utility),
            time_to_pass=_ratio(row.runtime_s, row.pass_s),
            wall_to_pass=_ratio(row.wall_s, row.pass_s),
            memory_to_input=_ratio(row.memory_bytes, row.input_bytes),
            core=row.statistics.get("core_queries"),
            nodes=row.statistics.get("nodes"),
        )
        for row in rows
    ]


def _ratio(value: float | None, unit: float | None) -> float | None:
    return value / unit if value is not None and unit else None
