"""One row a solver and cell of the scaling benchmark. A cell is a series at a number of queries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

from robatch.bench.common.rows import gap_to
from robatch.bench.scale.cells import Dtype, Form, Series
from robatch.instances.display.wording import PROVEN

Cell = tuple[Series, int]
Key = tuple[Series, int, str]


@dataclass(frozen=True, slots=True)
class ScaleRow:
    """What one solver did in one cell.

    Attributes
    ----------
    family, models, batch_sizes, form, dtype, threads
        The series.
    queries, states
        Sizes of the problem.
    budget_fraction, budget
        Budget as a fraction between the cheapest and the dearest, and in USD; None if the problem was not made.
    solver, solver_version, status, limit
        As in the plan; status ``"error"`` if the solver failed and ``"skipped"`` if it was not run, `message` then
        says why.
    utility, bound, own_gap, shadow_price
        As in the plan; None where there is none.
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
    message
        One sentence on what went wrong, None if nothing did.
    best_bound, best_known, gap
        Least proven bound and greatest utility that any solver reached on the problem, with any number of threads, and
        ``(best_bound - utility) / best_bound``.
    time_to_pass, wall_to_pass, memory_to_input
        `runtime_s` and `wall_s` over `pass_s`, `memory_bytes` over `input_bytes`.
    core, nodes
        From `statistics`: queries that were left to search, and nodes of the search.
    """

    BENCHMARK: ClassVar[str] = "scale"
    MEASURED: ClassVar[tuple[str, ...]] = ()

    family: str
    models: int
    batch_sizes: int
    form: Form
    dtype: Dtype
    threads: int
    queries: int
    states: int
    budget_fraction: float
    solver: str
    solver_version: str
    status: str
    limit: str | None = None
    budget: float | None = None
    utility: float | None = None
    bound: float | None = None
    own_gap: float | None = None
    shadow_price: float | None = None
    statistics: dict[str, float] = field(default_factory=dict)
    runtime_s: float | None = None
    wall_s: float | None = None
    pass_s: float | None = None
    pass_scaled: bool = False
    runtimes: list[float] = field(default_factory=list)
    walls: list[float] = field(default_factory=list)
    passes: list[float] = field(default_factory=list)
    input_bytes: int | None = None
    memory_bytes: int | None = None
    message: str | None = None
    best_bound: float | None = None
    best_known: float | None = None
    gap: float | None = None
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
    def proven(self) -> bool:
        """Whether the plan is proven best by some solver's bound."""
        return self.gap is not None and self.gap <= PROVEN


COLUMNS = tuple(each.name for each in fields(ScaleRow))
ScaleRow.MEASURED = COLUMNS[: COLUMNS.index("best_bound")]  # those after them follow from all rows


def compare(rows: Iterable[ScaleRow]) -> list[ScaleRow]:
    """Return rows with the fields filled in that follow from others, in the same order."""
    rows = list(rows)
    problems: dict[tuple[Any, ...], list[ScaleRow]] = {}
    for row in rows:
        problems.setdefault(row.problem, []).append(row)
    best = {problem: _best(members) for problem, members in problems.items()}
    return [_compared(row, *best[row.problem]) for row in rows]


def _best(rows: Sequence[ScaleRow]) -> tuple[float | None, float | None]:
    bounds = [row.bound for row in rows if row.bound is not None]
    utilities = [row.utility for row in rows if row.utility is not None]
    return min(bounds, default=None), max(utilities, default=None)


def _compared(row: ScaleRow, best_bound: float | None, best_known: float | None) -> ScaleRow:
    return replace(
        row,
        best_bound=best_bound,
        best_known=best_known,
        gap=gap_to(best_bound, row.utility),
        time_to_pass=_ratio(row.runtime_s, row.pass_s),
        wall_to_pass=_ratio(row.wall_s, row.pass_s),
        memory_to_input=_ratio(row.memory_bytes, row.input_bytes),
        core=row.statistics.get("core_queries"),
        nodes=row.statistics.get("nodes"),
    )


def _ratio(value: float | None, unit: float | None) -> float | None:
    return value / unit if value is not None and unit else None


def contradictions(rows: Iterable[ScaleRow]) -> list[str]:
    """Say where one solver's bound lies below a utility that another one reached: one of them is wrong."""
    return [
        f"{row.series.title}, {row.queries:,} queries: the least bound is {row.best_bound!r}, "
        f"and {row.solver} reached {row.utility!r}"
        for row in rows
        if row.gap is not None and row.gap < -PROVEN
    ]
