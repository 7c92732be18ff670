"""The table of a gap benchmark in the terminal: cell by cell while the benchmark runs, the sum at its end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from robatch.bench.common.rows import Row, summary
from robatch.instances.display import wording
from robatch.instances.display.terminal import PLAIN_WIDTH, LiveTerminal, fixed_table
from robatch.instances.display.wording import PROVEN

if TYPE_CHECKING:
    from rich.table import Table

COLUMNS = (  # title, width
    ("budget", 6),
    ("solver", 12),
    ("status", 18),
    ("utility", 9),
    ("bound", 9),
    ("gap", 9),
    ("own gap", 9),
    ("USD", 10),
    ("billed USD", 11),
    ("time", 8),
    ("x greedy", 8),
)
LEFT_OUT = ("own gap", "bound", "USD", "billed USD")  # in this order, where the terminal is too narrow


class Terminal(LiveTerminal[Row]):
    """Shows the rows of a gap benchmark as they are made, with a progress bar; plain lines where there is no terminal.

    Parameters
    ----------
    stderr
        Whether to write to standard error instead of standard output.
    """

    def __init__(self, stderr: bool = False) -> None:
        super().__init__(stderr)
        self._last = ("", "")

    def table(self, cell: Sequence[Row], header: bool) -> Table:
        """Return the rows of a cell as a table."""
        return cell_table(cell, header, self.console.width)

    def cell(self, rows: Sequence[Row]) -> None:
        """Show a whole cell."""
        self.show([])
        first = rows[0]
        head = (first.instance, first.cost)
        if head != self._last:
            sizes = f"{first.queries:,} queries, {first.models} models, {first.states} states"
            self.console.print(f"\n[bold]{first.instance}[/bold] · {first.cost} cost · {sizes}", highlight=False)
        self.console.print(self.table(rows, head != self._last), highlight=False)
        for row in rows:
            if row.status == "error":
                self.console.print(f"        {row.solver}: {row.message}", style="red", markup=False, highlight=False)
        self._last = head

    def end(self, rows: Sequence[Row]) -> None:
        """Show the sum."""
        self.stop()
        self.console.print()
        self.console.print(summary_table(rows), highlight=False)
        self.console.print(
            "gap: to the least bound that any solver proved in the cell; 0 is a proof (to 1e-9). "
            "own gap: to the bound that the solver itself proved. * bills more than its budget.",
            style="dim",
            highlight=False,
        )


def cell_table(rows: Sequence[Row], header: bool = True, width: int = PLAIN_WIDTH) -> Table:
    """Return a cell's rows as a table of fixed columns, so that the tables of several cells form one."""
    return fixed_table(
        COLUMNS, [cells(row) for row in rows], [row_style(row) for row in rows], header, width,
        left_out=LEFT_OUT, left=("solver", "status"), bold=("gap",),
    )  # fmt: skip


def cells(row: Row) -> list[str]:
    """Return the words and figures of a row, in the order of the table's columns."""
    return [
        wording.fraction(row.budget_fraction),
        row.solver,
        row.status + (f" ({row.limit})" if row.limit else ""),
        wording.utility(row.utility),
        wording.utility(row.bound),
        wording.gap(row.gap),
        wording.gap(row.own_gap),
        wording.usd(row.amortized_cost),
        wording.usd(row.realized_cost) + ("*" if row.over_budget else " "),
        wording.seconds(row.runtime_s),
        wording.ratio(row.time_to_greedy),
    ]


def summary_cells(record: dict[str, Any]) -> list[str]:
    """Return the words and figures of a solver's sum."""
    return [
        record["cost"],
        record["solver"],
        f"{record['plans']} of {record['cells']}",
        str(record["proven"]),
        wording.gap(record["mean_gap"]),
        wording.gap(record["worst_gap"]),
        wording.seconds(record["median_runtime_s"]),
        wording.ratio(record["median_time_to_greedy"]),
        str(record["errors"] or ""),
    ]


SUMMARY_COLUMNS = (
    "cost", "solver", "plans", "proven best", "mean gap", "worst gap", "median time", "x greedy", "errors",
)  # fmt: skip


def summary_table(rows: Sequence[Row]) -> Table:
    """Return the sum of each solver as a table."""
    from rich.table import Table

    table = Table(box=None, title="All cells", title_justify="left", header_style="bold", pad_edge=False)
    table.title_style = "bold"
    for title in SUMMARY_COLUMNS:
        table.add_column(title, justify="left" if title in ("cost", "solver") else "right", no_wrap=True)
    for record in summary(rows):
        table.add_row(*summary_cells(record))
    return table


def row_style(row: Row) -> str:
    """Return the style of a row: red for a failure, green for a proof."""
    if row.status == "error":
        return "red"
    return "green" if row.gap is not None and row.gap <= PROVEN else ""
