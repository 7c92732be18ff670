"""The table of the rows of the benchmark of realized cost, cell by cell; the sums below it are its sheets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from robatch.bench.common.terminal import Column, LiveTerminal, seconds_column, solver_column, status_column
from robatch.bench.realized.rows import RealizedRow
from robatch.bench.realized.sheets import sheets
from robatch.instances.display import wording

if TYPE_CHECKING:
    from rich.console import RenderableType


def loss(row: RealizedRow) -> str:
    """Write the utility lost; one against a bound is at most so much."""
    return ("≤ " if row.loss_to == "bound" and row.loss else "") + wording.gap(row.loss)


COLUMNS: tuple[Column[RealizedRow], ...] = (
    Column("budget", 6, lambda row: wording.fraction(row.budget_fraction)),
    Column("cost", 9, lambda row: row.cost, words=True, left_out=2),
    solver_column(14),
    status_column(18),
    Column("utility", 9, lambda row: wording.utility(row.utility)),
    Column("bound", 9, lambda row: wording.utility(row.bound), left_out=0),
    Column("loss", 11, loss, bold=True),
    Column("billed USD", 11, lambda row: wording.usd(row.realized_cost), left_out=3),
    Column("overspend", 9, lambda row: wording.gap(row.overspend), bold=True),
    seconds_column(8),
    Column("x greedy", 8, lambda row: wording.ratio(row.time_to_greedy), left_out=1),
)


class RealizedTerminal(LiveTerminal[RealizedRow]):
    """Shows the rows of a benchmark of realized cost as they are made."""

    columns = COLUMNS

    def heading(self, row: RealizedRow) -> str:
        """Return the instance."""
        return f"[bold]{row.instance}[/bold] · {row.queries:,} queries, {row.models} models, {row.states} states"

    def ending(self, rows: Sequence[RealizedRow]) -> Iterable[RenderableType]:
        """Return the sums, each note once below those that share it."""
        for note, group in groupby(sheets(rows), key=lambda sheet: sheet.note):
            for sheet in group:
                yield from ("", sheet.table())
            yield note
