"""The rows of the benchmark of realized cost as a table in the terminal: cell by cell, and the sums at its end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from robatch.bench.realized.rows import RealizedRow
from robatch.bench.realized.sheets import Sheet, sheets
from robatch.instances.display import wording
from robatch.instances.display.terminal import PLAIN_WIDTH, LiveTerminal, fixed_table

if TYPE_CHECKING:
    from rich.table import Table

COLUMNS = (  # title, width
    ("budget", 6),
    ("cost", 9),
    ("solver", 14),
    ("status", 18),
    ("utility", 9),
    ("bound", 9),
    ("loss", 11),
    ("billed USD", 11),
    ("overspend", 9),
    ("time", 8),
    ("x greedy", 8),
)
WORDS = ("cost", "solver", "status")
STYLES = {"error": "red", "proven": "green", "": ""}
LEFT_OUT = ("bound", "x greedy", "cost", "billed USD")  # in this order, where the terminal is too narrow


class RealizedTerminal(LiveTerminal[RealizedRow]):
    """Shows the rows as they are made, with a progress bar; plain lines where there is no terminal.

    Parameters
    ----------
    stderr
        Whether to write to standard error instead of standard output.
    """

    def __init__(self, stderr: bool = False) -> None:
        super().__init__(stderr)
        self._last = ""

    def table(self, cell: Sequence[RealizedRow], header: bool) -> Table:
        """Return the rows of a cell as a table."""
        return cell_table(cell, header, self.console.width)

    def cell(self, rows: Sequence[RealizedRow]) -> None:
        """Show a whole cell."""
        self.show([])
        first = rows[0]
        if first.instance != self._last:
            sizes = f"{first.queries:,} queries, {first.models} models, {first.states} states"
            self.console.print(f"\n[bold]{first.instance}[/bold] · {sizes}", highlight=False)
        self.console.print(self.table(rows, first.instance != self._last), highlight=False)
        for row in rows:
            if row.status == "error":
                self.console.print(f"        {row.solver}: {row.message}", style="red", markup=False, highlight=False)
        self._last = first.instance

    def end(self, rows: Sequence[RealizedRow]) -> None:
        """Show the sums."""
        self.stop()
        made = sheets(rows)
        for sheet, after in zip(made, [*made[1:], None], strict=True):
            self.console.print()
            self.console.print(sheet_table(sheet), highlight=False)
            if after is None or after.note != sheet.note:  # once, below those that share it
                self.console.print(sheet.note, style="dim", markup=False, highlight=False)


def cell_table(rows: Sequence[RealizedRow], header: bool = True, width: int = PLAIN_WIDTH) -> Table:
    """Return the rows of a budget as a table of fixed columns, so that the tables of several cells form one."""
    return fixed_table(
        COLUMNS, [cells(row) for row in rows], [STYLES[kind(row)] for row in rows], header, width,
        left_out=LEFT_OUT, left=WORDS, bold=("loss", "overspend"),
    )  # fmt: skip


def cells(row: RealizedRow) -> list[str]:
    """Return the words and figures of a row, in the order of the table's columns."""
    return [
        wording.fraction(row.budget_fraction),
        row.cost,
        row.solver,
        row.status + (f" ({row.limit})" if row.limit else ""),
        wording.utility(row.utility),
        wording.utility(row.bound),
        ("≤ " if row.loss_to == "bound" and row.loss else "") + wording.gap(row.loss),
        wording.usd(row.realized_cost),
        wording.gap(row.overspend),
        wording.seconds(row.runtime_s),
        wording.ratio(row.time_to_greedy),
    ]


def kind(row: RealizedRow) -> str:
    """Return what a row is shown as: ``"error"``, ``"proven"`` for a proven optimum, or nothing."""
    if row.status == "error":
        return "error"
    return "proven" if row.cost == "realized" and row.loss == 0 and row.loss_to == "optimum" else ""


def sheet_table(sheet: Sheet) -> Table:
    """Return a sheet as a table for the terminal."""
    from rich.table import Table

    table = Table(box=None, title=sheet.title, title_justify="left", header_style="bold", pad_edge=False)
    table.title_style = "bold"
    for place, title in enumerate(sheet.columns):
        table.add_column(
            title.replace(" ", "\n"),
            vertical="bottom",
            justify="left" if place < sheet.words else "right",
            no_wrap=True,
        )
    for line in sheet.lines:
        table.add_row(*line)
    return table
