"""The tables of a gap benchmark: its rows cell by cell, and the sum of each solver."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from robatch.bench.common.rows import Row
from robatch.bench.common.sheets import Sheet
from robatch.bench.common.terminal import Column, LiveTerminal, seconds_column, solver_column, status_column
from robatch.bench.gap.rows import summary
from robatch.instances.display import wording

if TYPE_CHECKING:
    from rich.console import RenderableType


def billed(row: Row) -> str:
    """Write what is billed, with an asterisk where that is more than the budget."""
    return wording.usd(row.realized_cost) + ("*" if row.over_budget else " ")


COLUMNS: tuple[Column[Row], ...] = (
    Column("budget", 6, lambda row: wording.fraction(row.budget_fraction)),
    Column("of USD", 9, lambda row: wording.usd(row.budget), left_out=0),
    solver_column(12),
    status_column(18),
    Column("utility", 9, lambda row: wording.utility(row.utility)),
    Column("bound", 9, lambda row: wording.utility(row.bound), left_out=1),
    Column("gap", 9, lambda row: wording.gap(row.gap), bold=True),
    Column("own gap", 9, lambda row: wording.gap(row.own_gap), left_out=0),
    Column("USD", 10, lambda row: wording.usd(row.amortized_cost), left_out=2),
    Column("billed USD", 11, billed, left_out=3),
    seconds_column(8),
    Column("x greedy", 8, lambda row: wording.ratio(row.time_to_greedy)),
)

LEGEND = (
    "gap: to the least bound that any solver proved in the cell; 0 is a proof (to 1e-9). "
    "own gap: to the bound that the solver itself proved. * bills more than its budget."
)


class Terminal(LiveTerminal[Row]):
    """Shows the rows of a gap benchmark as they are made."""

    columns = COLUMNS

    def heading(self, row: Row) -> str:
        """Return the instance and the cost model."""
        sizes = f"{row.queries:,} queries, {row.models} models, {row.states} states"
        return f"[bold]{row.instance}[/bold] · {row.cost} cost · {sizes}"

    def ending(self, rows: Sequence[Row]) -> Iterable[RenderableType]:
        """Return the sum, and how to read the tables."""
        return "", summary_sheet(rows).table(), LEGEND


def summary_sheet(rows: Sequence[Row]) -> Sheet:
    """Return the sum of each solver."""
    columns = ("cost", "solver", "plans", "proven best", "mean gap", "worst gap", "median time", "x greedy", "errors")
    lines = tuple(
        (
            record["cost"],
            record["solver"],
            f"{record['plans']} of {record['cells']}",
            str(record["proven"]),
            wording.gap(record["mean_gap"]),
            wording.gap(record["worst_gap"]),
            wording.seconds(record["median_runtime_s"]),
            wording.ratio(record["median_time_to_greedy"]),
            str(record["errors"] or ""),
        )
        for record in summary(rows)
    )
    note = (
        "Plans: cells with a plan within the budget. Proven best: cells whose plan no plan within the budget can beat, "
        "by some solver's bound."
    )
    return Sheet("All cells", note, columns, lines, words=2)
