"""One row a solver and cell, and what follows from the rows of a cell together.

A cell is an instance with a budget fraction and a cost model; every solver is asked the same in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import groupby
from statistics import fmean, median
from typing import Any, ClassVar, TypeVar

from robatch.instances.display.wording import PROVEN
from robatch.solvers.plan.plan import Cost

Cell = tuple[str, Cost, float]
Key = tuple[str, Cost, float, str]


@dataclass(frozen=True, slots=True)
class Row:
    """What one solver did in one cell.

    Attributes
    ----------
    instance, source
        Name of the problem and where it comes from.
    queries, models, states
        Its sizes.
    budget_fraction, budget, cost
        Budget as a fraction between the cheapest and the dearest, in USD, and the cost model held against it.
    solver, solver_version, status, limit
        As in the plan; status ``"error"`` if the solver failed, `message` then says how.
    utility, amortized_cost, realized_cost, bound, own_gap
        As in the plan, `own_gap` against the solver's own bound; None where there is none.
    runtime_s, repeats
        Median seconds of the solver's runs, and how many there were.
    message
        One sentence on what went wrong, None if nothing did.
    best_bound, best_known
        Least proven bound and greatest utility that any solver reached in the cell.
    gap
        ``(best_bound - utility) / best_bound``.
    time_to_greedy
        Ratio of the runtime to that of ``greedy`` in the same cell; None if greedy is not in it.
    """

    BENCHMARK: ClassVar[str] = "gap"
    MEASURED: ClassVar[tuple[str, ...]] = ()

    instance: str
    source: str
    queries: int
    models: int
    states: int
    budget_fraction: float
    budget: float
    cost: Cost
    solver: str
    solver_version: str
    status: str
    limit: str | None = None
    utility: float | None = None
    amortized_cost: float | None = None
    realized_cost: float | None = None
    bound: float | None = None
    own_gap: float | None = None
    runtime_s: float | None = None
    repeats: int = 0
    message: str | None = None
    best_bound: float | None = None
    best_known: float | None = None
    gap: float | None = None
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
    def over_budget(self) -> bool:
        """Whether what is billed exceeds the budget: possible where the amortized cost is held against it."""
        return self.realized_cost is not None and self.realized_cost > self.budget * (1 + 1e-9)


R = TypeVar("R", bound=Row)

COLUMNS = tuple(field.name for field in fields(Row))
Row.MEASURED = COLUMNS[: COLUMNS.index("best_bound")]  # those after them follow from the other rows of the cell


def compare(rows: Iterable[R]) -> list[R]:
    """Return rows with the fields filled in that compare the solvers of each cell, in the same order."""
    rows = list(rows)
    cells: dict[Cell, list[R]] = {}
    for row in rows:
        cells.setdefault(row.cell, []).append(row)
    facts = {cell: _facts(members) for cell, members in cells.items()}
    return [_compared(row, *facts[row.cell]) for row in rows]


def _facts(rows: Sequence[Row]) -> tuple[float | None, float | None, float | None]:
    bounds = [row.bound for row in rows if row.bound is not None]
    utilities = [row.utility for row in rows if row.utility is not None]
    greedy = next((row.runtime_s for row in rows if row.solver == "greedy"), None)
    return min(bounds, default=None), max(utilities, default=None), greedy


def _compared(row: R, best_bound: float | None, best_known: float | None, greedy: float | None) -> R:
    ratio = None
    gap = gap_to(best_bound, row.utility)
    if greedy and row.runtime_s is not None:
        ratio = row.runtime_s / greedy
    return replace(row, best_bound=best_bound, best_known=best_known, gap=gap, time_to_greedy=ratio)


def gap_to(bound: float | None, utility: float | None) -> float | None:
    """Return ``(bound - utility) / bound``, 0 where it is rounding; None where either is unknown."""
    if bound is None or utility is None:
        return None
    gap = (bound - utility) / bound if bound > 0 else 0.0
    return 0.0 if abs(gap) <= PROVEN else gap


def contradictions(rows: Iterable[Row]) -> list[str]:
    """Say where one solver's bound lies below a utility that another one reached: one of them is wrong."""
    found = []
    for row in rows:
        if row.gap is not None and row.gap < -PROVEN:
            found.append(
                f"{row.instance}, budget fraction {row.budget_fraction:g}, {row.cost}: the least bound is "
                f"{row.best_bound!r}, and {row.solver} reached {row.utility!r}"
            )
    return found


def summary(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Sum up each solver under each cost model.

    Returns
    -------
    list of dict
        ``cost``, ``solver``, ``cells``, ``plans`` (cells with a plan), ``proven`` (cells whose plan is proven
        best by some solver's bound), ``errors``, ``mean_gap``, ``worst_gap``, ``median_runtime_s`` and
        ``median_time_to_greedy``. Gaps are over the cells in which the solver has a plan and any bound is
        known.
    """
    order: dict[tuple[str, str], None] = dict.fromkeys((row.cost, row.solver) for row in rows)
    records = []
    for cost, solver in order:
        mine = [row for row in rows if (row.cost, row.solver) == (cost, solver)]
        gaps = [row.gap for row in mine if row.gap is not None]
        times = [row.runtime_s for row in mine if row.runtime_s is not None]
        ratios = [row.time_to_greedy for row in mine if row.time_to_greedy is not None]
        records.append(
            {
                "cost": cost,
                "solver": solver,
                "cells": len(mine),
                "plans": sum(row.utility is not None for row in mine),
                "proven": sum(gap <= PROVEN for gap in gaps),
                "errors": sum(row.status == "error" for row in mine),
                "mean_gap": fmean(gaps) if gaps else None,
                "worst_gap": max(gaps, default=None),
                "median_runtime_s": median(times) if times else None,
                "median_time_to_greedy": median(ratios) if ratios else None,
            }
        )
    return records


def by_cell(rows: Iterable[R]) -> list[list[R]]:
    """Return runs of neighbouring rows of one cell."""
    return [list(members) for _, members in groupby(rows, key=lambda row: row.cell)]
