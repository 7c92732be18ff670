"""What every benchmark knows of its rows, and the row of a solver on an instance with a budget and a cost model."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, TypeVar

from robatch.instances.display.wording import PROVEN
from robatch.solvers.plan.plan import Cost

Cell = tuple[str, Cost, float]
Key = tuple[str, Cost, float, str]
Kind = Literal["error", "skipped", "proven", ""]
"""What a row is shown as: a failure, not run, a plan that is proven best, or anything else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkRow:
    """What one solver did in one cell of a benchmark.

    Attributes
    ----------
    queries, models, states
        Sizes of the problem.
    budget_fraction, budget
        Budget as a fraction between the cheapest and the dearest, and in USD; None if the problem was not made.
    solver, solver_version, status, limit
        As in the plan; status ``"error"`` if the solver failed and ``"skipped"`` if it was not run, `message` then
        says why.
    utility, bound, own_gap
        As in the plan, `own_gap` against the solver's own bound; None where there is none.
    runtime_s
        Median seconds of the solver's runs.
    message
        One sentence on what went wrong, None if nothing did.
    best_bound, best_known, gap
        Least proven bound and greatest utility that any solver reached on the problem, and
        ``(best_bound - utility) / best_bound``.
    """

    BENCHMARK: ClassVar[str]
    """Name of the benchmark that makes such rows."""

    COLUMNS: ClassVar[tuple[str, ...]]
    """Every field, in the order of the table."""

    MEASURED: ClassVar[tuple[str, ...]]
    """The fields that are kept; the others follow from all rows."""

    queries: int
    models: int
    states: int
    budget_fraction: float
    budget: float | None = None
    solver: str
    solver_version: str
    status: str
    limit: str | None = None
    utility: float | None = None
    bound: float | None = None
    own_gap: float | None = None
    runtime_s: float | None = None
    message: str | None = None
    best_bound: float | None = None
    best_known: float | None = None
    gap: float | None = None

    @property
    def key(self) -> tuple[Any, ...]:
        """The cell and the solver."""
        raise NotImplementedError

    @property
    def place(self) -> str:
        """The cell in words."""
        raise NotImplementedError

    @property
    def kind(self) -> Kind:
        """What it is shown as."""
        if self.status in ("error", "skipped"):
            return "error" if self.status == "error" else "skipped"
        return "proven" if self.proven else ""

    @property
    def proven(self) -> bool:
        """Whether the plan is proven best by some solver's bound."""
        return is_none(self.gap)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row(BenchmarkRow):
    """What one solver did in one cell: an instance with a budget and a cost model.

    Attributes
    ----------
    instance, source
        Name of the problem and where it comes from.
    cost
        The cost model that was held against the budget.
    amortized_cost, realized_cost
        As in the plan.
    repeats
        How many runs there were.
    time_to_greedy
        Ratio of the runtime to that of ``greedy`` in the same cell; None if greedy is not in it.
    """

    BENCHMARK: ClassVar[str] = "gap"
    COLUMNS: ClassVar[tuple[str, ...]] = (
        "instance", "source", "queries", "models", "states", "budget_fraction", "budget", "cost", "solver",
        "solver_version", "status", "limit", "utility", "amortized_cost", "realized_cost", "bound", "own_gap",
        "runtime_s", "repeats", "message", "best_bound", "best_known", "gap", "time_to_greedy",
    )  # fmt: skip
    MEASURED: ClassVar[tuple[str, ...]] = COLUMNS[: COLUMNS.index("best_bound")]

    instance: str
    source: str
    budget: float
    cost: Cost
    amortized_cost: float | None = None
    realized_cost: float | None = None
    repeats: int = 0
    time_to_greedy: float | None = None

    @property
    def cell(self) -> Cell:
        """The cell that it belongs to."""
        return self.instance, self.cost, self.budget_fraction

    @property
    def key(self) -> Key:
        """The cell and the solver."""
        return *self.cell, self.solver

    @property
    def place(self) -> str:
        """The cell in words."""
        return f"{self.instance}, budget fraction {self.budget_fraction:g}, {self.cost}"

    @property
    def over_budget(self) -> bool:
        """Whether what is billed exceeds the budget: possible where the amortized cost is held against it."""
        return self.realized_cost is not None and self.realized_cost > self.budget * (1 + 1e-9)


R = TypeVar("R", bound=Row)
T = TypeVar("T")
G = TypeVar("G", bound=Hashable)


def compare(rows: Iterable[R]) -> list[R]:
    """Return rows with the fields filled in that compare the solvers of each cell, in the same order."""
    compared: dict[Key, R] = {}
    rows = list(rows)
    for members in grouped(rows, lambda row: row.cell).values():
        bound, known = best_of(members)
        greedy = next((row.runtime_s for row in members if row.solver == "greedy"), None)
        for row in members:
            ratio = row.runtime_s / greedy if greedy and row.runtime_s is not None else None
            gap = gap_to(bound, row.utility)
            compared[row.key] = replace(row, best_bound=bound, best_known=known, gap=gap, time_to_greedy=ratio)
    return [compared[row.key] for row in rows]


def best_of(rows: Iterable[BenchmarkRow]) -> tuple[float | None, float | None]:
    """Return the least bound and the greatest utility of rows on the same problem."""
    rows = list(rows)
    bounds = [row.bound for row in rows if row.bound is not None]
    utilities = [row.utility for row in rows if row.utility is not None]
    return min(bounds, default=None), max(utilities, default=None)


def gap_to(bound: float | None, utility: float | None) -> float | None:
    """Return ``(bound - utility) / bound``, 0 where it is rounding; None where either is unknown."""
    if bound is None or utility is None:
        return None
    gap = (bound - utility) / bound if bound > 0 else 0.0
    return 0.0 if abs(gap) <= PROVEN else gap


def is_none(gap: float | None) -> bool:
    """Whether a gap is known to be none: the plan is proven best."""
    return gap is not None and gap <= PROVEN


def contradictions(rows: Iterable[BenchmarkRow]) -> list[str]:
    """Say where one solver's bound lies below a utility that another one reached: one of them is wrong."""
    return [
        f"{row.place}: the least bound is {row.best_bound!r}, and {row.solver} reached {row.utility!r}"
        for row in rows
        if row.gap is not None and row.gap < -PROVEN
    ]


def grouped(values: Iterable[T], by: Callable[[T], G]) -> dict[G, list[T]]:
    """Return values by what they have in common, wherever they stand, in the order in which each first comes."""
    found: dict[G, list[T]] = {}
    for value in values:
        found.setdefault(by(value), []).append(value)
    return found
